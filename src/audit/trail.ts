import { Lease } from "../jobs/lease.ts";
import { schedule, type Schedule } from "../jobs/schedule.ts";
import { milliseconds } from "../shared/duration.ts";
import { outsideRequests } from "../shared/outside-requests.ts";
import { printable } from "../shared/printable.ts";
import { publicKeysOf, publicKeysOfRing, type Anchored } from "./checkpoint.ts";
import { Checkpointer } from "./checkpointer.ts";
import { eventCodes } from "./events.ts";
import { describe, readEvents } from "./reading.ts";
import { Subjects } from "./subjects.ts";
import { Verifier, type VerifySource } from "./verify.ts";
import { Writer, type Draft, type Entry, type Written } from "./writer.ts";
import type { KeyRing } from "../sealing/keyring.ts";
import type { AuditStore, AuditSubject, ChangeResult } from "../store/audit.ts";
import type { AuditEvent, AuditEventType } from "./events.ts";
import type { Refusals } from "./refusals.ts";
import type { AuditOptions } from "./options.ts";
import type { VerifyReport } from "./report.ts";

export interface TrailSettings {
  readonly store: AuditStore;
  /** For the lease of checkpoints. */
  readonly leases: { lease(name: string, holder: string, until: number, now: number): Promise<boolean> };
  readonly keys: KeyRing;
  readonly app: string;
  readonly clock: () => number;
  readonly timeout: number;
  readonly userRefs: (user: string) => Uint8Array[];
  readonly options: AuditOptions;
  readonly process: Readonly<Record<string, string>>;
  readonly refusals: Refusals;
}

/** Milliseconds after which another process may sign checkpoints in the place of one that died. */
const LEASE = 30_000;
/** Events that leave together in "lax" mode. */
const TOGETHER = 128;
const PAGE = 100;

/** The trail of one manager: what is written, what waits, and what is signed. */
export class Trail {
  readonly settings: TrailSettings;
  readonly subjects: Subjects;
  readonly isStrict: boolean;
  readonly #writer: Writer;
  readonly #checkpointer: Checkpointer;
  readonly #lease: Lease;
  readonly #listeners = new Set<(event: AuditEvent) => void>();
  readonly #refusals: Refusals;
  readonly #waiting: Entry[] = [];
  #flushing: Promise<void> | null = null;
  #lost = 0;
  #schedule: Schedule | null = null;
  #closed = false;

