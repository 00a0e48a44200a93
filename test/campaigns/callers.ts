/**
 * Callers as requests of an application are: each loads a session, does something, commits, and writes into a ledger
 * what it was told. Whatever then happens to the database, the ledger says what must be there, what must be gone,
 * and what may be either because the answer was lost.
 */
import { setTimeout as pause } from "node:timers/promises";
import { ConflictError, StoreError } from "../../src/errors.ts";
import type { Session, SessionManager } from "../../src/index.ts";
import { cookieOf, seeded } from "../session/doubles.ts";

export type Sessions = SessionManager<Record<string, unknown>>;

export interface CallersOptions {
  /** One manager for each process or node that serves requests; callers go to one of them at random. */
  readonly managers: readonly Sessions[];
  readonly count: number;
  readonly seed: number;
  /** Tells the keys of these callers from those of others in the shared sessions. */
  readonly name: string;
  /** Cookies of sessions that many callers change at once. */
  readonly shared?: readonly string[];
  /** Milliseconds that a caller thinks between two requests, at most; 0 unless given. */
  readonly thinks?: number;
}

export interface Figures {
  /** Calls of load, commit and update that were answered without an error. */
  answered: number;
  /** Writes that were acknowledged. */
  acknowledged: number;
  /** Calls that ended in an error, by its code. */
  errors: Record<string, number>;
  /** Sessions that were ended, and told so. */
  ended: number;
  /** Commits that failed and succeeded when they were repeated. */
  repeated: number;
  /** The longest that a call of load, commit or update took, in milliseconds. */
  longest: number;
  /** The same of sessions that many callers change at once: a commit there may meet others and ask several times. */
  longestShared: number;
}

/** The values that a session, or a key of one, may have now; null: it has ended. */
type Possible = Set<number | null>;

interface Own {
  readonly cookie: string;
  possible: Possible;
}

interface Attempt {
  readonly done: boolean;
  /** A write that failed may have happened. */
  readonly unsure: boolean;
}

export class Callers {
  readonly #options: CallersOptions;
  readonly #random: () => number;
  readonly #ledger: Own[] = [];
  readonly #keys = new Map<string, Possible>();
  readonly #counts = new Map<string, { acknowledged: number; unsure: number }>();
  readonly #problems: string[] = [];
  readonly figures: Figures = {
    answered: 0,
    acknowledged: 0,
    errors: {},
    ended: 0,
    repeated: 0,
    longest: 0,
    longestShared: 0,
  };
  #running = true;
  #value = 0;
  #working: Promise<unknown> | null = null;

  constructor(options: CallersOptions) {
    this.#options = options;
    this.#random = seeded(options.seed);
  }

  start(): void {
    const { count, name } = this.#options;
    this.#working = Promise.all(Array.from({ length: count }, (_, nth) => this.#work(`${name}${nth}`)));
  }

  /** Lets every caller finish what it does. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#working;
  }

  /** How often the shared session of this cookie was counted up for sure, and at most. */
  counted(cookie: string): { least: number; most: number } {
    const { acknowledged = 0, unsure = 0 } = this.#counts.get(cookie) ?? {};
    return { least: acknowledged, most: acknowledged + unsure };
  }

  /** Looks every session up through `sessions`, and answers what is wrong, a sentence each. */
  async verify(sessions: Sessions): Promise<string[]> {
    const wrong = [...this.#problems];
    const look = async ({ cookie, possible }: Own): Promise<void> => {
      const session = await sessions.load(cookie);
      const found = session.isNew ? null : (session.data["n"] as number);
      if (!possible.has(found))
        wrong.push(`A session should hold ${told(possible)} and holds ${told([found])}.`);
    };
    for (let from = 0; from < this.#ledger.length; from += 256) {
      await Promise.all(this.#ledger.slice(from, from + 256).map(look));
    }
    for (const [at, possible] of this.#keys) {
      const [cookie = "", key = ""] = at.split(" ");
      const found = ((await sessions.load(cookie)).data[key] as number | undefined) ?? null;
      if (!possible.has(found)) wrong.push(`${key} should be ${told(possible)} and is ${told([found])}.`);
    }
    return wrong;
  }

  /** Sessions in the ledger: live ones, those that are gone, those of which it cannot be known. */
  census(): { live: number; gone: number; either: number } {
    const census = { live: 0, gone: 0, either: 0 };
    for (const { possible } of this.#ledger) {
      census[!possible.has(null) ? "live" : possible.size === 1 ? "gone" : "either"]++;
    }
    return census;
  }

  async #work(caller: string): Promise<void> {
    const mine: Own[] = [];
    const { thinks = 0, shared = [] } = this.#options;
    while (this.#running) {
      const dice = this.#random();
      try {
        if (mine.length < 3 || dice < 0.06) await this.#create(mine);
        else if (dice < 0.4) await this.#read(this.#pick(mine));
        else if (dice < 0.75) await this.#write(this.#pick(mine));
        else if (dice < 0.83) await this.#regenerate(mine);
        else if (dice < 0.9) await this.#destroy(mine);
        else if (dice < 0.92) await this.#loadEnded();
        else if (shared.length === 0) await this.#read(this.#pick(mine));
        else if (dice < 0.96) await this.#writeKey(this.#pick(shared), caller);
        else await this.#countUp(this.#pick(shared));
      } catch (error) {
        this.#problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
        return;
      }
      if (thinks > 0) await pause(this.#random() * thinks);
    }
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)] as Item;
  }

