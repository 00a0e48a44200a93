import type { RowInfo } from "../store/row.ts";
import type { ClientInfo } from "../session/format.ts";
import { handleOf } from "../session/handle.ts";
import { endOf } from "../session/lifetime.ts";
import type { Records } from "../session/records.ts";
import { stateOf, type Session } from "../session/session.ts";

/** Metadata of a session for its user or an operator. Contains no data and no token. */
export interface SessionInfo {
  /** Identifies the session. Not a credential. */
  readonly handle: string;
  /** Whether this is the session passed as `current`. Absent if none was passed. */
  readonly current?: boolean;
  readonly createdAt: Date;
  /** Time of the last save or touch; touches are at least `touchEvery` apart. */
  readonly updatedAt: Date;
  /** When the session expires if it receives no further requests. */
  readonly expiresAt: Date;
  /** Address and user agent of the last login. Null if none are stored. */
  readonly client: ClientInfo | null;
  /** Whether the session is bound to its user's device (option `deviceBinding`), so that its cookie is useless elsewhere. */
  readonly deviceBound: boolean;
}

export function sessionInfo(
  records: Records,
  row: Omit<RowInfo, "bytes" | "head">,
  current?: Session<any>,
): SessionInfo {
  const handle = handleOf(row.id);
  return {
    handle,
    ...(current && { current: idsOf(current).some((id) => handleOf(id) === handle) }),
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    expiresAt: new Date(endOf(row, records.settings)),
    client: records.clientOf(row),
    deviceBound: records.storedClientOf(row)?.bound === true,
  };
}

/** The ids of a session: the stored one, and the one its pending commit will give it. */
export function idsOf(session: Session<any>): Uint8Array[] {
  const state = stateOf(session as Session<never>);
  state.accessed = true;
  const { stored, token } = state;
  return stored === null ? [token.id] : [stored.row.id, token.id];
}

/** What the audit trail says of a revocation. */
export interface RevokeOptions {
  /** Who revokes it, if not the user: the id of an administrator, or the name of a job. */
  by?: string;
  /** Why, such as "password changed". */
  reason?: string;
}
