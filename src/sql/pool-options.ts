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
   * Milliseconds to wait for a connection of a pool opened from a URL, 4,000 unless given: with pg for a free one or
   * a new one, with mysql2 for a new one's handshake only. Keep it below `storeTimeout`, so that a server that is gone
   * is told as `none` (the write did not happen) and not as `unknown`.
   */
  readonly connectTimeout?: number;
  /**
   * Statements under way at once, 4 for reads and 2 for writes unless given, and rows in each at most: 128 on
   * PostgreSQL, 64 on MySQL and MariaDB. What waits is divided over the free lanes (decisions/0016).
   */
  readonly lanes?: Partial<Pick<Lanes, "read" | "write" | "maxBatch">>;
}

/** The default of `connectTimeout`, below that of `storeTimeout` (5,000). */
export const CONNECT_TIMEOUT = 4_000;

/** Every problem of the options, a sentence each. */
export function assertPoolOptions(options: PoolStoreOptions): string[] {
  const problems: string[] = [];
  const positive = (name: string, value: unknown, most: number): void => {
    if (
      value === undefined ||
      (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most)
    )
      return;
    problems.push(`${name} is an integer from 1 to ${most}.`);
  };
  positive("poolSize", options.poolSize, 10_000);
  positive("connectTimeout", options.connectTimeout, 2_147_483_647);
  positive("lanes.read", options.lanes?.read, 1_000);
  positive("lanes.write", options.lanes?.write, 1_000);
  positive("lanes.maxBatch", options.lanes?.maxBatch, 1_000);
  return problems;
}
