import type { Records } from "../session/records.ts";

/** Stored sessions, counted in one pass over the table. */
export interface Census {
  readonly live: number;
  /** Ended and not yet deleted. */
  readonly ended: number;
  /** Rows by the key that sealed them: those of the ring, newest first, then others, at most 16 and then "other". */
  readonly keys: readonly {
    /** The key id in hexadecimal, or "other". */
    readonly key: string;
    readonly place: "newest" | "older" | "unknown";
    readonly rows: number;
  }[];
}

/**
 * Keys outside the ring that are named. Whoever can write to the table can name any number of keys in it, and each would
 * be a time series.
 */
const mostUnknown = 16;

/** Null if the store or the format does not record keys. */
export async function censusOf(records: Records): Promise<Census | null> {
  const { keyNames: ring } = records.settings.format;
  if (ring === undefined) return null;
  const counts = await records.store.census(records.now());
  if (counts === null) return null;
  const sum = (of: "live" | "ended") => counts.reduce((total, count) => total + count[of], 0);
  const found = counts.map(({ key, live, ended }) => [key, live + ended] as const);
  const unknown = found.filter(([key]) => !ring.includes(key)).toSorted(([, a], [, b]) => b - a);
  const others = unknown.splice(mostUnknown).reduce((total, [, rows]) => total + rows, 0);
  const rowsOf = new Map([
    ...ring.map((key) => [key, 0] as const),
    ...found.filter(([key]) => ring.includes(key)),
    ...unknown,
    ...(others > 0 ? [["other", others] as const] : []),
  ]);
  const keys = Array.from(rowsOf, ([key, rows]) => ({
    key,
    place:
      ring[0] === key ? ("newest" as const) : ring.includes(key) ? ("older" as const) : ("unknown" as const),
    rows,
  }));
  return { live: sum("live"), ended: sum("ended"), keys };
}
