import type { ExpireQuery } from "../store/row.ts";

/** The rule of {@link ExpireQuery} as a condition with `?` for each value; `byAge` when no index serves it. */
export function dueOf(expire: ExpireQuery): { text: string; values: number[]; byAge: boolean } {
  const { before, createdBefore, updatedBefore } = expire;
  const conditions = ["expires_at <= ?"];
  const values = [before];
  if (createdBefore !== undefined) {
    conditions.push("created_at < ?");
    values.push(createdBefore);
  }
  if (updatedBefore !== undefined) {
    conditions.push("updated_at < ?");
    values.push(updatedBefore);
  }
  return { text: conditions.join(" OR "), values, byAge: conditions.length > 1 };
}
