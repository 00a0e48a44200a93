import { StoredSessionError } from "../errors.ts";
import { randomBytes } from "../sealing/random.ts";
import { walk } from "../session/walk.ts";
import { SqlStore } from "../sql/sql-store.ts";
import { Failure } from "./failure.ts";
import { number, plural } from "../shared/wording.ts";
import { missingKeyAdvice } from "./missing-key.ts";
import type { RowInfo } from "../store/row.ts";
import type { Workplace } from "./work.ts";

/**
 * Stored sessions that no look-up by user finds, whoever's they are. Null where they could not be counted: that hides no
 * answer that is there.
 */
export interface Unfindable {
  /** They name no user. */
  readonly withoutUser: number | null;
  /** They name their user under a key that the ring has not. Of a sample, those found in it, and null where there were none. */
  readonly underUnknownKey: number | null;
}

/** Of how many sessions the answer is; null if of all. */
export interface Sampled extends Unfindable {
  readonly lookedAt: number | null;
}

/** Enough to find what one session in 2,000 has, all but certainly. */
const SAMPLE = 20_000;

/**
 * As {@link countUnfindable}, in a bounded time: of a table with more than 20,000 sessions, it looks at as many from a random
 * place on. Ids are hashes, so these are a random sample.
 */
export async function sampleUnfindable(place: Workplace): Promise<Sampled> {
  try {
    const { records } = place;
    const found = new Tally(place);
    const start = randomBytes(32);
    let seen = 0;
    // From the random place to the end, and on from the beginning to that place.
    for (const after of [start, null]) {
      for await (const row of walk(records, { after })) {
        if (after === null && Buffer.compare(row.id, start) > 0) break;
        if (seen === SAMPLE) {
          const { underUnknownKey } = found;
          return {
            withoutUser: null,
            underUnknownKey: underUnknownKey === 0 ? null : underUnknownKey,
            lookedAt: SAMPLE,
          };
        }
        seen++;
        found.addRow(row);
      }
    }
    const { withoutUser, underUnknownKey } = found;
    return { withoutUser, underUnknownKey, lookedAt: null };
  } catch (error) {
    if (!(error instanceof StoredSessionError)) throw error;
    return { withoutUser: null, underUnknownKey: null, lookedAt: null };
  }
}

class Tally {
  withoutUser = 0;
  underUnknownKey = 0;
  readonly #format: Workplace["records"]["settings"]["format"];

  constructor({ records }: Workplace) {
    this.#format = records.settings.format;
  }

  /** @param key the name of the key; null for a session that names no user */
  add(key: string | null, count: number): void {
    if (key === null) this.withoutUser += count;
    else if (this.#format.keyNames?.includes(key) === false) this.underUnknownKey += count;
  }

  addRow({ userRef, head, client }: RowInfo): void {
    const key = (): string => this.#format.sealedUnder?.({ data: head, client }).data ?? "no envelope";
    this.add(userRef === null ? null : key(), 1);
  }
}

export async function countUnfindable(place: Workplace): Promise<Unfindable> {
  try {
    return await counted(place);
  } catch (error) {
    if (!(error instanceof StoredSessionError)) throw error;
    return { withoutUser: null, underUnknownKey: null };
  }
}

async function counted(place: Workplace): Promise<Unfindable> {
  const { store, records } = place;
  const found = new Tally(place);
  const totals = (): Unfindable => ({
    withoutUser: found.withoutUser,
    underUnknownKey: found.underUnknownKey,
  });
  if (!(store instanceof SqlStore)) {
    for await (const row of walk(records)) found.addRow(row);
    return totals();
  }
  const { database } = store;
  const { names } = database.dialect;
  // In these bytes a sealed session names its key (docs/formats.md).
  const key = database.dialect.hex("substr(data, 3, 4)");
  const text = `SELECT CASE WHEN user_ref IS NULL THEN NULL ELSE ${key} END AS sealed_under, COUNT(*) AS count FROM ${names.sessions} GROUP BY sealed_under`;
  // No index holds these rows, so it goes over the whole table.
  const { rows } = await database.run({ text, values: [], writes: false, long: true });
  for (const { sealed_under: under, count } of rows) {
    found.add(under === null ? null : String(under).toLowerCase(), Number(count));
  }
  return totals();
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

/** The same where a sample was looked at. */
export function sampledKeyLines({ lookedAt, underUnknownKey }: Sampled): string[] {
  if (lookedAt === null || underUnknownKey !== null)
    return uncountedKeyLines({ withoutUser: 0, underUnknownKey });
  return [
    `None of ${number(lookedAt)} sessions looked at names its user under a key that is not in the ring. "stored-session keys status" looks at all of them.`,
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
