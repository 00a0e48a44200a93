/** Statements that insert and update rows, each for a whole batch. */
import { asBuffer } from "../../shared/bytes.ts";
import { BUCKET, bucketOf } from "../../store/expiry-bucket.ts";
import { query, write } from "../statement.ts";
import { inList, padList, padTo, powerOfTwo } from "./lists.ts";
import type { RowTouch, RowUpdate, SessionRow } from "../../store/row.ts";
import type { Statement } from "../statement.ts";
import type { SqlValue } from "../values.ts";

export const COLUMNS =
  "id, data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, client";
// A bare parameter in a CASE has no type of its own, and numbers are sent as doubles.
const INTEGER = "CAST(? AS SIGNED)";

// A subquery with two rows where one value is expected: an error in every sql_mode, which rolls the statement back. It
// refers to a column of the row, so it is evaluated only if a row needs it.
const REFUSAL = "(SELECT version FROM (SELECT 1 AS one UNION ALL SELECT 2) AS two)";

const NOTHING = Buffer.alloc(0);

/** @param returns whether the server has RETURNING */
export function insertRows(
  sessions: string,
  rows: readonly SessionRow[],
  returns: boolean,
): readonly Statement[] {
  // IGNORE skips rows whose id exists. Every value was checked, so there is nothing else to ignore. It skips padded
  // rows too, because their id appears earlier in the list.
  const last = rows.at(-1) as SessionRow;
  const size = powerOfTwo(rows.length);
  const padded = padTo(size, rows, { ...last, data: NOTHING, client: null });
  const marks = padded.map(() => "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)").join(", ");
  const text = `INSERT IGNORE INTO ${sessions} (${COLUMNS}, expires_bucket) VALUES ${marks}`;
  const values = padded.flatMap(rowValues);
  if (rows.length === 1) return [write(text, ...values)];
  if (returns) return [write(`${text} RETURNING id, version`, ...values)];
  return [
    write(text, ...values),
    {
      ...versions(
        sessions,
        rows.map((row) => row.id),
      ),
      unlessChanged: rows.length,
    },
  ];
}

export function updateRows(sessions: string, updates: readonly RowUpdate[]): readonly Statement[] {
  const [only] = updates;
  if (updates.length === 1 && only) {
    const { loaded, next } = only;
    return [
      write(
        `UPDATE ${sessions} SET data = ?, version = ?, user_ref = ?, updated_at = ?, expires_at = ?, expires_bucket = ?, client = ? WHERE id = ? AND version = ?`,
        ...written(next),
        asBuffer(next.id),
        loaded.version,
      ),
    ];
  }
  const { text, values, ids, bind, byId } = setEach(sessions, updates);
  bind(({ next }) => next.version, 0);
  values.push(...ids);
  bind(({ loaded }) => loaded.version, 0);
  return [
    write(
      `${text}, version = ${byId(INTEGER)} WHERE ${inList("id", ids)} AND version = ${byId(INTEGER)}`,
      ...values,
    ),
    {
      ...versions(
        sessions,
        updates.map(({ next }) => next.id),
      ),
      unlessChanged: updates.length,
    },
  ];
}

export function updateRowsAtOnce(
  sessions: string,
  updates: readonly RowUpdate[],
): { write: Statement; look: Statement } {
  const { text, values, ids, bind, byId } = setEach(sessions, updates);
  bind(({ loaded }) => loaded.version, 0);
  bind(({ next }) => next.version, 0);
  values.push(...ids);
  return {
    write: write(
      `${text}, version = IF(version = ${byId(INTEGER)}, ${byId(INTEGER)}, ${REFUSAL}) WHERE ${inList("id", ids)}`,
      ...values,
    ),
    // A locking read waits for concurrent writers and does not read an older snapshot. TiDB rejects a shared lock.
    look: query(
      `SELECT id, version, created_at FROM ${sessions} WHERE ${inList("id", ids)} LIMIT ${ids.length} FOR UPDATE`,
      ...ids,
    ),
  };
}

