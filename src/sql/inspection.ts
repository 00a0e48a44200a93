import type { DurabilitySetting } from "./durability.ts";
import type { Statement } from "./statement.ts";

/** What a database tells about itself. */
export interface Inspection {
  /** "PostgreSQL 15.8". */
  readonly server: string;
  /** Its clock in milliseconds since the epoch; null where it runs in this process. */
  readonly clock: number | null;
  readonly readOnly: boolean;
  readonly durability: readonly DurabilitySetting[];
  /** Bytes that one statement may have; null where there is no such limit. */
  readonly largestStatement: number | null;
  /** What the pool's or handle's owner has set that would change results, a phrase each. The store is immune to it. */
  readonly ownersSettings: readonly string[];
}

/** What is asked in a statement; the owner's settings are asked of the pool or handle itself. */
export type Inspected = Omit<Inspection, "ownersSettings">;

/** Sends a statement, or a text without values, and answers its first row. */
export type Ask = (asked: string | Statement) => Promise<Readonly<Record<string, unknown>>>;
