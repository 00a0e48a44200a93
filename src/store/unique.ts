import { keyOf } from "../shared/bytes.ts";
import type { SessionRow } from "./row.ts";
import type { TakenOver } from "./contract.ts";

/** Passes only the first row of each id to `takeOver`. The others are reported as imported "before". */
export async function onceEach(
  rows: readonly SessionRow[],
  takeOver: (distinct: readonly SessionRow[]) => Promise<readonly TakenOver[]>,
): Promise<TakenOver[]> {
  const seen = new Set<string>();
  const isFirst = rows.map(({ id }) => seen.size < seen.add(keyOf(id)).size);
  const answers = (await takeOver(rows.filter((_, index) => isFirst[index]))).values();
  return isFirst.map((first) => (first ? answers.next().value! : "before"));
}