/** The start of an UPDATE that sets the values of each row, except for the version. */
function setEach(sessions: string, updates: readonly RowUpdate[]) {
  const size = powerOfTwo(updates.length);
  const ids = padTo(
    size,
    updates.map(({ next }) => asBuffer(next.id)),
  );
  // A padded id is never reached, because the first matching WHEN wins. Its value can therefore be empty.
  const byId = (expression: string): string =>
    `CASE id ${`WHEN ? THEN ${expression} `.repeat(size)}ELSE NULL END`;
  const values: SqlValue[] = [];
  const bind = (valueOf: (update: RowUpdate) => SqlValue, padding: SqlValue): void => {
    for (let index = 0; index < size; index++) {
      const update = updates[index];
      values.push(ids[index]!, update ? valueOf(update) : padding);
    }
  };
  bind(({ next }) => asBuffer(next.data), NOTHING);
  bind(({ next }) => next.userRef && asBuffer(next.userRef), null);
  bind(({ next }) => next.updatedAt, 0);
  bind(({ next }) => next.expiresAt, 0);
  bind(({ next }) => bucketOf(next.expiresAt), 0);
  bind(({ next }) => next.client && asBuffer(next.client), null);
  const text =
    `UPDATE ${sessions} SET data = ${byId("?")}, user_ref = ${byId("?")}, updated_at = ${byId(INTEGER)}, ` +
    `expires_at = ${byId(INTEGER)}, expires_bucket = ${byId(INTEGER)}, client = ${byId("?")}`;
  return { text, values, ids, bind, byId };
}

export function touchRows(sessions: string, touches: readonly RowTouch[]): Statement {
  const [first] = touches;
  const distance = first ? first.expiresAt - first.updatedAt : 0;
  const set = (updatedAt: string, expiresAt: string): string =>
    `UPDATE ${sessions} SET updated_at = ${updatedAt}, expires_at = LEAST(${expiresAt}, absolute_expires_at), ` +
    `expires_bucket = LEAST(${expiresAt}, absolute_expires_at) DIV ${BUCKET} WHERE `;
  if (touches.every(({ updatedAt, expiresAt }) => expiresAt - updatedAt === distance)) {
    const updatedAt = touches.reduce((latest, touch) => Math.max(latest, touch.updatedAt), -Infinity);
    const ids = padList(touches.map((touch) => touch.id));
    const expiresAt = updatedAt + distance;
    return write(
      `${set(INTEGER, INTEGER)}${inList("id", ids)} AND updated_at <= ${INTEGER}`,
      updatedAt,
      expiresAt,
      expiresAt,
      ...ids.map(asBuffer),
      updatedAt,
    );
  }
  const padded = padList(touches);
  const byId = `CASE id ${`WHEN ? THEN ${INTEGER} `.repeat(padded.length)}ELSE NULL END`;
  const updatedAt = padded.flatMap((touch) => [asBuffer(touch.id), touch.updatedAt]);
  const expiresAt = padded.flatMap((touch) => [asBuffer(touch.id), touch.expiresAt]);
  return write(
    `${set(byId, byId)}${inList("id", padded)} AND updated_at <= ${byId}`,
    ...updatedAt,
    ...expiresAt,
    ...expiresAt,
    ...padded.map((touch) => asBuffer(touch.id)),
    ...updatedAt,
  );
}

/** Reports which rows of a batch were applied. */
export function versions(sessions: string, ids: readonly Uint8Array[]): Statement {
  const padded = padList(ids);
  return query(
    `SELECT id, version FROM ${sessions} WHERE ${inList("id", padded)} LIMIT ${padded.length}`,
    ...padded.map(asBuffer),
  );
}

function written(row: SessionRow): SqlValue[] {
  return [
    asBuffer(row.data),
    row.version,
    row.userRef && asBuffer(row.userRef),
    row.updatedAt,
    row.expiresAt,
    bucketOf(row.expiresAt),
    row.client && asBuffer(row.client),
  ];
}

function rowValues(row: SessionRow): SqlValue[] {
  return [
    asBuffer(row.id),
    asBuffer(row.data),
    row.version,
    row.userRef && asBuffer(row.userRef),
    row.createdAt,
    row.updatedAt,
    row.absoluteExpiresAt,
    row.expiresAt,
    row.client && asBuffer(row.client),
    bucketOf(row.expiresAt),
  ];
}
