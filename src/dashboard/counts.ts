import { eventCodes, type AuditEventType } from "../audit/events.ts";
import { outsideRequests } from "../shared/outside-requests.ts";
import { DAY, slotOf, type AuditStore, type DayCount } from "../store/audit.ts";

/** Times that a page covers, as pieces of equal length. */
export interface Period {
  readonly name: PeriodName;
  /** Of a piece, in milliseconds. */
  readonly step: number;
  readonly steps: number;
  /** For headings: "Last hour". */
  readonly title: string;
}

export type PeriodName = "hour" | "day" | "month";

const MINUTE = 60_000;
const HOUR = 3_600_000;

export const periods: Readonly<Record<PeriodName, Period>> = {
  hour: { name: "hour", step: 300_000, steps: 12, title: "Last hour" },
  day: { name: "day", step: HOUR, steps: 24, title: "Last 24 hours" },
  month: { name: "month", step: DAY, steps: 30, title: "Last 30 days" },
};

export interface Piece {
  /** When it begins, in milliseconds since the epoch. */
  readonly from: number;
  /** Null while it is not counted yet. */
  readonly counts: readonly DayCount[] | null;
}

export interface Figures {
  readonly period: Period;
  /** Oldest first. The last one is still going on. */
  readonly pieces: readonly Piece[];
}

/** A time whose counts are kept by themselves. */
interface Part {
  readonly from: number;
  readonly step: number;
}

/** What is counted of a part that still goes on: all its events before `until`. */
interface Begun {
  readonly until: number;
  readonly counts: readonly DayCount[];
}

/** How many statements may be sent. */
interface Budget {
  left: number;
}

/** Events of transactions that end late can still appear this long after their time, in milliseconds. */
const LATE = 60_000;
/** What is older than {@link LATE} is counted for good in such pieces, in milliseconds. */
const GRAIN = 10_000;
/** Figures are shown again for so many milliseconds: several operators, and several tabs, cost as much as one. */
const FRESH = 5_000;
/** Statements of one page; what they do not count follows in the background. */
const AT_ONCE = 4;
/** One statement is to take no longer than this, in milliseconds: SQLite counts within the event loop. */
const LONG = 50;
/** A page waits so long for the background, in milliseconds: it is enough for small databases. */
const WAIT = 100;
const SHORT = 10;

/**
 * Counts events of the audit trail by time. What has happened is counted once in this process, by an index on the time,
 * and a page view counts only the last {@link LATE} + {@link GRAIN}, however many events an hour has.
 */
export class Counts {
  readonly #store: AuditStore;
  readonly #clock: () => number;
  /** Parts that are over. */
  readonly #kept = new Map<string, readonly DayCount[]>();
  readonly #begun = new Map<string, Begun>();
  /** How many events of each day were pruned when its pieces were counted. */
  readonly #prunedOf = new Map<number, number>();
  readonly #latest = new Map<PeriodName, { readonly at: number; readonly figures: Promise<Figures> }>();
  #filling: Promise<void> | null = null;
  /** How much time one statement covers: as much as the database counts quickly. */
  #span = 900_000;

