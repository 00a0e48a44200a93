import { Lease, whileHeld } from "../jobs/lease.ts";
import { schedule, type Schedule } from "../jobs/schedule.ts";
import { milliseconds } from "../shared/duration.ts";
import { publishTrail } from "../telemetry/channels.ts";
import { outsideRequests } from "../shared/outside-requests.ts";
import { printable } from "../shared/printable.ts";
import { publicKeysOf } from "./public-keys.ts";
import type { ChangeResult } from "../store/audit.ts";
import type { Anchored } from "./checkpoint.ts";
import type { Checkpointer } from "./checkpointer.ts";
import type { Engine } from "./engine.ts";
import type { AuditEvent } from "./events.ts";
import type { Refusals } from "./refusals.ts";
import type { TrailSettings } from "./trail-settings.ts";
import type { VerifyReport } from "./report.ts";
import type { VerifySource } from "./verify.ts";
import type { Draft, Entry, Written } from "./writer.ts";

/** Milliseconds after which another process may sign checkpoints in the place of one that died. */
const LEASE = 30_000;
/** Milliseconds after which another process may prune in the place of one that died. */
const PRUNING = 60_000;
/** Events that leave together in "lax" mode. */
const TOGETHER = 128;

type Listener = (event: AuditEvent) => unknown;

/** The trail of one manager: what is written, what waits, and what is signed. */
export class Trail {
  readonly settings: TrailSettings;
  readonly isStrict: boolean;
  readonly #lease: Lease;
  readonly #listeners = new Set<Listener>();
  readonly #refusals: Refusals;
  readonly #waiting: Entry[] = [];
  #flushing: Promise<void> | null = null;
  #lost = 0;
  #schedule: Schedule | null = null;
  #closed = false;
  #engine: Promise<Engine> | null = null;

  constructor(settings: TrailSettings) {
    this.settings = settings;
    this.#refusals = settings.refusals;
    this.#refusals.onRefusal = () => this.#start();
    this.isStrict = settings.options.mode !== "lax";
    this.#lease = new Lease(settings.leases, "audit", { duration: LEASE, clock: settings.clock });
    // Before the first login asks for it. What fails is loaded again then.
    void this.engine().catch(() => {});
  }

