import type { DurabilitySetting } from "./durability.ts";
import type { Statement } from "./statement.ts";

/** Over how many servers a table is spread. */
export interface ShardLayout {
  readonly shards: number;
  readonly workers: number;
}

/** Information that a database reports about itself. */
export interface Inspection {
  /** "PostgreSQL 15.8". */
  readonly server: string;
  /** Its clock in milliseconds since the epoch. Null if the database runs in this process. */
  readonly clock: number | null;
  readonly readOnly: boolean;
  readonly durability: readonly DurabilitySetting[];
  /** How the sessions table is distributed. Null or absent if it is not. */
  readonly layout?: ShardLayout | null;
  /** Maximum size of a statement in bytes. Null if unlimited. */
  readonly largestStatement: number | null;
  /** What the pool's or handle's owner has set that would change results, a phrase each. The store is immune to it. */
  readonly ownersSettings: readonly string[];
}

/** The part that is queried by statement. The application's settings are read from the pool or handle. */
export type Inspected = Omit<Inspection, "ownersSettings">;

/** Sends a statement, or a text without values, and returns its first row. */
export type Ask = (asked: string | Statement) => Promise<Readonly<Record<string, unknown>>>;
