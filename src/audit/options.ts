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
   * nothing happens and the request fails. "lax": events are written behind the changes; those that do not fit into the
   * queue, or are lost when the process dies, are missing. How many did not fit is recorded.
   */
  readonly mode?: "strict" | "lax";
  /** Events that may wait in "lax" mode. Default 10,000. */
  readonly maxQueue?: number;
  /** Average time between checkpoints. Default "10 s". */
  readonly checkpointEvery?: Duration;
  /**
   * Called with each checkpoint that this process signs, to keep it outside of the database: see `stored-session/audit`. What
   * it throws is reported as a process warning, and it is called with the next checkpoint again.
   */
  readonly anchor?: (checkpoint: Anchored) => void | Promise<void>;
  /**
   * Called for each login, logout, revocation and change of id. What it returns becomes part of the event: the request's id
   * from an AsyncLocalStorage, or who acts for somebody else.
   */
  readonly context?: () => Pick<AuditContent, "requestId" | "actor" | "reason" | "details"> | undefined;
  /** How long events are kept. Default: for ever. At least "3 days". Older ones are deleted by `sessions.audit.prune()`. */
  readonly retention?: Duration;
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
} as const;

/** Every problem of the option `audit`, a sentence each. */
export function auditProblems(options: unknown): string[] {
  if (options === true || options === false || options === undefined) return [];
  return problemsOf(options, checks).map((problem) => `\`audit\`: ${problem}`);
}
