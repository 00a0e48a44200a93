/** A login of a user with a limit of sessions: docs/session-limits.md and decision 35. */
import { StoreError } from "../errors.ts";
import { byShard } from "./by-shard.ts";
import type { ChangeResult } from "../store/audit.ts";
import { evictedBy, isRefused, type LimitedLogin, type SessionLimit } from "../store/session-limit.ts";
import type { Database, Dialect } from "./dialect.ts";
import type { EndedRow } from "../store/audit.ts";
import type { Result, Statement } from "./statement.ts";

/** Locks are taken for slots and not for users, so that their table stays small and names nobody. */
const SLOTS = 4_096;

/** How often a transaction begins again because sessions that it was to end got other ids meanwhile. */
const MOST_ATTEMPTS = 20;

const NOTHING: ChangeResult = { applied: false, ended: [] };
const REFUSED: ChangeResult = { ...NOTHING, refused: true };

/**
 * The locks of logins, in one order for all processes. Each key of the ring gives a user another reference. Processes in
 * the middle of a key rotation have one of them in common.
 */
export function locksOf(limits: readonly SessionLimit[]): readonly string[] {
  const slots = limits.flatMap(({ userRefs }) =>
    userRefs.map((ref) => new DataView(ref.buffer, ref.byteOffset).getUint16(0) % SLOTS),
  );
  return [...new Set(slots)].toSorted((a, b) => a - b).map((slot) => `login ${slot}`);
}

/** What a login asks of the tables. */
export interface LoginTexts {
  usersRows(limit: SessionLimit): Statement;
  row(row: Readonly<Record<string, unknown>>): EndedRow;
}

type Step<T> = Generator<Statement, T, Result>;

/**
 * The part of a transaction that is a login, once its locks are held.
 * @param write inserts or replaces the row; null as in `replace`
 * @param end deletes rows, and returns how many there were
 * @returns "again" if another transaction gave a session that was to end a new id: this one is to begin again
 */
export function* loginSteps(
  login: LimitedLogin,
  texts: LoginTexts,
  write: () => Step<readonly ChangeResult[] | null>,
  end: (rows: readonly EndedRow[]) => Step<number>,
): Step<readonly ChangeResult[] | null | "again"> {
  const list = function* (): Step<readonly EndedRow[]> {
    const { rows } = yield texts.usersRows(login.limit);
    return rows.map((row) => texts.row(row));
  };
  if (login.limit.onLimit === "refuse") {
    return isRefused(login, yield* list()) ? [REFUSED] : yield* write();
  }
  const results = yield* write();
  if (results === null || !results[0]!.applied) return results;
  const ended = evictedBy(login, yield* list());
  if ((yield* end(ended)) < ended.length) return "again";
  return [{ applied: true, ended }];
}

/** Runs a transaction until it no longer begins again. */
export async function untilDone<T>(attempt: (again: () => void) => Promise<T>): Promise<T> {
  for (let left = MOST_ATTEMPTS; left > 0; left--) {
    let isDone = true;
    const result = await attempt(() => (isDone = false));
    if (isDone) return result;
  }
  throw new StoreError(
    "A login could not end the user's oldest sessions, because they kept getting new ids meanwhile. Nothing was changed. Retry the login.",
  );
}

/** Rows to delete in one statement: of one shard, where that matters. */
export function together(
  dialect: Dialect,
  rows: readonly EndedRow[],
  most: number,
): readonly (readonly Uint8Array[])[] {
  return byShard(rows, most, (id) => (dialect.shardOf === undefined ? 0 : dialect.shardOf(id)));
}

/**
 * The same for a database that takes all statements of a transaction at once.
 * @param links the statements for the links of the new row
 */
export async function loginAtOnce(
  database: Database,
  login: LimitedLogin,
  links: readonly Statement[],
): Promise<ChangeResult> {
  const { dialect } = database;
  const { statements, ended } = dialect.loginAtOnce!(login);
  const results = await database.transaction([...statements, ...links]);
  if (results !== null) return { applied: true, ended: ended(results) };
  // It wrote nothing, either for the limit or because the row is not as it was loaded.
  const { loaded, next, limit } = login;
  if (limit.onLimit !== "refuse") return NOTHING;
  const { rows } = await database.run(dialect.read([(loaded ?? next).id]));
  const [row] = rows.map((one) => dialect.decode(one));
  const isAsLoaded = loaded === null ? row === undefined : row?.version === loaded.version;
  return isAsLoaded ? REFUSED : NOTHING;
}
