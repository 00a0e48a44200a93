/** As much of an event of SvelteKit as is used. */
export interface SvelteKitEvent {
  readonly request: Request;
  /** Of the page, for a request for its data as well. */
  readonly url: URL;
  readonly locals: object;
  /** The client fetches the data of a page. */
  readonly isDataRequest: boolean;
  /** `event.fetch` of another event sent it. */
  readonly isSubRequest: boolean;
  /** The client calls a remote function. */
  readonly isRemoteRequest?: boolean;
  getClientAddress(): string;
}