  constructor(settings: TrailSettings) {
    const { store, keys, app, clock, timeout, userRefs, options } = settings;
    this.settings = settings;
    this.#refusals = settings.refusals;
    this.#refusals.onRefusal = () => this.#start();
    this.isStrict = options.mode !== "lax";
    this.subjects = new Subjects({ store, keys, app, clock, userRefs });
    this.#writer = new Writer({
      store,
      keys,
      subjects: this.subjects,
      clock,
      timeout,
      process: settings.process,
      atStart: () => this.#changesOfKeys(),
      onWritten: (written) => this.#wrote(written),
    });
    this.#checkpointer = new Checkpointer({
      store,
      keys,
      clock,
      anchor: (checkpoint) => this.#anchor(checkpoint),
      onDamage: (chain, number) =>
        warn(
          "STORED_SESSION_AUDIT_DAMAGED",
          `Event ${number} of chain ${chain} of the audit trail was changed after it was written. That chain is not signed any further. Run "stored-session audit verify", and see the incident guide.`,
        ),
    });
    this.#lease = new Lease(settings.leases, "audit", { duration: LEASE, clock });
  }

  /** Changes and their events, in one transaction. */
  write(entries: readonly Entry[]): Promise<readonly ChangeResult[]> {
    return this.#writer.write(entries);
  }

  /** Events alone. In "lax" mode they wait, and this returns at once. */
  async record(...drafts: readonly Draft[]): Promise<void> {
    if (drafts.length === 0) return;
    const entry = entryOf(drafts);
    if (this.isStrict) await this.#writer.write([entry]);
    else this.later(entry);
  }

  /** For "lax" mode: written behind the change, or counted as lost. */
  later(entry: Entry): void {
    if (this.#waiting.length >= (this.settings.options.maxQueue ?? 10_000)) {
      this.#lost++;
      return;
    }
    this.#waiting.push(entry);
    this.#flushing ??= outsideRequests(() => this.#flush()).finally(() => (this.#flushing = null));
  }

  /** @returns a function that ends it */
  on(listener: (event: AuditEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get publicKeys(): readonly string[] {
    return publicKeysOf(this.settings.keys);
  }

  verify(options: Pick<VerifySource, "anchors" | "signal" | "onProgress"> = {}): Promise<VerifyReport> {
    const { store, keys } = this.settings;
    return new Verifier({ store, keys, publicKeys: publicKeysOfRing(keys), ...options }).run();
  }

  /** Signs what was written since the last checkpoint. Null if nothing was, or another process signs. */
  async checkpoint(): Promise<Anchored | null> {
    await this.#recordRefusals();
    return (await this.#lease.hold()) ? await this.#checkpointer.run() : null;
  }

  /** Seals the keys of users and chains under the newest key of the ring. Returns how many. */
  async reseal(): Promise<number> {
    const { store } = this.settings;
    let after: Uint8Array | null = null;
    let sealed = 0;
    for (;;) {
      const page: readonly AuditSubject[] = await store.scanSubjects(after, PAGE);
      for (const subject of page) if (await this.subjects.rewrap(subject)) sealed++;
      if (page.length < PAGE) return sealed;
      after = page.at(-1)!.subject;
    }
  }

  /** For who adds a checkpoint of another kind: nobody else signs while `work` runs. */
  async exclusively<T>(work: (checkpointer: Checkpointer) => Promise<T>): Promise<T | null> {
    return (await this.#lease.hold()) ? await work(this.#checkpointer) : null;
  }

  /** Writes what waits, records that the process ends, and signs it where it can. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#schedule?.stop();
    try {
      while (this.#flushing !== null) await this.#flushing;
      if (this.#writer.hasBegun || !this.#refusals.isEmpty) {
        await this.#recordRefusals();
        await this.#writer.write([entryOf([{ type: "trail.stopped" }])]);
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

  async #flush(): Promise<void> {
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const entries = this.#waiting.slice(0, TOGETHER);
      const lost = this.#lost;
      const also = lost > 0 ? [entryOf([{ type: "trail.lost", outcome: "failure", count: lost }])] : [];
      try {
        await this.#writer.write([...entries, ...also]);
        this.#waiting.splice(0, entries.length);
        this.#lost -= lost;
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
      await this.#writer.write([entryOf(drafts)]);
    } catch (error) {
      for (const [reason, count] of counts) this.#refusals.refused(reason, count);
      throw error;
    }
  }

  /** What differs in the ring from that of the process that was the last to begin. */
  async #changesOfKeys(): Promise<readonly Draft[]> {
    const { store, keys } = this.settings;
    const rows = await store.find({ events: [eventCodes["trail.started"]], newestFirst: true, limit: 1 });
    const [last] = await readEvents(rows, this.subjects);
    const before = last?.details?.["keys"]?.split(" ");
    if (before === undefined) return [];
    const now = keys.keys.map(({ name }) => name);
    const draftOf =
      (type: AuditEventType) =>
      (key: string): Draft => ({ type, content: { details: { key } } });
    return [
      ...now.filter((key) => !before.includes(key)).map(draftOf("key.added")),
      ...before.filter((key) => !now.includes(key)).map(draftOf("key.retired")),
    ];
  }

  #wrote(written: readonly Written[]): void {
    this.#start();
    for (const listener of this.#listeners) {
      for (const { row, draft, user } of written) {
        try {
          listener(describe(row, user ?? null, draft.content ?? {}, null));
        } catch (error) {
          warn("STORED_SESSION_AUDIT_LISTENER", `A listener of the audit trail failed. ${reasonOf(error)}`);
        }
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
    try {
      await this.settings.options.anchor?.(checkpoint);
    } catch (error) {
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
