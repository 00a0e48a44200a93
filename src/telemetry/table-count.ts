/** The part of a session manager that the gauges use. */
export interface CountedSessions {
  count(): Promise<number>;
  /** One pass over the table for all three gauges. Without it, only live sessions are counted. */
  census?(): Promise<{
    readonly live: number;
    readonly ended: number;
    readonly keys: readonly { readonly key: string; readonly place: string; readonly rows: number }[];
  } | null>;
}

/** What a table holds. */
export interface Counted {
  readonly live: number;
  /** Null if only live sessions are known. */
  readonly census: {
    readonly ended: number;
    readonly keys: readonly { readonly key: string; readonly place: string; readonly rows: number }[];
  } | null;
}

/** In milliseconds. A scrape times out after ten seconds by default and collects other metrics too. */
const countTimeout = 3_000;

/**
 * Counts what the table holds, at most every `every` milliseconds. If a count fails, there are no values rather than stale
 * ones or zero. If a count is slow, `values` answers the previous ones while they are younger than twice `every`; the next
 * call answers the late result regardless of its age, so that slow counts still appear.
 */
export class TableCount {
  readonly #sessions: CountedSessions;
  readonly #every: number;
  #current: Counted | null = null;
  #countedAt = -Infinity;
  /** Whether a page has reported the current values. */
  #shown = true;
  #counting: Promise<void> | null = null;
  #page: Promise<Counted | null> | null = null;

  constructor(sessions: CountedSessions, every: number) {
    this.#sessions = sessions;
    this.#every = every;
  }

  /** The gauges of a page are collected in one turn of the event loop, and wait for the same count. */
  values(): Promise<Counted | null> {
    this.#page ??= this.#collect().finally(() => (this.#page = null));
    return this.#page;
  }

  async #collect(): Promise<Counted | null> {
    if (this.#age() >= this.#every) await this.#recount();
    this.#shown = true;
    return this.#current;
  }

  #age(): number {
    return performance.now() - this.#countedAt;
  }

  async #recount(): Promise<void> {
    this.#counting ??= this.#count()
      // An outage of the store must not fail the page that reports it.
      .catch(() => void (this.#current = null))
      .finally(() => (this.#counting = null));
    if (await settledWithin(countTimeout, this.#counting)) return;
    if (this.#shown && this.#age() >= 2 * this.#every) this.#current = null;
  }

  async #count(): Promise<void> {
    const census = (await this.#sessions.census?.()) ?? null;
    const live = census === null ? await this.#sessions.count() : census.live;
    this.#current = { live, census };
    this.#countedAt = performance.now();
    this.#shown = false;
  }
}

async function settledWithin(limit: number, work: Promise<void>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), limit);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
