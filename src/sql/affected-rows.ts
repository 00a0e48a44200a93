import { keyOf } from "../shared/bytes.ts";
import { boundedIn, bytesIn } from "./columns.ts";
import type { Dialect } from "./dialect.ts";
import type { Result } from "./statement.ts";
import type { RowUpdate } from "../store/row.ts";

/**
 * Returns which rows of a batch an update wrote, given the result of the verification query after it. Between the two,
 * another process may have written or ended a row, or started another session under a free id.
 * @param there the rows found, with `id`, `version` and `created_at`
 * @throws {Error} the query read data older than the update
 */
export function writtenOf(
  updates: readonly RowUpdate[],
  there: readonly Record<string, unknown>[],
): boolean[] {
  const found = new Map(there.map((row) => [keyOf(bytesIn(row, "id")), row]));
  return updates.map(({ loaded, next }) => {
    const row = found.get(keyOf(next.id));
    if (row === undefined || boundedIn(row, "created_at") !== loaded.createdAt) return false;
    const version = boundedIn(row, "version");
    if (version === next.version || version !== loaded.version) return true;
    throw new Error("The rows read are older than the rows written: a replica answered.");
  });
}

/** Returns which rows of a batch were written, by the rules of {@link Dialect}. */
export function affectedRows(
  batches: Dialect["batches"],
  results: readonly Result[],
  rows: readonly { readonly id: Uint8Array; readonly version?: number }[],
  byVersion: boolean,
): boolean[] {
  if (batches === "transaction") return rows.map((_, index) => results[index]?.changes === 1);
  const changes = results.reduce((sum, result) => sum + result.changes, 0);
  if (changes === rows.length) return rows.map(() => true);
  if (changes === 0) return rows.map(() => false);
  const there = new Map<string, unknown>();
  for (const result of results) {
    for (const row of result.rows)
      there.set(keyOf(bytesIn(row, "id")), byVersion ? boundedIn(row, "version") : undefined);
  }
  return rows.map(({ id, version }) => {
    const key = keyOf(id);
    return there.has(key) && (!byVersion || there.get(key) === version);
  });
}
