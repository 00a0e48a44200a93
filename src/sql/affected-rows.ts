import { keyOf } from "../shared/bytes.ts";
import { boundedIn, bytesIn } from "./columns.ts";
import type { RowUpdate } from "../store/row.ts";

/**
 * Which of a batch's rows an update wrote that wrote every one that was there, by what a look after it found. Since then
 * another may have written or ended one, or begun another session under an id that was free.
 * @param there rows with `id`, `version` and `created_at`
 * @throws {Error} the look is older than the update
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
    throw new Error("What was read is older than what was written: another server answered.");
  });
}
