import { StoredSessionError } from "../errors.ts";
import { walk } from "../session/walk.ts";
import { SqlStore } from "../sql/sql-store.ts";
import { Failure } from "./failure.ts";
import { plural } from "../shared/wording.ts";
import { missingKeyAdvice } from "./missing-key.ts";
import type { Workplace } from "./work.ts";

/**
 * Stored sessions that no look-up by user finds, whoever's they are. Null where they could not be counted: that hides no
 * answer that is there.
 */
export interface Unfindable {
  /** They name no user. */
  readonly withoutUser: number | null;
  /** They name their user under a key that the ring has not. */
  readonly underUnknownKey: number | null;
}

export async function countUnfindable(place: Workplace): Promise<Unfindable> {
  try {
    return await counted(place);
  } catch (error) {
    if (!(error instanceof StoredSessionError)) throw error;
    return { withoutUser: null, underUnknownKey: null };
  }
}

async function counted({ store, records }: Workplace): Promise<Unfindable> {
  const { format } = records.settings;
  const found = { withoutUser: 0, underUnknownKey: 0 };
  const add = (key: string | null, count: number) => {
    if (key === null) found.withoutUser += count;
    else if (format.keyNames?.includes(key) === false) found.underUnknownKey += count;
  };
  if (!(store instanceof SqlStore)) {
    for await (const row of walk(records)) {
      add(
        row.userRef === null
          ? null
          : (format.sealedUnder?.({ data: row.head, client: row.client }).data ?? "no envelope"),
        1,
      );
    }
    return found;
  }
  const { database } = store;
  const { names } = database.dialect;
  // In these bytes a sealed session names its key (docs/formats.md).
  const key = database.dialect.hex("substr(data, 3, 4)");
  const text = `SELECT CASE WHEN user_ref IS NULL THEN NULL ELSE ${key} END AS sealed_under, COUNT(*) AS count FROM ${names.sessions} GROUP BY sealed_under`;
  // No index holds these rows, so it goes over the whole table.
  const { rows } = await database.run({ text, values: [], writes: false, long: true });
  for (const { sealed_under: under, count } of rows) {
    add(under === null ? null : String(under).toLowerCase(), Number(count));
  }
  return found;
}

/** Where no session was found: that there is `none` can be said only where none is out of sight. */
export function nothingFound({ withoutUser, underUnknownKey }: Unfindable, none: string): string {
  if (underUnknownKey !== 0) return "No such session is under these keys.";
  return withoutUser === 0 ? none : "No session names this user.";
}

/** What an answer about a user leaves open; nothing where every session names one. */
export function withoutUserLines({ withoutUser: count }: Unfindable): string[] {
  if (count === 0) return [];
  const some =
    count === null
      ? "how many name none could not be counted:"
      : `${plural(count, "session")} ${count === 1 ? "names" : "name"} none:`;
  return [
    `Sessions are found by the user they name, and ${some} of visitors who did not log in, of a drop-in store without "userOf", or imported without a user.`,
  ];
}

/** The same of keys, where these sessions could not be counted; where there are some, `unknownKeys` tells. */
export function uncountedKeyLines({ underUnknownKey }: Unfindable): string[] {
  if (underUnknownKey !== null) return [];
  return [
    "How many name their user under a key that is not in the ring could not be counted: sessions of this user may be among them.",
  ];
}

/** Why an answer about a user is not the whole one; null where no key is missing. */
export function unknownKeys({ underUnknownKey: count }: Unfindable): string | null {
  if (count === null || count === 0) return null;
  const [name, their] = count === 1 ? ["names", "its"] : ["name", "their"];
  return `${plural(count, "session")} ${name} ${their} user under a key that is not in the ring, and sessions of this user may be among them: "stored-session keys status" names the key. ${missingKeyAdvice} Then run this again.`;
}

/** @throws {Failure} a key is missing, so that there is no all-clear */
export function assertKeysKnown(unfindable: Unfindable): void {
  const problem = unknownKeys(unfindable);
  if (problem !== null) throw new Failure(problem);
}
