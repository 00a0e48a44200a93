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
import type { LinkStore } from "../store/links.ts";
import { futureQuery } from "./future.ts";

export interface ExpireOptions extends LeaseOptions {
  /** Also delete sessions created longer ago than this, even if in use, as the Rails gem does. */
  maxCreatedAge?: Duration;
  /** Also delete sessions that were not saved or touched for this long. */
  maxUpdatedAge?: Duration;
  /** Maximum rows deleted by one statement. Default 100; a store may use a lower limit. */
  batchSize?: number;
  /** Maximum rows deleted per second. Default 5,000; Infinity for no limit. */
  maxPerSecond?: number;
  /**
   * Maximum fraction of time spent working, above 0 and at most 1. The job pauses for the remainder, which leaves capacity
   * for requests even if the database is slow. Default 0.33. Use 1 with `maxPerSecond: Infinity` for full speed.
   */
  share?: number;
  /** Stops the run between batches. The promise then resolves with the number of rows deleted so far. */
  signal?: AbortSignal;
  /**
   * Called after every batch. `fraction` is the progress from 0 to 1, measured by expiry day, or by id if an age is given.
   * It is undefined until the end if progress is unknown: for a run over a single day, in the memory store and in the
   * Rails table.
   */
  onProgress?: (progress: { deleted: number; fraction?: number | undefined }) => void;
}

export interface ExpireJob {
  deleteExpired(query: ExpireQuery): Promise<ExpireResult>;
  deleteFuture?(query: FutureQuery): Promise<number>;
  links?: LinkStore | undefined;
  now: number;
  idleTimeout: number;
  absoluteTimeout: number;
  /** Called before every batch. Returning false stops the run. */
  mayGoOn?: () => Promise<boolean>;
  /** A background run: its pauses do not keep the process alive. */
  background?: boolean;
}

/** @throws {TypeError} an invalid option */
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
 * Deletes expired rows in bounded, ordered batches and returns how many (R34).
 * @throws {StoreError} the store failed; `changed` is the number of rows deleted before
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
    // At most one second's quota per batch, so that a pause never outlasts the lease.
    limit: Math.min(batchSize, maxPerSecond),
  };
  const pace = new Pace({ ...options, maxPerSecond }, !job.background);
  const mayStep = async () => !signal?.aborted && (job.mayGoOn === undefined || (await job.mayGoOn()));
  /** Deletes rows written while a clock ran ahead. Usually one statement that finds none. */
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
      // Examine more rows if most are still live, as in the newest bucket; reading them is what takes time.
      scan = step.deleted < query.limit / 2 ? 4 * query.limit : query.limit;
      onProgress?.({ deleted, fraction: cursor === null ? 1 : step.fraction });
      if (cursor !== null) await pace.rest(step.deleted, performance.now() - began);
    } while (cursor !== null);
    await deleteFuture();
    await job.links?.sweep(mayStep);
  } catch (error) {
    throw afterChanges(error, deleted, "deleted");
  }
  return deleted;
}

function lengthOf(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : milliseconds(duration)!;
}

/** The part of a session manager that the job uses. */
export interface Expirable {
  expire(options?: ExpireOptions): Promise<number>;
}

/**
 * Deletes expired sessions, in one process of the cluster at a time, and returns how many: for pg-boss, graphile-worker,
 * BullMQ, node-cron or any other job runner. Returns 0 immediately if another process is running the job.
 */
export function expireSessionsJob(sessions: Expirable, options: ExpireOptions = {}): Promise<number> {
  return sessions.expire({ exclusive: true, ...options });
}
