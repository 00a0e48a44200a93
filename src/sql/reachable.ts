import { StoreUnavailableError } from "../errors.ts";
import type { Database } from "./dialect.ts";

/**
 * The answer of a statement that did not find some rows, once it is known that they could have been found: where a shard
 * can be missing, its rows have not ended. The statement is sent again between two looks, because the shard may have come
 * back between the statement and the first look.
 * @param missing ids that were not found
 * @param changed whether the statement changed something
 */
export async function confirmed<Answer>(
  { dialect, run }: Pick<Database, "dialect" | "run">,
  missing: readonly Uint8Array[],
  changed: boolean,
  first: Answer,
  again: () => Promise<Answer>,
): Promise<Answer> {
  if (dialect.assertReachable === undefined || missing.length === 0) return first;
  try {
    await dialect.assertReachable(missing, run);
    const second = await again();
    await dialect.assertReachable(missing, run);
    return second;
  } catch (error) {
    if (!changed || !(error instanceof Error)) throw error;
    throw new StoreUnavailableError(error.message, { cause: error, outcome: "unknown" });
  }
}
