import type { LeaseOptions } from "./lease.ts";

export interface ResealOptions extends LeaseOptions {
  /**
   * Maximum rows read by one statement and held in memory. Default 10. With `share: 1` they are also written together,
   * up to 500 at a time; with a smaller share, ten at a time with a pause after each ten. Larger batches need fewer
   * commits but conflict with requests more often. Whatever the size, one turn of the event loop seals ten rows at most.
   */
  batchSize?: number;
  /** Maximum rows written per second. Default 1,000; Infinity for no limit. */
  maxPerSecond?: number;
  /**
   * Maximum fraction of time spent working, above 0 and at most 1. The job pauses for the remainder, which leaves capacity
   * for requests even if the database is slow or the process is busy. Default 0.33. For full speed, use 1 with
   * `maxPerSecond: Infinity` and `batchSize: 100`.
   */
  share?: number;
  /** Resumes after this handle: the `cursor` of an interrupted run. Default: from the start. */
  after?: string;
  /** Stops the run between steps. The promise then resolves with the result so far. */
  signal?: AbortSignal;
  /** Called after every batch. */
  onProgress?: (progress: ResealResult) => void;
}

/** The result of a reseal run. */
export interface ResealResult {
  /** Rows examined. */
  readonly scanned: number;
  /** Rows re-encrypted under the newest key. */
  readonly resealed: number;
  /** Rows that were already under the newest key. */
  readonly current: number;
  /** Rows sealed to their cookie. Their data is resealed by the user's next request; the client column was resealed. */
  readonly waiting: number;
  /** Rows that concurrent requests kept changing. They stay under an older key until their next save or the next run. */
  readonly contended: number;
  /** Rows past their stored expiry time, regardless of the timeouts of this process. Expiry deletes them. */
  readonly ended: number;
  /** Rows that cannot be opened: edited, or under a key that is not in the ring. They were left unchanged. */
  readonly refused: number;
  /** Progress through the table, from 0 to 1. */
  readonly fraction: number;
  /** False if the run was stopped, or if another process holds the lease. */
  readonly finished: boolean;
  /** Where the run stopped. Pass it as `after` to resume. Null at the start and at the end. */
  readonly cursor: string | null;
}

/** The part of a session manager that the job uses. */
export interface Resealable {
  reseal(options?: ResealOptions): Promise<ResealResult>;
}

/**
 * Re-encrypts rows under the newest key, in one process of the cluster at a time: for pg-boss, graphile-worker, BullMQ,
 * node-cron or any other job runner. Returns immediately if another process is running the job. Can be killed and
 * restarted at any time: rows under the newest key are skipped.
 */
export function resealJob(sessions: Resealable, options: ResealOptions = {}): Promise<ResealResult> {
  return sessions.reseal({ exclusive: true, ...options });
}
