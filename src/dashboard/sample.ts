import { randomBytes } from "../sealing/random.ts";
import type { SessionFormat } from "../session/format.ts";
import type { Records } from "../session/records.ts";
import { isOver, storedEndOf } from "../session/lifetime.ts";
import type { RowInfo } from "../store/row.ts";

/** What a random part of the table says about all of it. */
export interface Sample {
  /** Stored sessions, and whether that is exact. */
  readonly rows: number;
  readonly isExact: boolean;
  /** The standard error of `rows` as a fraction of it; 0 if it is exact. */
  readonly error: number;
  /** How many rows were looked at. */
  readonly size: number;
  /** Of the rows looked at. */
  readonly live: number;
  readonly signedIn: number;
  /** When the session of these ended that waits longest to be deleted; null if none waits. */
  readonly oldestEnd: number | null;
  /** Live sessions by age in milliseconds: less than `under`, and not less than the one before. */
  readonly ages: readonly { readonly under: number; readonly live: number }[];
  /** Sealed bytes. */
  readonly bytes: { readonly median: number; readonly p95: number; readonly largest: number };
  /** Rows by a key that they need. A row whose client was sealed under another key than its data counts for both. */
  readonly keys: ReadonlyMap<string, number>;
  /** Rows that need the newest key alone. */
  readonly current: number;
}

/**
 * The standard error of the estimate of how many stored sessions are like `part` of the sample, as a fraction of it: that of
 * all sessions, and that of the share. Infinite if the sample has none.
 */
export function errorOf({ isExact, error, size }: Sample, part: number): number {
  if (isExact) return 0;
  const share = part / size;
  return Math.sqrt(error ** 2 + (1 - share) / (share * size));
}

const SIZE = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Of a row, in the formats whose ids are hashes. Those of Rails are text. */
export const ID_BYTES = 32;

/**
 * Looks at {@link SIZE} rows from a random place on. Ids are hashes, so rows next to each other are a random sample, and how
 * much of the space of ids they cover tells how many rows there are. At most two statements over the primary key, however
 * large the table is.
 */
export async function sampleOf(records: Records): Promise<Sample> {
  const start = randomBytes(ID_BYTES);
  const first = await records.store.scanInfo(start, SIZE);
  if (first.length === SIZE) return summary(records, first, estimate(start, first.at(-1)!.id, SIZE));
  // The end of the table: it goes on at the beginning, unless it is seen whole by then.
  const rest = await records.store.scanInfo(null, SIZE - first.length);
  const known = new Set(first.map(({ id }) => hex(id)));
  const more = rest.filter(({ id }) => !known.has(hex(id)));
  const rows = [...first, ...more];
  if (rest.length < SIZE - first.length || more.length < rest.length) {
    return summary(records, rows, { rows: rows.length, isExact: true, error: 0 });
  }
  return summary(records, rows, estimate(start, more.at(-1)!.id, rows.length));
}

type Estimate = Pick<Sample, "rows" | "isExact" | "error">;

function estimate(start: Uint8Array, end: Uint8Array, size: number): Estimate {
  const distance = fractionOf(end) - fractionOf(start);
  const covered = distance > 0 ? distance : distance + 1;
  return { rows: Math.round(size / covered), isExact: false, error: 1 / Math.sqrt(size) };
}

/** Where an id stands between the first and the last possible one, from 0 to 1. */
function fractionOf(id: Uint8Array): number {
  return Buffer.from(id.buffer, id.byteOffset, id.length).readUIntBE(0, 6) / 2 ** 48;
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString("hex");
}

function summary(records: Records, rows: readonly RowInfo[], count: Estimate): Sample {
  const { settings } = records;
  const now = records.now();
  const ages = [HOUR, DAY, 7 * DAY, 30 * DAY, Infinity].map((under) => ({ under, live: 0 }));
  const ring = settings.format.keyNames ?? [];
  const keys = new Map<string, number>(ring.map((name) => [name, 0]));
  let current = 0;
  let live = 0;
  let signedIn = 0;
  let oldestEnd = Infinity;
  for (const row of rows) {
    const needed = keysOf(settings.format, row);
    for (const key of needed) keys.set(key, (keys.get(key) ?? 0) + 1);
    if (needed.length === 1 && needed[0] === ring[0]) current++;
    if (isOver(row, settings, now)) {
      oldestEnd = Math.min(oldestEnd, storedEndOf(row, settings));
      continue;
    }
    live++;
    if (row.userRef !== null) signedIn++;
    ages.find(({ under }) => now - row.createdAt < under)!.live++;
  }
  const sizes = rows.map(({ bytes }) => bytes).toSorted((a, b) => a - b);
  const at = (fraction: number): number =>
    sizes[Math.min(sizes.length - 1, Math.floor(sizes.length * fraction))] ?? 0;
  return {
    ...count,
    size: rows.length,
    live,
    signedIn,
    oldestEnd: Number.isFinite(oldestEnd) ? oldestEnd : null,
    ages,
    bytes: { median: at(0.5), p95: at(0.95), largest: sizes.at(-1) ?? 0 },
    keys,
    current,
  };
}

/** The keys that a row was sealed under: of its data, and of its client. Empty if they are not named. */
export function keysOf(format: SessionFormat, { head, client }: RowInfo): readonly string[] {
  const sealed = format.sealedUnder?.({ data: head, client });
  if (sealed === undefined) return [];
  return [...new Set([sealed.data, sealed.client])].filter((key) => key !== null && key !== undefined);
}
