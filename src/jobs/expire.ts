import { afterChanges } from "../store/partial-failure.ts";
import { trace } from "../telemetry/channels.ts";
import { milliseconds, type Duration } from "../shared/duration.ts";
import {
  assertOptions,
  durationFrom,
  integerFrom,
  isAnything,
  isFunction,
  isSignal,
} from "../shared/option-checks.ts";
import { leaseChecks, type LeaseOptions } from "./lease.ts";
import { Pace, paceProblem } from "./pace.ts";
import type { ExpireCursor, ExpireQuery, ExpireResult, FutureQuery } from "../store/row.ts";
import { futureQuery } from "./future.ts";

export interface ExpireOptions extends LeaseOptions {
  /** Also delete sessions created longer ago than this, used or not (the gem's rule). */
  maxCreatedAge?: Duration;
  /** Also delete sessions not saved or touched for this long. */
  maxUpdatedAge?: Duration;
  /** Rows deleted by one statement at most. Default 100; a store may take less. */
  batchSize?: number;
  /** Rows deleted in a second at most. Default 5,000; Infinity for no such bound. */
  maxPerSecond?: number;
  /**
   * The part of its time that it works at most, above 0 and up to 1; for the rest of it, it rests, so that requests
   * have their turn however slow the database is. Default 0.33. With 1 and a `maxPerSecond` of Infinity it goes as
   * fast as it can.
   */
  share?: number;
  /** Stops between two batches; the promise then resolves with what was deleted so far. */
  signal?: AbortSignal;
  /**
   * Called after every batch. `fraction` is from 0 to 1, how far the run is: by the days on which sessions ended, or
   * with an age by their ids. It is undefined where that is not known: in a run over a single day, and in memory and
   * in Rails' table, until the end.
   */
  onProgress?: (progress: { deleted: number; fraction?: number | undefined }) => void;
}

export interface ExpireJob {
  deleteExpired(query: ExpireQuery): Promise<ExpireResult>;
  deleteFuture?(query: FutureQuery): Promise<number>;
  now: number;
  idleTimeout: number;
  absoluteTimeout: number;
  /** Asked before every batch; false stops. */
  mayGoOn?: () => Promise<boolean>;
  /** Nobody waits for it: its rests keep no process alive. */
  background?: boolean;
}

/** @throws {TypeError} an option that cannot work */
export function checkExpireOptions(options: ExpireOptions): void {
  assertOptions("expire", options, {
    ...leaseChecks,
    maxCreatedAge: durationFrom(0),
    maxUpdatedAge: durationFrom(0),
    batchSize: integerFrom(1),
    maxPerSecond: isAnything,
    share: isAnything,
    signal: isSignal,
    onProgress: isFunction,
  });
  const problem = paceProblem(options);
  if (problem !== null) throw new TypeError(`expire: ${problem}`);
}

/**
 * Deletes what has ended, in bounded and ordered batches, and answers how many rows went (R34).
 * @throws {StoreError} the store failed; `changed` is how many rows had gone by then
 */
export async function expireRows(job: ExpireJob, options: ExpireOptions = {}): Promise<number> {
  checkExpireOptions(options);
  const { batchSize = 100, maxPerSecond = 5_000, signal, onProgress } = options;
  const maxCreatedAge = lengthOf(options.maxCreatedAge);
  const maxUpdatedAge = lengthOf(options.maxUpdatedAge);
  const query = {
    before: job.now,
    ...(maxCreatedAge !== undefined && { createdBefore: job.now - maxCreatedAge }),
    ...(maxUpdatedAge !== undefined && { updatedBefore: job.now - maxUpdatedAge }),
    idleTimeout: job.idleTimeout,
    absoluteTimeout: job.absoluteTimeout,
    // Batches of at most a second's work, so that a pause never outlasts the lease.
    limit: Math.min(batchSize, maxPerSecond),
  };
  const pace = new Pace({ ...options, maxPerSecond }, !job.background);
  const mayStep = async () => !signal?.aborted && (job.mayGoOn === undefined || (await job.mayGoOn()));
  /** What a clock that was ahead has left behind: usually one statement that finds nothing. */
  const deleteFuture = async (): Promise<void> => {
    const leftOver = futureQuery(job.now, job.absoluteTimeout, query.limit);
    while (leftOver !== null && (await mayStep())) {
      const began = performance.now();
      const step = await trace(
        "expire",
        () => ({ operation: "expire" }),
        async () => (await job.deleteFuture?.(leftOver)) ?? 0,
        (event, answer) => (event.deleted = answer),
      );
      if (step === 0) return;
      deleted += step;
      onProgress?.({ deleted, fraction: 1 });
      await pace.rest(step, performance.now() - began);
    }
  };
  let deleted = 0;
  let cursor: ExpireCursor | null = null;
  let scan = query.limit;
  try {
    do {
      if (!(await mayStep())) break;
      const began = performance.now();
      const step: ExpireResult = await trace(
        "expire",
        () => ({ operation: "expire" }),
        () => job.deleteExpired({ ...query, scan, cursor }),
        (event, answer) => (event.deleted = answer.deleted),
      );
      deleted += step.deleted;
      cursor = step.cursor;
      // Among rows that still live, as most of the newest bucket do, it looks at more: reading them takes the time.
      scan = step.deleted < query.limit / 2 ? 4 * query.limit : query.limit;
      onProgress?.({ deleted, fraction: cursor === null ? 1 : step.fraction });
      if (cursor !== null) await pace.rest(step.deleted, performance.now() - began);
    } while (cursor !== null);
    await deleteFuture();
  } catch (error) {
    throw afterChanges(error, deleted, "deleted");
  }
  return deleted;
}

function lengthOf(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : milliseconds(duration)!;
}

/** What the job needs of a session manager. */
export interface Expirable {
  expire(options?: ExpireOptions): Promise<number>;
}

/**
 * Deletes what has ended, in one process of the cluster at a time, and answers how many rows went: for pg-boss,
 * graphile-worker, BullMQ, node-cron or any other runner. While another process is at it, answers 0 at once.
 */
export function expireSessionsJob(sessions: Expirable, options: ExpireOptions = {}): Promise<number> {
  return sessions.expire({ exclusive: true, ...options });
}