  get #sessions(): Sessions {
    return this.#pick(this.#options.managers);
  }

  /** One call, timed and counted. An error of the store is answered; any other ends the campaign. */
  async #call<T>(
    work: () => Promise<T>,
    shared = false,
  ): Promise<{ value: T } | { error: StoreError | ConflictError }> {
    const began = performance.now();
    try {
      const value = await work();
      this.figures.answered++;
      return { value };
    } catch (error) {
      if (!(error instanceof StoreError || error instanceof ConflictError)) throw error;
      const name = `${error.code.replace("ERR_STORED_SESSION_", "")}${"outcome" in error && error.outcome === "unknown" ? " (unknown)" : ""}`;
      this.figures.errors[name] = (this.figures.errors[name] ?? 0) + 1;
      return { error };
    } finally {
      const longest = shared ? "longestShared" : "longest";
      this.figures[longest] = Math.max(this.figures[longest], Math.round(performance.now() - began));
    }
  }

  async #load(sessions: Sessions, own: Own): Promise<Session<Record<string, unknown>> | null> {
    const result = await this.#call(() => sessions.load(own.cookie));
    if ("error" in result) {
      if (this.#running) await pause(20 + this.#random() * 80);
      return null;
    }
    const session = result.value;
    const found = session.isNew ? null : (session.data["n"] as number);
    if (!own.possible.has(found)) {
      this.#problems.push(`A request found ${told([found])} where ${told(own.possible)} was right.`);
    }
    if (found === null) own.possible = new Set([null]);
    return session;
  }

  /** Commits, and commits the same session again after an error: at most so often. */
  async #commit(
    sessions: Sessions,
    session: Session<Record<string, unknown>>,
    times: number,
    shared = false,
  ): Promise<Attempt & { cookie: string | null }> {
    let unsure = false;
    for (let tried = 0; ; tried++) {
      const result = await this.#call(() => sessions.commit(session), shared);
      if ("value" in result) {
        this.figures.acknowledged++;
        if (tried > 0) this.figures.repeated++;
        return { done: true, unsure: false, cookie: result.value };
      }
      unsure ||= "outcome" in result.error && result.error.outcome === "unknown";
      if (tried >= times) return { done: false, unsure, cookie: null };
      await pause(50 + this.#random() * 150);
    }
  }

  async #create(mine: Own[]): Promise<void> {
    const sessions = this.#sessions;
    const session = await sessions.load(null);
    const n = ++this.#value;
    session.data["n"] = n;
    session.data["text"] = "x".repeat(100 + Math.floor(this.#random() * 400));
    const { done, cookie } = await this.#commit(sessions, session, 1);
    if (done) mine.push(this.#note({ cookie: cookieOf(cookie), possible: new Set([n]) }));
  }

  #note(own: Own): Own {
    this.#ledger.push(own);
    return own;
  }

  async #read(own: Own): Promise<void> {
    const sessions = this.#sessions;
    const session = await this.#load(sessions, own);
    if (session && !session.isNew) await this.#call(() => sessions.commit(session));
  }

  async #write(own: Own): Promise<void> {
    const sessions = this.#sessions;
    const session = await this.#load(sessions, own);
    if (!session || session.isNew) return;
    const n = ++this.#value;
    session.data["n"] = n;
    const { done, unsure } = await this.#commit(sessions, session, 1);
    // Where an end may still be on its way, a save that found the session ended is acknowledged as well.
    if (done) own.possible = own.possible.has(null) ? new Set([n, null]) : new Set([n]);
    else if (unsure) own.possible.add(n);
  }

  async #regenerate(mine: Own[]): Promise<void> {
    const own = this.#pick(mine);
    const sessions = this.#sessions;
    const session = await this.#load(sessions, own);
    mine.splice(mine.indexOf(own), 1);
    if (!session || session.isNew) return;
    const n = session.data["n"] as number;
    session.regenerate();
    const { done, unsure, cookie } = await this.#commit(sessions, session, 8);
    if (done) {
      own.possible = new Set([null]);
      if (cookie !== null) mine.push(this.#note({ cookie: cookieOf(cookie), possible: new Set([n]) }));
    } else if (unsure) own.possible.add(null);
  }

  async #destroy(mine: Own[]): Promise<void> {
    const own = this.#pick(mine);
    const sessions = this.#sessions;
    const session = await this.#load(sessions, own);
    mine.splice(mine.indexOf(own), 1);
    if (!session || session.isNew) return;
    session.destroy();
    const { done, unsure } = await this.#commit(sessions, session, 8);
    if (done) {
      own.possible = new Set([null]);
      this.figures.ended++;
    } else if (unsure) own.possible.add(null);
  }

  /** A browser that comes back with a cookie of before. */
  async #loadEnded(): Promise<void> {
    const own = this.#ledger.length > 0 ? this.#pick(this.#ledger) : null;
    if (own && own.possible.size === 1 && own.possible.has(null)) await this.#load(this.#sessions, own);
  }

  async #writeKey(cookie: string, key: string): Promise<void> {
    const sessions = this.#sessions;
    const result = await this.#call(() => sessions.load(cookie));
    if ("error" in result) return;
    if (result.value.isNew) throw new Error("A shared session is gone.");
    const at = `${cookie} ${key}`;
    const n = ++this.#value;
    result.value.data[key] = n;
    const { done, unsure } = await this.#commit(sessions, result.value, 1, true);
    if (done) this.#keys.set(at, new Set([n]));
    else if (unsure) this.#keys.set(at, new Set([...(this.#keys.get(at) ?? [null]), n]));
  }

  async #countUp(cookie: string): Promise<void> {
    const sessions = this.#sessions;
    const result = await this.#call(() => sessions.load(cookie));
    if ("error" in result) return;
    const session = result.value;
    const count = this.#counts.get(cookie) ?? { acknowledged: 0, unsure: 0 };
    this.#counts.set(cookie, count);
    const countOne = (data: Record<string, unknown>): void => {
      data["count"] = ((data["count"] as number | undefined) ?? 0) + 1;
    };
    const updated = await this.#call(() => sessions.update(session, countOne), true);
    if ("value" in updated) {
      count.acknowledged++;
      this.figures.acknowledged++;
    } else if ("outcome" in updated.error && updated.error.outcome === "unknown") count.unsure++;
  }
}

function told(values: Iterable<number | null>): string {
  return [...values].map((value) => value ?? "nothing").join(" or ");
}

/** Makes sessions that many callers are to share; answers their cookies. */
export async function sharedSessions(sessions: Sessions, count: number): Promise<string[]> {
  const cookies: string[] = [];
  for (let nth = 0; nth < count; nth++) {
    const session = await sessions.load(null);
    session.data["count"] = 0;
    cookies.push(cookieOf(await sessions.commit(session)));
  }
  return cookies;
}

/** The figures of several processes together. */
export function sum(all: readonly Figures[]): Figures {
  const total: Figures = {
    answered: 0,
    acknowledged: 0,
    errors: {},
    ended: 0,
    repeated: 0,
    longest: 0,
    longestShared: 0,
  };
  for (const figures of all) {
    total.answered += figures.answered;
    total.acknowledged += figures.acknowledged;
    total.ended += figures.ended;
    total.repeated += figures.repeated;
    total.longest = Math.max(total.longest, figures.longest);
    total.longestShared = Math.max(total.longestShared, figures.longestShared);
    for (const [name, count] of Object.entries(figures.errors)) {
      total.errors[name] = (total.errors[name] ?? 0) + count;
    }
  }
  return total;
}
