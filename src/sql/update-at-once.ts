import { StoreUnavailableError } from "../errors.ts";
import { writtenOf } from "./affected-rows.ts";
import type { Database } from "./dialect.ts";
import type { RowUpdate } from "../store/row.ts";

/** Null if nothing was written, and the rows must be updated individually to find the cause (decisions/0020). */
export async function updateAtOnce(
  database: Database,
  updates: readonly RowUpdate[],
): Promise<boolean[] | null> {
  const { dialect } = database;
  const { write, look } = dialect.updateAtOnce!(updates);
  let changes: number;
  try {
    ({ changes } = await database.run(write));
  } catch (error) {
    if (dialect.isRefusal?.(error)) return null;
    throw error;
  }
  if (changes === updates.length) return updates.map(() => true);
  if (changes === 0) return updates.map(() => false);
  try {
    return writtenOf(updates, (await database.run(look)).rows);
  } catch (cause) {
    const message =
      "Batch outcome unknown: it was sent, but the query that verifies which sessions were saved failed.";
    throw new StoreUnavailableError(message, { cause, outcome: "unknown" });
  }
}