  constructor(store: AuditStore, clock: () => number) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Sends at most {@link AT_ONCE} + 1 statements. What they do not cover is counted in the background, for which the first view
   * waits {@link WAIT}. The figures are up to {@link FRESH} old.
   */
  figures(name: PeriodName): Promise<Figures> {
    const now = this.#clock();
    const latest = this.#latest.get(name);
    if (latest !== undefined && Math.abs(now - latest.at) < FRESH) return latest.figures;
    const entry = { at: now, figures: this.#figures(name) };
    this.#latest.set(name, entry);
    const forget = (): void => {
      if (this.#latest.get(name) === entry) this.#latest.delete(name);
    };
    entry.figures.then(({ pieces }) => {
      if (pieces.some(({ counts }) => counts === null)) forget();
    }, forget);
    return entry.figures;
  }

  async #figures(name: PeriodName): Promise<Figures> {
    const period = periods[name];
    const { step, steps } = period;
    const now = this.#clock();
    this.#forgetOld(now);
    const current = Math.floor(now / step) * step;
    const starts = Array.from({ length: steps }, (_, index) => current - (steps - 1 - index) * step);
    const pruned = step === DAY ? await this.#store.prunedCounts(starts[0]! / DAY, current / DAY + 1) : [];
    if (step === DAY) this.#forgetPruned(starts, pruned);
    const partsOf = starts.map((from) => this.#partsOf({ from, step }));
    const counted = new Map<string, readonly DayCount[]>();
    const budget: Budget = { left: AT_ONCE };
    const left: Part[] = [];
    // The newest first: they are what people look at.
    for (const part of partsOf.flat().toReversed()) {
      const counts = await this.#count(part, budget);
      if (counts === null) left.push(part);
      else counted.set(keyOf(part), counts);
    }
    if (left.length > 0) {
      this.#fill(left);
      await this.#settledSoon();
      for (const part of left) {
        const counts = this.#kept.get(keyOf(part));
        if (counts !== undefined) counted.set(keyOf(part), counts);
      }
    }
    const pieces = starts.map((from, index): Piece => {
      const parts = partsOf[index]!.map((part) => counted.get(keyOf(part)));
      if (parts.includes(undefined)) return { from, counts: null };
      return {
        from,
        counts: [...parts.flatMap((part) => part!), ...pruned.filter(({ day }) => day === from / DAY)],
      };
    });
    return { period, pieces };
  }

  /** Resolves when nothing is counted in the background. */
  async settled(): Promise<void> {
    while (this.#filling !== null) await this.#filling;
  }

  async #settledSoon(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const soon = new Promise<void>((resolve) => (timer = setTimeout(resolve, WAIT)));
    await Promise.race([this.settled(), soon]);
    clearTimeout(timer);
  }

  /** Events that were pruned since a day was counted would count twice. */
  #forgetPruned(days: readonly number[], pruned: readonly DayCount[]): void {
    for (const from of days) {
      const count = sumOf(pruned, ({ day }) => day === from / DAY);
      if (count !== (this.#prunedOf.get(from) ?? 0))
        this.#forget((part) => part.from >= from && part.from < from + DAY);
      this.#prunedOf.set(from, count);
    }
    for (const from of this.#prunedOf.keys()) if (from < days[0]!) this.#prunedOf.delete(from);
  }

  /** What no period shows any more. */
  #forgetOld(now: number): void {
    this.#forget(
      ({ from, step }) => from < now - (step === DAY ? 31 * DAY : step === HOUR ? 2 * DAY : 2 * HOUR),
    );
  }

  #forget(isGone: (part: Part) => boolean): void {
    for (const map of [this.#kept, this.#begun])
      for (const key of map.keys()) if (isGone(partOf(key))) map.delete(key);
  }

  /** What to count for a piece: a day that still goes on is made of its hours, and so is one whose hours were counted. */
  #partsOf(piece: Part): readonly Part[] {
    const { from, step } = piece;
    if (step !== DAY || this.#kept.has(keyOf(piece))) return [piece];
    const now = this.#clock();
    const length = Math.min(24, Math.floor((now - from) / HOUR) + 1);
    const hours = Array.from({ length }, (_, hour) => ({ from: from + hour * HOUR, step: HOUR }));
    if (now < from + DAY + LATE) return hours;
    const known = hours.map((hour) => this.#kept.get(keyOf(hour)));
    if (known.every((counts) => counts === undefined)) return [piece];
    if (known.includes(undefined)) return hours;
    this.#kept.set(keyOf(piece), merged(...known.map((counts) => counts!)));
    return [piece];
  }

  #fill(parts: readonly Part[]): void {
    if (this.#filling !== null || parts.length === 0) return;
    const work = async (): Promise<void> => {
      for (const part of parts) await this.#count(part, { left: Infinity });
    };
    // A failure shows on the next page, which counts again.
    this.#filling = outsideRequests(work)
      .catch(() => {})
      .finally(() => (this.#filling = null));
  }

  /** Null if the budget does not suffice. What it has counted is not lost. */
  async #count(part: Part, budget: Budget): Promise<readonly DayCount[] | null> {
    const key = keyOf(part);
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const end = part.from + part.step;
    const settled = Math.min(end, Math.floor((this.#clock() - LATE) / GRAIN) * GRAIN);
    let begun = this.#begun.get(key) ?? { until: part.from, counts: [] };
    while (begun.until < settled) {
      if (budget.left-- <= 0) return null;
      const until = Math.min(settled, begun.until + this.#span);
      begun = { until, counts: merged(begun.counts, await this.#countQuickly(begun.until, until)) };
      this.#begun.set(key, begun);
    }
    if (begun.until === end) {
      this.#begun.delete(key);
      this.#kept.set(key, begun.counts);
      return begun.counts;
    }
    if (budget.left-- <= 0) return null;
    return merged(begun.counts, await this.#store.count(begun.until, end));
  }

  /** The next statement covers less time if this one took long, and more if it was quick. */
  async #countQuickly(since: number, until: number): Promise<readonly DayCount[]> {
    const start = performance.now();
    const counts = await this.#store.count(since, until);
    const took = performance.now() - start;
    if (took > LONG) this.#span = Math.max(MINUTE, this.#span / 2);
    else if (took < SHORT && until - since === this.#span) this.#span = Math.min(DAY, this.#span * 2);
    // Nobody else would have a turn with a store whose answers are there at once.
    await new Promise((resolve) => setImmediate(resolve));
    return counts;
  }
}

/** Counts of the same kind on the same day as one. */
function merged(...lists: readonly (readonly DayCount[])[]): readonly DayCount[] {
  const counts = new Map<number, DayCount>();
  for (const one of lists.flat()) {
    const slot = slotOf(one);
    counts.set(slot, { ...one, count: one.count + (counts.get(slot)?.count ?? 0) });
  }
  return [...counts.values()];
}

function keyOf({ from, step }: Part): string {
  return `${step}:${from}`;
}

function partOf(key: string): Part {
  const [step = 0, from = 0] = key.split(":").map(Number);
  return { from, step };
}

/** How often any of these events happened. */
export function sumOf(counts: readonly DayCount[] | null, matches: (count: DayCount) => boolean): number {
  return (counts ?? []).reduce((sum, count) => (matches(count) ? sum + count.count : sum), 0);
}

/** Matches counts of these events. */
export function isOf(types: readonly AuditEventType[]): (count: DayCount) => boolean {
  const codes = types.map((type) => eventCodes[type]) as readonly number[];
  return ({ event }) => codes.includes(event);
}
