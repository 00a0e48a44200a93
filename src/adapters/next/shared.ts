import type { SessionManager } from "../../manager.ts";
import { kept, shareManager, takeKept, type SharedManager } from "../shared-manager.ts";
import { CurrentResponse } from "./current-response.ts";

/** Next.js bundles pages, route handlers and the proxy separately. */
export interface NextManager<Data> extends SharedManager<Data> {
  readonly response: CurrentResponse;
}

/** Follows the responses of requests from now on. Opens nothing. */
export function followRequests(): CurrentResponse {
  return kept("next response", () => new CurrentResponse());
}

/** Where the manager of that name is kept. */
export function keyOf(name: string): string {
  return `next ${name}`;
}

/** The manager of that name. It is created at first use, so that `next build` neither opens nor validates anything. */
export function sharedManager<Data>(name: string, create: () => SessionManager<Data>): NextManager<Data> {
  return kept(keyOf(name), () => ({ ...shareManager(create()), response: followRequests() }));
}

/** Forgets the manager of that name; undefined if there is none. */
export function takeSharedManager<Data>(name: string): NextManager<Data> | undefined {
  return takeKept(keyOf(name));
}
