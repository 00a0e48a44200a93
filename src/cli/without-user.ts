import { walk } from "../session/admin.ts";
import { SqlStore } from "../store/sql.ts";
import { plural } from "./format.ts";
import type { Workplace } from "./work.ts";

/** Stored sessions that name no user, so that nobody's are found among them. */
export async function countWithoutUser({ store, records }: Workplace): Promise<number> {
  if (store instanceof SqlStore) {
    const { database } = store;
    const text = `SELECT COUNT(*) AS count FROM ${database.dialect.names.sessions} WHERE user_ref IS NULL`;
    const { rows } = await database.run({ text, values: [], writes: false });
    return Number(rows[0]?.["count"]);
  }
  let count = 0;
  for await (const { userRef } of walk(records)) if (userRef === null) count++;
  return count;
}

/** What an answer about a user leaves open; nothing where every session names one. */
export function withoutUserLines(count: number): string[] {
  if (count === 0) return [];
  return [
    `Sessions are found by the user they name, and ${plural(count, "session")} ${count === 1 ? "names" : "name"} none: of visitors who did not log in, of a drop-in store without "userOf", or imported without a user.`,
  ];
}
