import { ClosedError } from "../errors.ts";
import { checkExpireOptions, expireRows, type ExpireOptions } from "../jobs/expire.ts";
import { Lease, whileHeld, type LeaseOptions } from "../jobs/lease.ts";
import type { ResealOptions, ResealResult } from "../jobs/reseal.ts";
import { schedule, type Schedule } from "../jobs/schedule.ts";
import type { Records } from "../session/records.ts";
import { milliseconds, type Duration } from "../shared/duration.ts";
import { printable } from "../shared/printable.ts";
import { reasonOf } from "../shared/reason.ts";

/** Milliseconds after which another process may take over a lease that its holder has not renewed. */
const leaseDuration = 60_000;
const HOUR = 3_600_000;

export interface ScheduleOptions extends ExpireOptions {
  every?: Duration;
}

/** Expiry and resealing, run once or on a schedule. */
export class Maintenance {
  readonly #records: Records;
  readonly #schedules: Set<Schedule> = new Set();
  #closed = false;
  #retainedAt = -Infinity;

  constructor(records: Records) {
    this.#records = records;
  }

  async expire(options: ExpireOptions): Promise<number> {
    if (!options.exclusive) return this.#expire(options);
    return (
      (await whileHeld(this.#lease("expire", options), (mayGoOn) => this.#expire(options, mayGoOn))) ?? 0
    );
  }

  async reseal(options: ResealOptions): Promise<ResealResult> {
    if (!options.exclusive) return this.#resealRows(options);
    const result = await whileHeld(this.#lease("reseal", options), (mayGoOn) =>
      this.#resealRows(options, mayGoOn),
    );
    return result ?? this.#resealRows(options, () => Promise.resolve(false));
  }

  async #resealRows(options: ResealOptions, mayGoOn?: () => Promise<boolean>): Promise<ResealResult> {
    const { resealRows } = await import("./later.ts");
    return await resealRows(this.#records, options, mayGoOn);
  }

  schedule(options: ScheduleOptions): Schedule {
    const { every = "10 min", ...expireOptions } = options;
    const pause = milliseconds(every);
    if (pause === null || pause < 1 || pause > 2 ** 30) {
      throw new TypeError(
        'scheduleExpiry: `every` must be a positive number of milliseconds or a string such as "10 min", at most 12 days.',
      );
    }
    checkExpireOptions(expireOptions);
    if (this.#closed)
      throw new ClosedError("The session manager is closed. Schedule expiry before calling close().");
    const lease = this.#lease("expire", expireOptions);
    const run = (stopped: AbortSignal) => {
      const signal = expireOptions.signal ? AbortSignal.any([stopped, expireOptions.signal]) : stopped;
      return whileHeld(lease, (mayGoOn) => this.#expire({ ...expireOptions, signal }, mayGoOn, true));
    };
    const job = schedule(pause, run, (error) => {
      const reason = printable(reasonOf(error));
      process.emitWarning(`Deleting expired sessions failed; the next run retries. Cause: ${reason}`, {
        code: "STORED_SESSION_EXPIRY_FAILED",
      });
    });
    this.#schedules.add(job);
    return {
      stop: async () => {
        this.#schedules.delete(job);
        await job.stop();
      },
    };
  }

  /** Stops all schedules and waits for runs in progress. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#schedules].map((job) => job.stop()));
    this.#schedules.clear();
  }

  #lease(name: string, options: LeaseOptions): Lease {
    const duration = milliseconds(options.lease ?? leaseDuration);
    if (duration === null || duration < 1) {
      throw new TypeError(`${name}: \`lease\` must be milliseconds (1 or more) or text such as "60 s".`);
    }
    return new Lease(this.#records.store, name, { duration, clock: this.#records.settings.clock });
  }

  async #expire(
    options: ExpireOptions | undefined,
    mayGoOn?: () => Promise<boolean>,
    background = false,
  ): Promise<number> {
    const { idleTimeout, absoluteTimeout } = this.#records.settings;
    const { store } = this.#records;
    const deleted = await expireRows(
      {
        deleteExpired: (query) => this.#records.deleteExpired(query),
        deleteFuture: (query) => store.deleteFuture(query),
        links: this.#records.settings.store.links,
        now: this.#records.now(),
        idleTimeout,
        absoluteTimeout,
        background,
        ...(mayGoOn && { mayGoOn }),
      },
      options,
    );
    if (!options?.signal?.aborted) await this.#retain(options?.signal);
    return deleted;
  }

  /** Prunes the audit trail by its `retention`, at most once an hour. A failure leaves the result of the expiry as it is. */
  async #retain(signal: AbortSignal | undefined): Promise<void> {
    const { recorder, settings } = this.#records;
    const now = settings.clock();
    if (recorder?.trail.settings.options.retention === undefined || now - this.#retainedAt < HOUR) return;
    this.#retainedAt = now;
    try {
      const { retainTrail } = await import("./later.ts");
      await retainTrail(recorder.trail, signal);
    } catch (error) {
      if (signal?.aborted) return;
      process.emitWarning(
        `The audit trail was not pruned; a later run of the expiry job retries. Cause: ${printable(reasonOf(error))}`,
        { code: "STORED_SESSION_AUDIT_NOT_PRUNED" },
      );
    }
  }
}
