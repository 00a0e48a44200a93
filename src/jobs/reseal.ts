import type { LeaseOptions } from "./lease.ts";

export interface ResealOptions extends LeaseOptions {
  /**
   * Rows read by one statement, and kept in memory, at most. Default 10, the number that is sealed in one turn of the
   * event loop. More cost fewer reads, and leave a row more time to change between its reading and its writing.
   */
  batchSize?: number;
  /** Rows written in a second at most. Default 1,000; Infinity for no such bound. */
  maxPerSecond?: number;
  /**
   * The part of its time that it works at most, above 0 and up to 1; for the rest of it, it rests, so that requests
   * have their turn however slow the database or busy the process is. Default 0.33. With 1 and a `maxPerSecond` of
   * Infinity it goes as fast as it can.
   */
  share?: number;
  /** Goes on behind this handle: the `cursor` of a run that stopped. Default: from the start. */
  after?: string;
  /** Stops between two steps; the promise then resolves with what was done so far. */
  signal?: AbortSignal;
  /** Called after every page. */
  onProgress?: (progress: ResealResult) => void;
}

/** What a run of resealing did. */
export interface ResealResult {
  /** Rows looked at. */
  readonly scanned: number;
  /** Rows carried to the newest key. */
  readonly resealed: number;
  /** Rows that were under the newest key already. */
  readonly current: number;
  /** Rows sealed to their cookie, which only their user's next request can reseal; their client column was done. */
  readonly waiting: number;
  /** Rows that requests kept changing: they stay under an older key until their next save, or the next run. */
  readonly contended: number;
  /** Rows that had reached the end that is stored in them, whatever the timeouts of this process; expiry deletes them. */
  readonly ended: number;
  /** Rows that do not open: edited, or under a key that is not in the ring. They were left as they are. */
  readonly refused: number;
  /** From 0 to 1, how far through the table it is. */
  readonly fraction: number;
  /** False when it was stopped, or when another process is at it. */
  readonly finished: boolean;
  /** Where it stopped; pass it as `after` to go on. Null at the start and at the end. */
  readonly cursor: string | null;
}

/** What the job needs of a session manager. */
export interface Resealable {
  reseal(options?: ResealOptions): Promise<ResealResult>;
}

/**
 * Carries rows to the newest key, in one process of the cluster at a time: for pg-boss, graphile-worker, BullMQ,
 * node-cron or any other runner. While another process is at it, answers at once with nothing done. May be killed
 * at any time and run again: rows that are done are passed over.
 */
export function resealJob(sessions: Resealable, options: ResealOptions = {}): Promise<ResealResult> {
  return sessions.reseal({ exclusive: true, ...options });
}