  /** What writes and signs: loaded only by a process whose trail is on, to keep it out of the others. */
  engine(): Promise<Engine> {
    this.#engine ??= this.#load().catch((error: unknown) => {
      this.#engine = null;
      throw error;
    });
    return this.#engine;
  }

  async #load(): Promise<Engine> {
    const { Engine } = await import("./engine.ts");
    const engine: Engine = new Engine(this.settings, {
      onWritten: (written) => this.#wrote(engine, written),
      anchor: (checkpoint) => this.#anchor(checkpoint),
      onDamage: (chain, number) => {
        publishTrail({ operation: "checkpoint", outcome: "damaged" });
        warn(
          "STORED_SESSION_AUDIT_DAMAGED",
          `Event ${number} of chain ${chain} of the audit trail was changed after it was written. That chain is not signed any further. Run "stored-session audit verify", and see the incident guide.`,
        );
      },
    });
    return engine;
  }

  /** Changes and their events, in one transaction. */
  async write(entries: readonly Entry[]): Promise<readonly ChangeResult[]> {
    return await (await this.engine()).writer.write(entries);
  }

  /** Events alone. In "lax" mode they wait, and this returns at once. */
  async record(...drafts: readonly Draft[]): Promise<void> {
    if (drafts.length === 0) return;
    if (this.isStrict) await this.recordNow(...drafts);
    else this.later(entryOf(drafts));
  }

  /**
   * Events alone, which are stored when this returns, in "lax" mode too: for what an operator gets only if it is recorded.
   * @throws {StoreError} they were not stored
   */
  async recordNow(...drafts: readonly Draft[]): Promise<void> {
    await this.write([entryOf(drafts)]);
  }

  /** For "lax" mode: written behind the change, or counted as lost. */
  later(entry: Entry): void {
    if (this.#waiting.length >= (this.settings.options.maxQueue ?? 10_000)) {
      const count = entry.drafts({ applied: true, ended: [] }).length;
      this.#lost += count;
      publishTrail({ operation: "lose", count });
      return;
    }
    this.#waiting.push(entry);
    this.#publishQueue();
    this.#flushing ??= outsideRequests(() => this.#flush()).finally(() => (this.#flushing = null));
  }

  /** @returns a function that ends it */
  on(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get publicKeys(): readonly string[] {
    return publicKeysOf(this.settings.keys);
  }

  async verify(options: Pick<VerifySource, "anchors" | "signal" | "onProgress"> = {}): Promise<VerifyReport> {
    return await (await this.engine()).verify(options);
  }

  /** Signs what was written since the last checkpoint. Null if nothing was, or another process signs. */
  async checkpoint(): Promise<Anchored | null> {
    try {
      await this.#recordRefusals();
      const { checkpointer } = await this.engine();
      if (!(await this.#lease.hold())) return null;
      const signed = await checkpointer.run();
      publishTrail({ operation: "checkpoint", outcome: "ok" });
      return signed;
    } catch (error) {
      publishTrail({ operation: "checkpoint", outcome: "error" });
      throw error;
    }
  }

  /** Runs `work` while no other process prunes. Null if one does. Another process may sign meanwhile. */
  async pruning<T>(
    work: (checkpointer: Checkpointer, mayGoOn: () => Promise<boolean>) => Promise<T>,
  ): Promise<T | null> {
    const engine = await this.engine();
    const { leases, clock } = this.settings;
    const lease = new Lease(leases, "audit-prune", { duration: PRUNING, clock });
    return await whileHeld(lease, (mayGoOn) => work(engine.signer(), mayGoOn));
  }

  /** Writes what waits, records that the process ends, and signs it where it can. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#schedule?.stop();
    try {
      while (this.#flushing !== null) await this.#flushing;
      if ((await this.engine()).writer.hasBegun || !this.#refusals.isEmpty) {
        await this.#recordRefusals();
        await this.write([entryOf([{ type: "trail.stopped" }])]);
        await this.checkpoint();
      }
      await this.#lease.release();
    } catch (error) {
      warn(
        "STORED_SESSION_AUDIT_NOT_STOPPED",
        `The end of the audit trail was not recorded. ${reasonOf(error)}`,
      );
    }
  }

  #publishQueue(): void {
    publishTrail({ operation: "queue", count: this.#waiting.length });
  }

  async #flush(): Promise<void> {
    await Promise.resolve();
    // Those that were lost last are recorded as well, although nothing waits behind them.
    while (this.#waiting.length > 0 || this.#lost > 0) {
      const entries = this.#waiting.slice(0, TOGETHER);
      const lost = this.#lost;
      const also = lost > 0 ? [entryOf([{ type: "trail.lost", outcome: "failure", count: lost }])] : [];
      try {
        await this.write([...entries, ...also]);
        this.#waiting.splice(0, entries.length);
        this.#lost -= lost;
        this.#publishQueue();
      } catch (error) {
        if (this.#closed) {
          warn(
            "STORED_SESSION_AUDIT_LOST",
            `${this.#waiting.length + this.#lost} events were not recorded. ${reasonOf(error)}`,
          );
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 1_000).unref());
      }
    }
  }

  async #recordRefusals(): Promise<void> {
    const counts = this.#refusals.take();
    if (counts.length === 0) return;
    const drafts = counts.map(([reason, count]): Draft => ({
      type: "refusal",
      outcome: "denied",
      count,
      content: { reason },
    }));
    try {
      await this.write([entryOf(drafts)]);
    } catch (error) {
      for (const [reason, count] of counts) this.#refusals.refused(reason, count);
      throw error;
    }
  }

  #wrote(engine: Engine, written: readonly Written[]): void {
    this.#start();
    for (const listener of this.#listeners) {
      for (const one of written) {
        // A promise that rejects would end the process.
        new Promise((resolve) => resolve(listener(engine.describe(one)))).catch((error: unknown) =>
          warn("STORED_SESSION_AUDIT_LISTENER", `A listener of the audit trail failed. ${reasonOf(error)}`),
        );
      }
    }
  }

  /** From the first event on, checkpoints are signed now and then. */
  #start(): void {
    if (this.#schedule !== null || this.#closed) return;
    const every = milliseconds(this.settings.options.checkpointEvery ?? 10_000)!;
    this.#schedule = outsideRequests(() =>
      schedule(
        every,
        () => this.checkpoint(),
        (error) =>
          warn(
            "STORED_SESSION_AUDIT_NO_CHECKPOINT",
            `A checkpoint of the audit trail was not signed; the next run tries again. ${reasonOf(error)}`,
          ),
      ),
    );
  }

  async #anchor(checkpoint: Anchored): Promise<void> {
    const { anchor } = this.settings.options;
    if (anchor === undefined) return;
    try {
      await anchor(checkpoint);
      publishTrail({ operation: "anchor", outcome: "ok" });
    } catch (error) {
      publishTrail({ operation: "anchor", outcome: "error" });
      warn(
        "STORED_SESSION_AUDIT_NOT_ANCHORED",
        `Checkpoint ${checkpoint.number} of the audit trail was signed but not anchored. ${reasonOf(error)}`,
      );
    }
  }
}

export function entryOf(drafts: readonly Draft[]): Entry {
  return { change: null, whos: drafts.flatMap(({ who }) => who ?? []), drafts: () => drafts };
}

function warn(code: string, message: string): void {
  process.emitWarning(message, { code });
}

function reasonOf(error: unknown): string {
  return `Cause: ${printable(error instanceof Error ? error.message : String(error))}`;
}
