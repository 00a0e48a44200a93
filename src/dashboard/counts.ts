import { eventCodes, type AuditEventType } from "../audit/events.ts";
import { outsideRequests } from "../shared/outside-requests.ts";
import { DAY, type AuditStore, type DayCount } from "../store/audit.ts";

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

/** A time that is counted with one statement. */
interface Part {
  readonly from: number;
  readonly step: number;
}

/** Events of transactions that end late can still appear in a piece this long after its end, in milliseconds. */
const LATE = 60_000;
/** Pieces that one page counts itself; the others follow in the background. */
const AT_ONCE = 4;
const MOST_KEPT = 500;

/**
 * Counts events of the audit trail by time. A piece of time that is over does not change, so each is counted once in this
 * process, by an index on the time, and a page view counts only what has happened since.
 */
export class Counts {
  readonly #store: AuditStore;
  readonly #clock: () => number;
  readonly #kept = new Map<string, readonly DayCount[]>();
  /** How many events of each day were pruned when its pieces were counted. */
  readonly #prunedOf = new Map<number, number>();
  #filling: Promise<void> | null = null;

  constructor(store: AuditStore, clock: () => number) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Sends at most {@link AT_ONCE} + 1 statements. What they do not cover is counted in the background. */
  async figures(name: PeriodName): Promise<Figures> {
    const period = periods[name];
    const { step, steps } = period;
    const now = this.#clock();
    const current = Math.floor(now / step) * step;
    const starts = Array.from({ length: steps }, (_, index) => current - (steps - 1 - index) * step);
    const pruned = step === DAY ? await this.#store.prunedCounts(starts[0]! / DAY, current / DAY + 1) : [];
    if (step === DAY) this.#forgetPruned(starts, pruned);
    const missing = starts
      .flatMap((from) => this.#partsOf({ from, step }))
      .filter((part) => !this.#kept.has(keyOf(part)))
      .toReversed(); // the newest first: they are what people look at
    const counted = new Map<string, readonly DayCount[]>();
    for (const part of missing.slice(0, AT_ONCE)) counted.set(keyOf(part), await this.#count(part));
    this.#fill(missing.slice(AT_ONCE));
    const pieces = starts.map((from): Piece => {
      const parts = this.#partsOf({ from, step }).map(
        (part) => counted.get(keyOf(part)) ?? this.#kept.get(keyOf(part)),
      );
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

  /** Events that were pruned since a day was counted would count twice. */
  #forgetPruned(days: readonly number[], pruned: readonly DayCount[]): void {
    for (const from of days) {
      const count = sumOf(pruned, ({ day }) => day === from / DAY);
      if (count !== (this.#prunedOf.get(from) ?? 0)) this.#kept.delete(keyOf({ from, step: DAY }));
      this.#prunedOf.set(from, count);
    }
    for (const from of this.#prunedOf.keys()) if (from < days[0]!) this.#prunedOf.delete(from);
  }

  /** What to count for a piece: a day that still goes on is made of its hours, most of which are over. */
  #partsOf({ from, step }: Part): readonly Part[] {
    const now = this.#clock();
    if (step !== DAY || this.#isOver({ from, step })) return [{ from, step }];
    const hours = Math.min(24, Math.floor((now - from) / HOUR) + 1);
    return Array.from({ length: hours }, (_, hour) => ({ from: from + hour * HOUR, step: HOUR }));
  }

  #isOver({ from, step }: Part): boolean {
    return from + step + LATE <= this.#clock();
  }

  #fill(parts: readonly Part[]): void {
    if (this.#filling !== null || parts.length === 0) return;
    const work = async (): Promise<void> => {
      for (const part of parts) await this.#count(part);
    };
    // A failure shows on the next page, which counts again.
    this.#filling = outsideRequests(work)
      .catch(() => {})
      .finally(() => (this.#filling = null));
  }

  async #count(part: Part): Promise<readonly DayCount[]> {
    const { from, step } = part;
    const isOver = this.#isOver(part);
    const counts = await this.#store.count(from, from + step);
    if (isOver) this.#keep(keyOf(part), counts);
    return counts;
  }

  #keep(key: string, counts: readonly DayCount[]): void {
    this.#kept.set(key, counts);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

function keyOf({ from, step }: Part): string {
  return `${step}:${from}`;
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
