import type { Records } from "../session/records.ts";

/** Stored sessions, counted in one pass over the table. */
export interface Census {
  readonly live: number;
  /** Ended and not yet deleted. */
  readonly ended: number;
  /** Rows by the key that sealed them: those of the ring, newest first, then others. */
  readonly keys: readonly {
    /** The key id in hexadecimal. */
    readonly key: string;
    readonly place: "newest" | "older" | "unknown";
    readonly rows: number;
  }[];
}

/** Null if the store or the format does not record keys. */
export async function censusOf(records: Records): Promise<Census | null> {
  const { keyNames: ring } = records.settings.format;
  if (ring === undefined) return null;
  const counts = await records.store.census(records.now());
  if (counts === null) return null;
  const sum = (of: "live" | "ended") => counts.reduce((total, count) => total + count[of], 0);
  const rowsOf = new Map([
    ...ring.map((key) => [key, 0] as const),
    ...counts.map(({ key, live, ended }) => [key, live + ended] as const),
  ]);
  const keys = Array.from(rowsOf, ([key, rows]) => ({
    key,
    place:
      ring[0] === key ? ("newest" as const) : ring.includes(key) ? ("older" as const) : ("unknown" as const),
    rows,
  }));
  return { live: sum("live"), ended: sum("ended"), keys };
}
