import { RefusedError } from "../errors.ts";
import type { SessionFormat } from "../session/format.ts";
import type { SessionManager } from "../session/manager.ts";
import type { Session } from "../session/session.ts";
import type { SessionStore } from "../store/store.ts";
import { plainValue } from "./plain.ts";

/** A row of a Rails table, opened; or why it did not open. */
export interface RailsRow {
  /** The `sid` column: `2::` and the hash of the public id, which opens nothing. */
  readonly sid: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** Ruby's values as those of this package; null for a row that was refused. */
  readonly data: Record<string, unknown> | null;
  /** What `userOf` of railsFormat found. */
  readonly user: string | undefined;
  readonly refusal: RefusedError | null;
}

/**
 * Every session of a Rails table, ended or not, in order of `sid` and in pages of bounded memory: for an import, an
 * export, or a look at what there is. A row that does not open is reported and does not stop the others.
 * @param options.after the `sid` that an earlier walk stopped at
 */
export async function* railsRows(
  store: SessionStore,
  format: SessionFormat,
  options: { readonly after?: string; readonly batchSize?: number } = {},
): AsyncGenerator<RailsRow, void, undefined> {
  const { batchSize = 200 } = options;
  if (!(Number.isSafeInteger(batchSize) && batchSize >= 1)) {
    throw new TypeError("railsRows: `batchSize` is a whole number, 1 or more.");
  }
  let after: Uint8Array | null = options.after === undefined ? null : new TextEncoder().encode(options.after);
  for (;;) {
    const rows = await store.scan(after, batchSize);
    for (const row of rows) {
      const about = {
        sid: new TextDecoder().decode(row.id),
        createdAt: new Date(row.createdAt),
        updatedAt: new Date(row.updatedAt),
      };
      try {
        const { data, user } = format.decode(format.open(row, null));
        yield { ...about, data, user, refusal: null };
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        yield { ...about, data: null, user: undefined, refusal: error };
      }
    }
    if (rows.length < batchSize) return;
    after = rows.at(-1)?.id ?? null;
  }
}

export interface MoveOptions {
  /** What the native session holds; by default everything but Rails' own keys, as {@link plainValue} gives it. */
  readonly dataOf?: (data: Record<string, unknown>) => Record<string, unknown>;
}

/** Keys that only Rails has a use for. */
const OF_RAILS = new Set(["_csrf_token", "flash"]);

/**
 * The last step of a migration, once Rails writes no sessions any more: a visitor who comes with the cookie of a
 * Rails session and without a native one gets a native session with the same user and data, under a new id. The
 * table of Rails holds only hashes of its ids, so this needs the visitor's cookie.
 *
 * The Rails row is deleted first and of requests in parallel only the one that deleted it goes on, so that a
 * session moves once, and one that ended meanwhile does not move. Where the native save then fails, the visitor has
 * to log in again.
 * @param rails a manager over railsStore and railsFormat, its `userOf` set
 * @param cookieHeader the request's `Cookie` header
 * @param session the request's native session; saved as ever when the response begins
 * @returns the `Set-Cookie` value that clears the cookie of Rails when the session moved, else null
 */
export async function moveRailsSession(
  rails: SessionManager<any>,
  cookieHeader: string | null | undefined,
  session: Session<any>,
  options: MoveOptions = {},
): Promise<string | null> {
  if (!session.isNew) return null;
  const old = (await rails.load(cookieHeader)) as Session<Record<string, unknown>>;
  if (old.isNew) return null;
  const { dataOf = plainData } = options;
  const data = dataOf({ ...old.data });
  const { user } = old;
  old.destroy();
  const cleared = await rails.commit(old);
  if (cleared === null) return null;
  Object.assign(session.data, data);
  if (user !== undefined) session.login(user);
  return cleared;
}

function plainData(data: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(data).filter(([name]) => !OF_RAILS.has(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, plainValue(value)]));
}
