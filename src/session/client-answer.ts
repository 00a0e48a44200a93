import type { ClientInfo } from "./format.ts";

/** What happens to a session that another client uses. */
export type ClientAnswer = "allow" | "elevate" | "end";

/** The session that another client uses. */
export interface ChangedSession {
  readonly user: string;
  readonly handle: string;
}

/** The option `onClientChange`. */
export type OnClientChange = (
  before: ClientInfo,
  now: ClientInfo,
  session: ChangedSession,
) => ClientAnswer | void | Promise<ClientAnswer | void>;
