import { bytesIn, flagIn } from "./columns.ts";
import { fractionOfExpiry } from "../store/progress.ts";
import type { Database, Dialect } from "./dialect.ts";
import type { ExpireQuery, ExpireResult } from "../store/row.ts";

/** One step of `SessionStore.deleteExpired`: examines a bounded number of rows and deletes those that are due. */
export async function expireStep(database: Database, query: ExpireQuery): Promise<ExpireResult> {
  const { dialect } = database;
  const { limit, scan } = scanOf(dialect, query);
  const { rows } = await database.run(dialect.findExpired(query, scan));
  const due: Uint8Array[] = [];
  let seen = 0;
  while (seen < rows.length && due.length < limit) {
    const row = rows[seen++] as Record<string, unknown>;
    if (flagIn(row, "due")) due.push(bytesIn(row, "id"));
  }
  const deleted = due.length ? (await database.run(dialect.deleteExpired(due, query))).changes : 0;
  const last = rows[seen - 1];
  if (!last || (seen === rows.length && rows.length < scan)) return { deleted, cursor: null, fraction: 1 };
  const { from = dialect.expireCursor(rows[0]!).bucket } = query.cursor ?? {};
  const cursor = { ...dialect.expireCursor(last), from };
  const fraction = fractionOfExpiry(query, cursor);
  return { deleted, cursor, ...(fraction !== null && { fraction }) };
}

/** How many rows a step deletes, and how many it looks at. */
export function scanOf(
  dialect: Dialect,
  query: ExpireQuery,
): { readonly limit: number; readonly scan: number } {
  const { maxDelete, maxScan } = dialect.expiry;
  if (!(query.limit >= 1)) throw new TypeError("`limit` of an expiry step must be 1 or more.");
  const limit = Math.min(query.limit, maxDelete);
  // Examines more rows than the limit by default, because most rows of the newest bucket are still alive.
  return { limit, scan: Math.max(limit, Math.min(query.scan ?? limit * 4, maxScan)) };
}
