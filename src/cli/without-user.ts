import { StoredSessionError } from "../errors.ts";
import { walk } from "../session/admin.ts";
import { SqlStore } from "../store/sql.ts";
import { plural } from "./format.ts";
import type { Workplace } from "./work.ts";

/**
 * Stored sessions that name no user, so that nobody's are found among them. Null where they could not be counted: that
 * hides no answer that is there.
 */
export async function countWithoutUser(place: Workplace): Promise<number | null> {
  try {
    return await counted(place);
  } catch (error) {
    if (!(error instanceof StoredSessionError)) throw error;
    return null;
  }
}

async function counted({ store, records }: Workplace): Promise<number> {
  if (store instanceof SqlStore) {
    const { database } = store;
    const text = `SELECT COUNT(*) AS count FROM ${database.dialect.names.sessions} WHERE user_ref IS NULL`;
    // No index holds these rows, so it goes over the whole table.
    const { rows } = await database.run({ text, values: [], writes: false, long: true });
    return Number(rows[0]?.["count"]);
  }
  let count = 0;
  for await (const { userRef } of walk(records)) if (userRef === null) count++;
  return count;
}

/** What an answer about a user leaves open; nothing where every session names one. */
export function withoutUserLines(count: number | null): string[] {
  if (count === 0) return [];
  const some =
    count === null
      ? "how many name none could not be counted:"
      : `${plural(count, "session")} ${count === 1 ? "names" : "name"} none:`;
  return [
    `Sessions are found by the user they name, and ${some} of visitors who did not log in, of a drop-in store without "userOf", or imported without a user.`,
  ];
}
