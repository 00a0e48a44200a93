import type { AuditContent, AuditDevice, AuditEvent, AuditEventType, AuditOutcome } from "../audit/events.ts";
import type { ClientInfo } from "../session/format.ts";
import type { UserId } from "../session/user-id.ts";
import type { Duration } from "../shared/duration.ts";

/** Which events to list. All conditions apply. */
export interface AuditListOptions {
  user?: UserId;
  /** The handle of a session. */
  session?: string;
  since?: Date;
  /** Exclusive. */
  until?: Date;
  types?: readonly AuditEventType[];
  /** Default false: oldest first. */
  newestFirst?: boolean;
  /** Default: all of them. */
  limit?: number;
  /** Continues after this event, the last one of the page before, in the same order. */
  after?: Pick<AuditEvent, "id" | "at">;
}

/** An event that the application reports. */
export interface RecordOptions extends Omit<AuditContent, "address" | "userAgent" | "previous"> {
  /** Default "success"; "failure" for `login.failed`. */
  outcome?: AuditOutcome;
  user?: UserId;
  /** The session it concerns, or its handle. */
  session?: { readonly handle: string } | string;
  client?: ClientInfo;
}

/** How often something happened on a day. */
export interface AuditDay {
  /** The day in UTC: "2026-11-30". */
  readonly day: string;
  readonly type: AuditEventType | "unknown";
  readonly outcome: AuditOutcome;
  readonly device: AuditDevice;
  readonly count: number;
}

export interface AuditPruneOptions {
  /** How old the last event of a segment must be. Default: the option `audit.retention`. Minimum "2 days". */
  olderThan?: Duration;
  /**
   * Takes the lines of a segment before it is deleted: an export that `audit verify` reads. What it throws ends the run, and
   * nothing is deleted. Default: the option `audit.archive`.
   */
  archive?: (segment: string, lines: AsyncIterable<string>) => void | Promise<void>;
  signal?: AbortSignal;
}
