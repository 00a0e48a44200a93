import { StoreOverloadedError, StoreTimeoutError } from "../errors.ts";
import { randomBytes } from "../sealing/random.ts";
import {
  CHAIN_BYTES,
  positionOf,
  type AuditRow,
  type AuditStore,
  type ChangeResult,
  type RecordedChange,
} from "../store/audit.ts";
import { hashOf, macOf, NO_HASH } from "./chain.ts";
import { deviceOf } from "./device.ts";
import { eventCodes, outcomeCodes } from "./events.ts";
import type { AuditContent, AuditEventType, AuditOutcome } from "./events.ts";
import type { Subject, Subjects, Who } from "./subjects.ts";
import type { KeyRing } from "../sealing/keyring.ts";

/** An event before it has a place in the trail. */
export interface Draft {
  readonly type: AuditEventType;
  readonly outcome?: AuditOutcome;
  /** Id of the session's row. */
  readonly session?: Uint8Array | null;
  /** Whose event it is: one of those that the entry names. */
  readonly who?: Who;
  readonly count?: number;
  readonly content?: AuditContent;
}

/** A change with its events; or events alone. */
export interface Entry {
  readonly change: RecordedChange | null;
  /** Whose events they may be. */
  readonly whos: readonly Who[];
  /** The events of the change that was made; none if nothing was applied. Called again when the transaction is repeated. */
  drafts(result: ChangeResult): readonly Draft[];
}

/** An event that was written, with what is sealed in it. */
export interface Written {
  readonly row: AuditRow;
  readonly draft: Draft;
  readonly user: string | undefined;
}

interface Chain {
  readonly id: Uint8Array;
  readonly secret: Subject;
  readonly beganAt: number;
  number: number;
  hash: Uint8Array;
}

export interface WriterOptions {
  readonly store: AuditStore;
  readonly keys: KeyRing;
  readonly subjects: Subjects;
  readonly clock: () => number;
  /** Milliseconds after which a batch without an answer is waited for no longer. */
  readonly timeout: number;
  /** What the first event of a chain says of the process. */
  readonly process: Readonly<Record<string, string>>;
  /** Further events for the first chain of the process. */
  readonly atStart?: () => Promise<readonly Draft[]>;
  readonly onWritten?: (written: readonly Written[]) => void;
}

/** A chain is a segment: retention deletes whole ones, so none goes on for longer than a day. */
const LONGEST = 86_400_000;

/** Most events without a change in one transaction. */
const TOGETHER = 128;
/** Most of them that wait: what comes beyond is rejected, so that a flood takes no unbounded memory (load shedding). */
const MOST_QUEUED = 10_000;

/** What the column holds. */
const MOST_COUNT = 2 ** 31 - 1;

const APPLIED: ChangeResult = { applied: true, ended: [] };

/** Events without a change that wait for the batch under way. */
interface Waiting {
  readonly entries: Entry[];
  readonly written: Promise<unknown>;
}

/**
 * Writes the events of one process. One batch is under way at a time, so that the numbers of a chain have no gaps. After a
 * batch that failed or was not answered, it is not known what the store has: that chain is left as it is, and the next event
 * begins another.
 */
export class Writer {
  readonly #options: WriterOptions;
  #chain: Chain | null = null;
  #former: Chain | null = null;
  #why = "start";
  #atStart: readonly Draft[] = [];
  /** Until the batch before has ended, or is given up. */
  #free: Promise<void> = Promise.resolve();
  #turn = 0;
  #waiting: Waiting | null = null;
  /** Entries without a change that are waited for. */
  #queued = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Whether this process has written an event. */
  get hasBegun(): boolean {
    return (this.#chain?.number ?? 0) > 0 || this.#former !== null;
  }

  /**
   * In one transaction, the changes and the events of those that were made. The results are in the order of the entries.
   * Events without a change share a transaction with others that wait: a flood of failed logins must not make each login
   * wait for a transaction of every one of them.
   */
  async write(entries: readonly Entry[]): Promise<readonly ChangeResult[]> {
    if (entries.some(({ change }) => change !== null)) return await this.#queue(entries);
    if (this.#queued >= MOST_QUEUED) {
      throw new StoreOverloadedError(
        `${MOST_QUEUED} events already wait for the audit trail, so this one was not recorded. They arrive faster than the database stores them: retry later, and limit the rate of what causes them.`,
      );
    }
    this.#queued += entries.length;
    try {
      await this.#withOthers(entries);
    } finally {
      this.#queued -= entries.length;
    }
    return entries.map(() => APPLIED);
  }

  async #withOthers(entries: readonly Entry[]): Promise<void> {
    const waiting = this.#waiting;
    if (waiting !== null && waiting.entries.length + entries.length <= TOGETHER) {
      waiting.entries.push(...entries);
      await waiting.written;
    } else {
      const all = [...entries];
      const opened: Waiting = { entries: all, written: this.#queue(all, () => this.#begins(opened)) };
      this.#waiting = opened;
      await opened.written;
    }
  }

  #begins(waiting: Waiting): void {
    if (this.#waiting === waiting) this.#waiting = null;
  }

  /** One batch after the other. `onBegin` runs when its turn has come. */
  async #queue(entries: readonly Entry[], onBegin?: () => void): Promise<readonly ChangeResult[]> {
    const before = this.#free;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = promise;
    await before;
    onBegin?.();
    const turn = ++this.#turn;
    const writing = this.#write(entries, turn);
    // What is slower than `storeTimeout` was given up by those who waited for it.
    void within(
      writing.catch(() => {}),
      this.#options.timeout,
    ).then((isDone) => {
      if (!isDone) {
        this.#turn++;
        this.#abandon("timeout");
      }
      resolve();
    });
    return await writing;
  }

