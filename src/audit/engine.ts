import { describe, readEvents } from "./reading.ts";
import { publicKeysOfRing, type Anchored } from "./checkpoint.ts";
import { ContentKeys } from "./content-keys.ts";
import { Checkpointer } from "./checkpointer.ts";
import { eventCodes, type AuditEvent, type AuditEventType } from "./events.ts";
import { rawLines } from "./raw.ts";
import { Subjects } from "./subjects.ts";
import { Verifier, type VerifySource } from "./verify.ts";
import { publishTrail } from "../telemetry/channels.ts";
import { Writer, type Draft, type Written } from "./writer.ts";
import type { VerifyReport } from "./report.ts";
import type { TrailSettings } from "./trail-settings.ts";
import { pagesByKey } from "../store/pages.ts";
import { unknownOutcome } from "../store/partial-failure.ts";

const PAGE = 100;

/** What the engine tells the trail that loaded it. */
export interface EngineEvents {
  readonly onWritten: (written: readonly Written[]) => void;
  readonly onDamage: (chain: string, number: number) => void;
  readonly anchor: (checkpoint: Anchored) => Promise<void>;
}

/** What writes and signs events. A process whose trail is off never loads it. */
export class Engine {
  readonly subjects: Subjects;
  readonly writer: Writer;
  readonly checkpointer: Checkpointer;
  readonly #settings: TrailSettings;
  readonly #events: EngineEvents;

  constructor(settings: TrailSettings, events: EngineEvents) {
    const { store, keys, app, clock, timeout, userRefs } = settings;
    this.#settings = settings;
    this.subjects = new Subjects({ store, keys, app, clock, userRefs });
    this.writer = new Writer({
      store,
      keys,
      subjects: this.subjects,
      clock,
      timeout,
      process: settings.process,
      atStart: () => this.#changesOfKeys(),
      onWritten: (written) => {
        events.onWritten(written);
        for (const { draft } of written) {
          publishTrail({ operation: "record", type: draft.type, outcome: draft.outcome ?? "success" });
        }
      },
    });
    this.#events = events;
    this.checkpointer = this.signer();
  }

  /** One that has read nothing yet, for work beside the process that signs: checkpoints have unique numbers. */
  signer(): Checkpointer {
    const { store, keys, clock } = this.#settings;
    const { anchor, onDamage } = this.#events;
    return new Checkpointer({ store, keys, clock, anchor, onDamage });
  }

  /**
   * Seals the keys of users and chains under the newest key of the ring.
   * @param mayGoOn asked before each page. False: it ends early
   * @returns whether it went over all of them
   * @throws {StoreError} the store failed. Outcome "unknown" if keys were sealed before
   */
  async reseal(mayGoOn: () => boolean | Promise<boolean> = () => true): Promise<boolean> {
    const { store } = this.#settings;
    let sealed = 0;
    const read = (after: Uint8Array | null, limit: number) => store.scanSubjects(after, limit);
    try {
      for await (const { rows, isLast } of pagesByKey(read, PAGE, null, ({ subject }) => subject)) {
        for (const subject of rows) if (await this.subjects.rewrap(subject)) sealed++;
        if (!isLast && !(await mayGoOn())) return false;
      }
      return true;
    } catch (error) {
      throw sealed === 0 ? error : unknownOutcome(error, "Some keys of the audit trail were resealed");
    }
  }

  async verify(options: Pick<VerifySource, "anchors" | "signal" | "onProgress">): Promise<VerifyReport> {
    const { store, keys } = this.#settings;
    try {
      const report = await new Verifier({
        store,
        keys,
        publicKeys: publicKeysOfRing(keys),
        contentKeys: new ContentKeys(store, this.subjects),
        ...options,
      }).run();
      const { ok, problems } = report;
      publishTrail({ operation: "verify", outcome: ok ? "ok" : "damaged", count: problems.length });
      return report;
    } catch (error) {
      publishTrail({ operation: "verify", outcome: "error" });
      throw error;
    }
  }

  /** The trail as it is stored. */
  lines(): AsyncGenerator<string> {
    return rawLines(this.#settings.store);
  }

  /** The event as a listener sees it. */
  describe({ row, draft, user }: Written): AuditEvent {
    return describe(row, user ?? null, draft.content ?? {}, null);
  }

  /** What differs in the ring from that of the process that was the last to begin. */
  async #changesOfKeys(): Promise<readonly Draft[]> {
    const { store, keys } = this.#settings;
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
}
