import { AsyncLocalStorage } from "node:async_hooks";
import { outsideRequests } from "../shared/outside-requests.ts";
import { SessionBusyError } from "../errors.ts";
import { EventLoopLag } from "../shared/event-loop-lag.ts";

/**
 * done; beaten: another request's change was faster; asked: the application asked for something else meanwhile; gone:
 * the session has ended.
 */
export type Outcome = "done" | "beaten" | "asked" | "gone";

/**
 * A change that can be written together with those of other requests.
 *
 * `Draft` is what changes are applied to, one after another; `Done` is what a write left in the store.
 */
export interface Change<Draft, Done> {
  /** Whose session it was made to. */
  readonly user: string | undefined;
  /** Whether nothing came between that makes it something else than a plain save. */
  isOpen(): boolean;
  /**
   * The draft with this change on top, which it may make in place.
   * @throws anything, with the draft left as it was: it is told when the change is made by itself
   */
  apply(draft: Draft): Draft;
  /** Takes over what was written, with this change in it. */
  settle(done: Done): void;
  /** The answer to the write with this change in it was lost: it may have been applied. */
  lost(done: Done): void;
}

/** A change that waits for its turn, or for another request to take it along. */
export interface Entry<Draft, Done> {
  readonly change: Change<Draft, Done> | null;
  readonly work: () => Promise<Outcome>;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
  /** What the lane had worked when this began to wait. */
  readonly since: number;
}

interface Lane<Draft, Done> {
  waiting: Entry<Draft, Done>[];
  /** Milliseconds. */
  worked: number;
}

/** Changes of one session that wait in this process at most; one more is refused. */
const MOST_WAITING = 4_096;
/** Changes in one write: they are applied in one turn of the event loop. */
const MOST_TOGETHER = 256;

/**
 * Group commit (decision 23). Of the changes of one session in this process, one is being written. The others wait in
 * order, outside the store's queue, so that a busy session takes one place there and not one for each request. Whoever
 * writes next may take those that wait along.
 */
export class GroupCommit<Draft, Done> {
  readonly #lanes: Map<string, Lane<Draft, Done>> = new Map();
  readonly #limit: number;
  readonly #lag: EventLoopLag;

  /**
   * @param limit milliseconds: behind one that takes longer the next one goes, beside it, and none waits longer than
   *   this for the work of others
   */
  constructor(limit: number) {
    this.#limit = limit;
    this.#lag = new EventLoopLag(limit / 50);
  }

  /**
   * @param first tried when nobody else is writing this session; false when what is stored was changed by somebody else
   * @param again writes it on top of what is stored
   * @param change for others to take along; null for what must be written by itself
   * @throws {SessionBusyError}
   */
  run(
    name: string,
    first: () => Promise<boolean>,
    again: (company: Company<Draft, Done>) => Promise<Outcome>,
    change: () => Change<Draft, Done> | null,
  ): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const company = new Company(this, name);
      const lane = this.#lanes.get(name);
      if (lane === undefined) {
        const work = inOwnContext(async () => ((await first()) ? "done" : again(company)));
        this.#start(name, { change: null, work, resolve, reject, since: 0 });
        return;
      }
      if (lane.waiting.length >= MOST_WAITING)
        throw tooBusy(name, `${lane.waiting.length} changes of it wait`);
      const work = inOwnContext(() => again(company));
      lane.waiting.push({ change: ownChange(change()), work, resolve, reject, since: lane.worked });
    });
  }

  #start(name: string, first: Entry<Draft, Done>): void {
    const lane: Lane<Draft, Done> = { waiting: [], worked: 0 };
    this.#lanes.set(name, lane);
    outsideRequests(() => void this.#drain(name, lane, first));
  }

  async #drain(name: string, lane: Lane<Draft, Done>, first: Entry<Draft, Done>): Promise<void> {
    for (
      let entry: Entry<Draft, Done> | undefined = first;
      entry !== undefined;
      entry = this.#next(name, lane)
    ) {
      // A process that stood still meanwhile has made nobody wait for work.
      const began = performance.now();
      const late = this.#lag.begin(began);
      await within(entry.work().then(entry.resolve, entry.reject), this.#limit);
      const now = performance.now();
      lane.worked += now - began - (this.#lag.until(now) - late);
      this.#lag.end();
    }
    this.#lanes.delete(name);
  }

  #next(name: string, lane: Lane<Draft, Done>): Entry<Draft, Done> | undefined {
    for (;;) {
      const entry = lane.waiting.shift();
      if (entry === undefined || lane.worked - entry.since < this.#limit) return entry;
      entry.reject(tooBusy(name, `this one waited ${Math.round(lane.worked - entry.since)} ms for others`));
    }
  }

  /** Those that may be written with a change to this user's session, in order. They wait no more. */
  take(name: string, user: string | undefined): Entry<Draft, Done>[] {
    const lane = this.#lanes.get(name);
    if (lane === undefined) return [];
    const taken: Entry<Draft, Done>[] = [];
    const left: Entry<Draft, Done>[] = [];
    for (const entry of lane.waiting) {
      const fits = taken.length < MOST_TOGETHER && mayJoin(entry, user);
      (fits ? taken : left).push(entry);
    }
    lane.waiting = left;
    return taken;
  }

  /** They wait once more, before those that came later. */
  giveBack(name: string, entries: readonly Entry<Draft, Done>[]): void {
    const lane = this.#lanes.get(name);
    if (lane !== undefined) {
      lane.waiting = [...entries, ...lane.waiting];
      return;
    }
    const [first, ...others] = entries;
    if (first === undefined) return;
    this.#start(name, first);
    this.#lanes.get(name)?.waiting.push(...others);
  }
}

/** What the one that writes a session knows of those that wait. */
export class Company<Draft, Done> {
  readonly #group: GroupCommit<Draft, Done>;
  readonly #name: string;

  constructor(group: GroupCommit<Draft, Done>, name: string) {
    this.#group = group;
    this.#name = name;
  }

  take(user: string | undefined): Entry<Draft, Done>[] {
    return this.#group.take(this.#name, user);
  }

  giveBack(entries: readonly Entry<Draft, Done>[]): void {
    this.#group.giveBack(this.#name, entries);
  }
}

function mayJoin<Draft, Done>({ change }: Entry<Draft, Done>, user: string | undefined): boolean {
  return change !== null && change.user === user && change.isOpen();
}

/**
 * Binds a function to the async context of the request that it is for. One request's turn is begun at the end of
 * another's, and hooks such as `schema`, `onConflict` and the function of `sessions.update` may read AsyncLocalStorage.
 */
function inOwnContext<Args extends unknown[], Answer>(
  work: (...args: Args) => Answer,
): (...args: Args) => Answer {
  const run = AsyncLocalStorage.snapshot();
  return (...args) => run(work, ...args);
}

function ownChange<Draft, Done>(change: Change<Draft, Done> | null): Change<Draft, Done> | null {
  return change && { ...change, apply: inOwnContext((draft: Draft) => change.apply(draft)) };
}

function tooBusy(name: string, why: string): SessionBusyError {
  return new SessionBusyError(
    `Session ${name} is changed by too many requests at once: ${why}. Nothing of this request is stored; try again. Other sessions are not affected.`,
  );
}

function within(task: Promise<unknown>, limit: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limit);
    void task.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
