import { lanesOf } from "../dialect.ts";
import { namesOf } from "../names.ts";
import { sqliteDialect } from "./dialect.ts";
import { loginAtOnce } from "./login-at-once.ts";
import type { Dialect } from "../dialect.ts";
import type { Inspected } from "../inspection.ts";

export interface BatchStoreOptions {
  /** The table, "stored_sessions" unless given. The tables of leases and migrations have its name and a suffix. */
  readonly table?: string;
}

/**
 * The dialect of SQLite behind a client. Its statements are those of SQLite; one batch is one round trip, and SQLite has
 * one writer, so writes wait for each other here, where they are sent together.
 * @param server what `check` shows
 */
export function batchDialect({ table }: BatchStoreOptions, server: string): Dialect {
  const names = namesOf(table, (identifier) => `"${identifier}"`, { schemas: false });
  const dialect = sqliteDialect(names);
  return {
    ...dialect,
    loginAtOnce: (login) => loginAtOnce(dialect, login),
    lanes: lanesOf({ write: 1 }, 64),
    // Below D1's 100 values of a statement, with those of the condition.
    expiry: { maxDelete: 64, maxScan: 400 },
    inspect: async (): Promise<Inspected> => ({
      server,
      clock: null,
      readOnly: false,
      durability: [],
      largestStatement: null,
    }),
  };
}
