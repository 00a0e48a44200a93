import { milliseconds, type Duration } from "../shared/duration.ts";
import {
  durationFrom,
  integerFrom,
  isAnything,
  isFunction,
  maxTimer,
  problemsOf,
  type OptionCheck,
} from "../shared/option-checks.ts";
import type { Lanes } from "../store/lanes.ts";

/** Options shared by the stores that use a pool. */
export interface PoolStoreOptions {
  /**
   * Name of the sessions table. Default "stored_sessions". May start with a schema (in MySQL, a database) and a dot:
   * "app.stored_sessions". The lease and migration tables have its name with a suffix.
   */
  readonly table?: string;
  /** Maximum connections of a pool opened from a URL. Default 10, or 4 more than there are lanes if that is more. */
  readonly poolSize?: number;
  /**
   * How long to wait for a connection of a pool opened from a URL. Default 4 seconds. With pg, this covers waiting for
   * a free connection and connecting; with mysql2, only the handshake. Keep it below `storeTimeout`, so that an
   * unreachable server is reported as `outcome: "none"` (the write did not happen) and not as `unknown`.
   */
  readonly connectTimeout?: Duration;
  /**
   * Maximum concurrent statements and rows per statement. Default: 4 statements for reads, 2 for writes, and 128 rows
   * on PostgreSQL or 64 on MySQL and MariaDB. Waiting operations are divided over the free lanes (decisions/0016).
   */
  readonly lanes?: Partial<Pick<Lanes, "read" | "write" | "maxBatch">>;
  /**
   * Returns the number of the shard of a row, given its id (32 random bytes). For servers that do not report it, such as
   * Vitess. Each batch then goes to one shard, `lanes` defaults to 16 of each kind, and a login stays on its shard.
   */
  readonly shardOf?: (id: Uint8Array) => number;
}

/** A connection for each lane, and some for operations without a lane. */
export function poolSizeOf({ poolSize }: PoolStoreOptions, lanes: Lanes): number {
  return poolSize ?? Math.max(10, lanes.read + lanes.write + 4);
}

/** The default of `connectTimeout`, below that of `storeTimeout` (5,000). */
export const CONNECT_TIMEOUT = 4_000;

export function connectTimeoutOf({ connectTimeout = CONNECT_TIMEOUT }: PoolStoreOptions): number {
  return milliseconds(connectTimeout)!;
}

const laneCount = integerFrom(1, 1_000);

/** Returns the problems of the options, one sentence each. `more` are the options of this database alone. */
export function poolOptionProblems(
  options: PoolStoreOptions,
  more: Readonly<Record<string, OptionCheck>> = {},
): string[] {
  const problems = problemsOf(options, {
    table: isAnything, // names.ts checks the name
    poolSize: integerFrom(1, 10_000),
    connectTimeout: durationFrom(1, maxTimer),
    lanes: isAnything,
    shardOf: isFunction,
    ...more,
  });
  const lanes: unknown = options?.lanes;
  if (lanes === undefined) return problems;
  const ofLanes = problemsOf(lanes, { read: laneCount, write: laneCount, maxBatch: laneCount });
  return [...problems, ...ofLanes.map((problem) => `lanes: ${problem}`)];
}
