import type { Duration } from "../shared/duration.ts";
import {
  durationFrom,
  integerFrom,
  isFunction,
  problemsOf,
  type OptionCheck,
} from "../shared/option-checks.ts";
import type { AuditContent } from "./events.ts";
import type { Anchored } from "./checkpoint.ts";

export interface AuditOptions {
  /**
   * "strict" (default): a login, logout or revocation and its event are one transaction; if the event cannot be written,
   * nothing happens and the request fails. "lax": events are written after the changes. Events that do not fit into the
   * queue are dropped and counted in the trail; events in the queue are lost if the process dies.
   */
  readonly mode?: "strict" | "lax";
  /** Maximum number of queued events in "lax" mode. Default 10,000. */
  readonly maxQueue?: number;
  /** Average time between checkpoints. Default "10 s". */
  readonly checkpointEvery?: Duration;
  /**
   * Called with each checkpoint that this process signs, to keep it outside the database: see `stored-session/audit`. If
   * it throws, a process warning reports the error, and the next checkpoint calls it again.
   */
  readonly anchor?: (checkpoint: Anchored) => void | Promise<void>;
  /**
   * Called for each login, logout, revocation and change of id. Its result becomes part of the event, such as the request id
   * from an AsyncLocalStorage, or the person who acts on behalf of another.
   */
  readonly context?: () => Pick<AuditContent, "requestId" | "actor" | "reason" | "details"> | undefined;
  /**
   * How long events are kept. Minimum "3 days". Default: forever. The expiry job deletes older ones in whole segments, each
   * what one process has written within a day, so that an event stays for up to a day longer.
   */
  readonly retention?: Duration;
  /**
   * Takes the lines of each segment before it is deleted: see `fileArchive` of `stored-session/audit`. If it throws, nothing is
   * deleted.
   */
  readonly archive?: (segment: string, lines: AsyncIterable<string>) => void | Promise<void>;
}

const DAY = 86_400_000;

const isMode: OptionCheck = (value) =>
  value === "strict" || value === "lax" ? null : 'use "strict" or "lax"';

const checks = {
  mode: isMode,
  maxQueue: integerFrom(1),
  checkpointEvery: durationFrom(100, 3_600_000),
  anchor: isFunction,
  context: isFunction,
  retention: durationFrom(3 * DAY),
  archive: isFunction,
} as const;

/** Every problem of the option `audit`, a sentence each. */
export function auditProblems(options: unknown): string[] {
  if (options === true || options === false || options === undefined) return [];
  return problemsOf(options, checks).map((problem) => `\`audit\`: ${problem}`);
}
