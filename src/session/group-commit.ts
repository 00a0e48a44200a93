import { AsyncLocalStorage } from "node:async_hooks";
import { outsideRequests } from "../shared/outside-requests.ts";
import { SessionBusyError } from "../errors.ts";
import { Deadlines, type Limited } from "../shared/deadlines.ts";
import { EventLoopLag } from "../shared/event-loop-lag.ts";

/**
 * done; beaten: another request wrote first; asked: the application requested another operation meanwhile; gone: the
 * session has ended.
 */
export type Outcome = "done" | "beaten" | "asked" | "gone";

/**
 * A change that can be written together with those of other requests.
 *
 * Changes are applied to a `Draft`, one after another; `Done` is what a write stored.
 */
export interface Change<Draft, Done> {
  /** The user of the session that it changes. */
  readonly user: string | undefined;
  /** Whether it still is a plain save: the application requested nothing else meanwhile. */
  isOpen(): boolean;
  /**
   * Applies this change to the draft, possibly in place.
   * @throws anything, with the draft unmodified: the change then fails when its own turn comes
   */
  apply(draft: Draft): Draft;
  /** Records a confirmed write that included this change. */
  settle(done: Done): void;
  /** Records a write that included this change and whose answer was lost. */
  lost(done: Done): void;
}

/** A save that waits for its turn, or for another save to include its change. */
export interface Entry<Draft, Done> {
  readonly change: Change<Draft, Done> | null;
  readonly work: () => Promise<Outcome>;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
  /** The lane's `worked` when this began to wait. */
  readonly since: number;
}

interface Lane<Draft, Done> {
  waiting: Entry<Draft, Done>[];
  /** How long saves of this lane have run, in milliseconds. */
  worked: number;
}

/** The most saves of one session that may wait in this process. One more is refused. */
const MOST_WAITING = 4_096;
/** The most changes in one write: they are applied in one turn of the event loop. */
const MOST_TOGETHER = 256;

/**
 * Group commit (decision 23). Of the saves of one session in this process, one runs at a time. The others wait in order,
 * outside the store's queue, so that a hot session takes one place there and not one for each request. The next save may
 * include the changes of those that wait.
 */
export class GroupCommit<Draft, Done> {
  readonly #lanes: Map<string, Lane<Draft, Done>> = new Map();
  readonly #limit: number;
  readonly #lag: EventLoopLag;
  readonly #deadlines: Deadlines;

  /**
   * @param limit milliseconds: a save that runs longer no longer blocks the next one, and no save waits longer than this
   *   for others
   */
  constructor(limit: number) {
    this.#limit = limit;
    this.#lag = new EventLoopLag(limit / 50);
    this.#deadlines = new Deadlines(limit, this.#lag);
  }

  /**
   * @param first called if no other save of this session is running. False if the row has changed
   * @param again writes on top of what is stored
   * @param change the change, for others to include; null if it must be written by itself
   * @throws {SessionBusyError} too many saves wait, or this one waited too long
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
        const own = this.#open(name, []);
        // Called here, in its own context: binding a function to a context takes longer than the rest of a turn.
        const working = begun(first, () => again(company));
        outsideRequests(() => void this.#drain(name, own, working.then(resolve, reject)));
        return;
      }
      if (lane.waiting.length >= MOST_WAITING)
        throw tooBusy(name, `${lane.waiting.length} changes are waiting`);
      const work = inOwnContext(() => again(company));
      lane.waiting.push({ change: ownChange(change()), work, resolve, reject, since: lane.worked });
    });
  }

  #open(name: string, entries: readonly Entry<Draft, Done>[]): Lane<Draft, Done> {
    const lane: Lane<Draft, Done> = { waiting: [...entries], worked: 0 };
    this.#lanes.set(name, lane);
    return lane;
  }

  /** @param first the save that has begun already, if there is one; it never rejects */
  async #drain(name: string, lane: Lane<Draft, Done>, first?: Promise<void>): Promise<void> {
    if (first !== undefined) await this.#turn(lane, () => first);
    for (let entry = this.#next(name, lane); entry !== undefined; entry = this.#next(name, lane)) {
      const { work, resolve, reject } = entry;
      await this.#turn(lane, () => work().then(resolve, reject));
    }
    this.#lanes.delete(name);
  }

  async #turn(lane: Lane<Draft, Done>, work: () => Promise<void>): Promise<void> {
    // Event-loop lag does not count as work of this lane.
    const began = performance.now();
    const late = this.#lag.begin(began);
    await within(work(), this.#deadlines);
    const now = performance.now();
    lane.worked += now - began - (this.#lag.until(now) - late);
    this.#lag.end();
  }

  #next(name: string, lane: Lane<Draft, Done>): Entry<Draft, Done> | undefined {
    for (;;) {
      const entry = lane.waiting.shift();
      if (entry === undefined || lane.worked - entry.since < this.#limit) return entry;
      entry.reject(tooBusy(name, `this one waited ${Math.round(lane.worked - entry.since)} ms for others`));
    }
  }

  /** Removes and returns, in order, the entries whose changes may join a write to this user's session. */
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

  /** Puts entries back, before those that came later. */
  giveBack(name: string, entries: readonly Entry<Draft, Done>[]): void {
    const lane = this.#lanes.get(name);
    if (lane === undefined) {
      const own = this.#open(name, entries);
      outsideRequests(() => void this.#drain(name, own));
    } else lane.waiting = [...entries, ...lane.waiting];
  }
}

/** The entries that wait behind the running save, as it sees them. */
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
 * Binds a function to the async context of its own request. A turn starts at the end of another request's turn, and hooks
 * such as `schema`, `onConflict` and the function of `sessions.update` may read AsyncLocalStorage.
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

async function begun(first: () => Promise<boolean>, again: () => Promise<Outcome>): Promise<Outcome> {
  return (await first()) ? "done" : again();
}

function tooBusy(name: string, why: string): SessionBusyError {
  return new SessionBusyError(
    `Too many requests are changing session ${name}: ${why}. Nothing of this request was saved. Retry it. Other sessions are not affected.`,
  );
}

/** One save that others wait for, which they do no longer than the limit. */
class Turn implements Limited {
  deadline = 0;
  earlier: Limited | null = null;
  later: Limited | null = null;
  readonly expire: () => void;

  constructor(expire: () => void) {
    this.expire = expire;
  }
}

function within(task: Promise<unknown>, deadlines: Deadlines): Promise<void> {
  return new Promise((resolve) => {
    const turn = new Turn(resolve);
    deadlines.add(turn);
    void task.then(() => {
      deadlines.remove(turn);
      resolve();
    });
  });
}
