import type { AuditContent, AuditEvent } from "../audit/events.ts";
import type { AuditListOptions, AuditTrail } from "./audit-trail.ts";
import { afterChanges } from "../store/partial-failure.ts";
import { trace } from "../telemetry/channels.ts";
import type { RowInfo } from "../store/row.ts";
import type { ClientInfo } from "../session/format.ts";
import { handleOf, idOf } from "../session/handle.ts";
import { endOf } from "../session/lifetime.ts";
import type { Records } from "../session/records.ts";
import { Session, stateOf } from "../session/session.ts";
import { UserRows } from "../session/user-rows.ts";

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
}

/** The sessions of one user, from `sessions.forUser(id)`. */
export interface UserSessions {
  /**
   * Lists the user's live sessions, newest first, at most 1,000.
   * @param options.current the session to mark as `current` in the list
   */
  list(options?: { current?: Session<any> }): Promise<SessionInfo[]>;
  /**
   * Lists the user's events in the audit trail, newest first, 50 unless `limit` is given: for a page of recent activity.
   * @throws {AuditError} the audit trail is off
   */
  history(options?: Pick<AuditListOptions, "since" | "until" | "types" | "limit">): Promise<AuditEvent[]>;
  /**
   * Ends one session of this user by its handle. Returns false if the user has no such session.
   * @throws {TypeError} the handle is not a string, for example because a form field is missing
   */
  revoke(handle: string, options?: RevokeOptions): Promise<boolean>;
  /**
   * Ends all sessions of this user except `except`, and returns how many. Takes effect in every process at its next
   * request (R44).
   * @throws {ConflictError} new sessions of the user kept appearing while the others were deleted
   * @throws {StoreError} the store failed; `changed` counts the sessions deleted before. Retrying is safe
   */
  revokeAll(options?: RevokeOptions & { except?: Session<any> }): Promise<number>;
}

/** What the audit trail says of a revocation. */
export interface RevokeOptions {
  /** Who revokes it, if not the user: the id of an administrator, or the name of a job. */
  by?: string;
  /** Why, such as "password changed". */
  reason?: string;
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
  };
}

export function userSessions(records: Records, user: string, audit: AuditTrail): UserSessions {
  const rows = new UserRows(records, user);
  return {
    async list(options) {
      const found = await rows.list(1_000);
      return found
        .filter((row) => records.isAlive(row))
        .map((row) => sessionInfo(records, row, options?.current));
    },
    async history(options = {}) {
      const { limit = 50, ...rest } = options;
      const events: AuditEvent[] = [];
      for await (const event of audit.list({ ...rest, user, newestFirst: true, limit })) events.push(event);
      return events;
    },
    async revoke(handle, { by, reason } = {}) {
      if (typeof handle !== "string") {
        throw new TypeError(
          `revoke requires the handle of a session, which is a string. It was given ${handle === null ? "null" : typeof handle}.`,
        );
      }
      const only = idOf(handle);
      if (only === null) return false;
      return trace(
        "delete",
        () => ({ operation: "revoke", handle }),
        () => new UserRows(records, user, { actor: by, reason }).delete(only),
        (event, deleted) => (event.deleted = deleted ? 1 : 0),
      );
    },
    async revokeAll(options) {
      assertOptions(options);
      const except = options?.except === undefined ? [] : idsOf(options.except);
      return trace(
        "delete",
        () => ({ operation: "revoke-all" }),
        () => deleteAll(new UserRows(records, user, byOf(options)), except),
        (event, count) => (event.deleted = count),
      );
    },
  };
}

/** A session passed in place of `{ except }` must not be revoked with the others. */
function assertOptions(options: unknown): void {
  if (options === undefined || options === null) return;
  const isPlain = typeof options === "object" && !(options instanceof Session);
  if (!isPlain || Object.keys(options).some((key) => !["except", "by", "reason"].includes(key))) {
    throw new TypeError("revokeAll accepts only { except: session, by, reason }. No session was revoked.");
  }
}

function byOf({ by, reason }: RevokeOptions = {}): AuditContent {
  return { actor: by, reason };
}

async function deleteAll(rows: UserRows, except: readonly Uint8Array[]): Promise<number> {
  let deleted = 0;
  try {
    await rows.deleteAll(except, (count) => (deleted += count));
    return deleted;
  } catch (error) {
    throw afterChanges(error, deleted, "deleted");
  }
}

/** The ids of a session: the stored one, and the one its pending commit will give it. */
function idsOf(session: Session<any>): Uint8Array[] {
  const state = stateOf(session as Session<never>);
  state.accessed = true;
  const { stored, token } = state;
  return stored === null ? [token.id] : [stored.row.id, token.id];
}
