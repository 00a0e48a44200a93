/** The name of its entries in the data of a row. */
export const library = "authjs";

/** What is stored of a session: all but its token, which is the key of the entry. */
export interface StoredAuthjsSession {
  readonly userId: string;
  readonly expires: Date;
}
