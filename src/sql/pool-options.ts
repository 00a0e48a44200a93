import { milliseconds, type Duration } from "../shared/duration.ts";
import {
  durationFrom,
  integerFrom,
  isAnything,
  maxTimer,
  problemsOf,
  type OptionCheck,
} from "../shared/option-checks.ts";
import type { Lanes } from "../store/lanes.ts";

/** What the stores over a pool have in common. */
export interface PoolStoreOptions {
  /**
   * The table, "stored_sessions" unless given, with its schema (database) before a dot where need be:
   * "app.stored_sessions". The tables of leases and migrations have its name and a suffix.
   */
  readonly table?: string;
  /** Connections of a pool opened from a URL, 10 unless given. */
  readonly poolSize?: number;
  /**
   * How long to wait for a connection of a pool opened from a URL, 4 seconds unless given: with pg for a free one or
   * a new one, with mysql2 for a new one's handshake only. Keep it below `storeTimeout`, so that a server that is gone
   * is told as `none` (the write did not happen) and not as `unknown`.
   */
  readonly connectTimeout?: Duration;
  /**
   * Statements under way at once, 4 for reads and 2 for writes unless given, and rows in each at most: 128 on
   * PostgreSQL, 64 on MySQL and MariaDB. What waits is divided over the free lanes (decisions/0016).
   */
  readonly lanes?: Partial<Pick<Lanes, "read" | "write" | "maxBatch">>;
}

/** The default of `connectTimeout`, below that of `storeTimeout` (5,000). */
export const CONNECT_TIMEOUT = 4_000;

export function connectTimeoutOf({ connectTimeout = CONNECT_TIMEOUT }: PoolStoreOptions): number {
  return milliseconds(connectTimeout)!;
}

const laneCount = integerFrom(1, 1_000);

/** Every problem of the options, a sentence each. `more` are those of this database alone. */
export function poolOptionProblems(
  options: PoolStoreOptions,
  more: Readonly<Record<string, OptionCheck>> = {},
): string[] {
  const problems = problemsOf(options, {
    table: isAnything, // its name is checked where it is quoted
    poolSize: integerFrom(1, 10_000),
    connectTimeout: durationFrom(1, maxTimer),
    lanes: isAnything,
    ...more,
  });
  const lanes: unknown = options?.lanes;
  if (lanes === undefined) return problems;
  const ofLanes = problemsOf(lanes, { read: laneCount, write: laneCount, maxBatch: laneCount });
  return [...problems, ...ofLanes.map((problem) => `lanes: ${problem}`)];
}