  async #write(entries: readonly Entry[], turn: number): Promise<readonly ChangeResult[]> {
    const { store, subjects, clock } = this.#options;
    const whos = entries.flatMap((entry) => entry.whos);
    const found = await subjects.ensure(whos);
    const subjectOf = new Map(whos.map((who, index) => [who, found[index]!]));
    this.#assertTurn(turn);
    // Also after the clock was set back by days: otherwise a chain would go on that retention takes for ended.
    if (this.#chain !== null && Math.abs(clock() - this.#chain.beganAt) >= LONGEST) this.#leave("rotation");
    const chain = this.#chain ?? (await this.#begin());
    this.#assertTurn(turn);
    this.#chain = chain;
    let written: Written[] = [];
    const changes = entries.flatMap(({ change }) => change ?? []);
    try {
      const results = await store.commit(changes, (applied) => {
        const drafts = draftsOf(entries, applied);
        written = drafts.length === 0 ? [] : this.#rowsOf(chain, drafts, subjectOf);
        return written.map(({ row }) => row);
      });
      const last = written.at(-1);
      if (last !== undefined) {
        chain.number += written.length;
        chain.hash = last.row.hash;
        this.#atStart = [];
        this.#options.onWritten?.(written);
      }
      return inOrder(entries, results);
    } catch (error) {
      if (this.#chain === chain) this.#abandon("failure");
      throw error;
    }
  }

  /** A batch that was given up before it was sent must not write in the chain of the next one. */
  #assertTurn(turn: number): void {
    if (turn === this.#turn) return;
    throw new StoreTimeoutError(
      "The store did not answer in time what the audit trail asked before the change. Nothing was changed.",
    );
  }

  async #begin(): Promise<Chain> {
    const id = randomBytes(CHAIN_BYTES);
    const secret = await this.#options.subjects.begin(id);
    const isFirst = this.#former === null;
    if (isFirst) this.#atStart = (await this.#options.atStart?.()) ?? [];
    return { id, secret, beganAt: this.#options.clock(), number: 0, hash: NO_HASH };
  }

  #abandon(why: string): void {
    if (this.#chain !== null) this.#leave(why);
  }

  #leave(why: string): void {
    // One without an event leaves nothing behind that could be named.
    if (this.#chain!.number > 0) this.#former = this.#chain;
    this.#chain = null;
    this.#why = why;
  }

  #rowsOf(chain: Chain, drafts: readonly Draft[], subjectOf: ReadonlyMap<Who, Subject | null>): Written[] {
    const { keys, subjects, clock } = this.#options;
    const all = chain.number === 0 ? [this.#started(), ...this.#atStart, ...drafts] : drafts;
    let { number, hash } = chain;
    return all.map((draft) => {
      const subject = (draft.who && subjectOf.get(draft.who)) ?? null;
      const position = positionOf(chain.id, ++number);
      const content = draft.content ?? {};
      const bare = {
        position,
        at: clock(),
        event: eventCodes[draft.type],
        outcome: outcomeCodes[draft.outcome ?? "success"],
        device: deviceOf(content.userAgent),
        amount: Math.min(draft.count ?? 1, MOST_COUNT),
        session: draft.session ?? null,
        subject: subject?.id ?? null,
        body: subjects.seal(subject ?? chain.secret, keys.newest.id, position, content),
      };
      hash = hashOf(hash, bare);
      const linked = { ...bare, hash };
      const row = { ...linked, mac: macOf(keys.newest, linked) };
      return { row, draft, user: draft.who?.user ?? subject?.user };
    });
  }

  #started(): Draft {
    const { process } = this.#options;
    const former = this.#former && Buffer.from(this.#former.id).toString("base64url");
    const keyNames = this.#options.keys.keys.map(({ name }) => name).join(" ");
    const details = { ...process, keys: keyNames, ...(former !== null && { former }) };
    return { type: "trail.started", content: { reason: this.#why, details } };
  }
}

/** The results stand for the entries that have a change. */
function draftsOf(entries: readonly Entry[], applied: readonly ChangeResult[]): readonly Draft[] {
  return inOrder(entries, applied).flatMap((result, index) => entries[index]!.drafts(result));
}

function inOrder(entries: readonly Entry[], applied: readonly ChangeResult[]): readonly ChangeResult[] {
  let at = 0;
  return entries.map(({ change }) => (change === null ? APPLIED : applied[at++]!));
}

/** Whether it is settled by then. */
function within(task: Promise<unknown>, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), Math.min(milliseconds, 2 ** 31 - 1));
    void task.then(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
