import type { AuditContent, AuditEvent } from "../audit/events.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { AuditListOptions } from "./audit-types.ts";
import { afterChanges } from "../store/partial-failure.ts";
import { trace } from "../telemetry/channels.ts";
import { idOf } from "../session/handle.ts";
import type { Records } from "../session/records.ts";
import { Session } from "../session/session.ts";
import { idsOf, sessionInfo, type RevokeOptions, type SessionInfo } from "./session-info.ts";
import { UserRows } from "../session/user-rows.ts";

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
