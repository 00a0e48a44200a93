import { asBytes } from "../../shared/bytes.ts";
import { bytesIn, integerIn, isUnchanged, LATEST, SAME, rowIn, rowInfoIn } from "../columns.ts";
import { LEFT_OUT_ABOVE } from "../dialect.ts";
import { BUCKET, bucketOf } from "../../store/expiry-bucket.ts";
import { dueOf } from "../expiry-condition.ts";
import { importLedger } from "./import-ledger.ts";
import { importSource } from "./import-source.ts";
import { inspect } from "./inspect.ts";
import { sqlitePortable } from "./portable.ts";
import { railsTable } from "./rails-table.ts";
import type { Dialect, Names, Statement } from "../dialect.ts";
import { HEAD_BYTES } from "../../store/row.ts";
import type { SessionRow } from "../../store/row.ts";

/** The dialect of SQLite 3.37 and later, for tables of these names. */
export function sqliteDialect(names: Names): Dialect {
  const { sessions, leases, migrations } = names;
  const all = `id, data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, client`;
  const read = all.replace(/\w+_at\b/g, (column) => sqlitePortable.integer(column, LATEST));
  const meta = read.replace("data, ", "");
  // `substr` of an empty blob is NULL.
  const info = `${meta}, length(data) AS bytes, coalesce(substr(data, 1, ${HEAD_BYTES}), x'') AS head`;
  const insert = `INSERT INTO ${sessions} (${all}, expires_bucket) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`;
  const readText = `SELECT ${read} FROM ${sessions} WHERE id = ?`;
  const readSmallText = `SELECT ${meta}, length(data) AS bytes, CASE WHEN length(data) <= ${LEFT_OUT_ABOVE} THEN data END AS data FROM ${sessions} WHERE id = ?`;
  const readChangedText = `SELECT ${meta}, length(data) AS bytes, CASE WHEN data = ? THEN ${SAME} WHEN length(data) <= ${LEFT_OUT_ABOVE} THEN data END AS data FROM ${sessions} WHERE id = ?`;
  const updateText = `UPDATE ${sessions} SET data = ?, version = ?, user_ref = ?, updated_at = ?, expires_at = ?, client = ?, expires_bucket = ? WHERE id = ? AND version = ?`;
  // Numbers are bound as REAL by both drivers, hence the CAST before the integer division.
  const touchText = `UPDATE ${sessions} SET updated_at = ?, expires_at = MIN(?, absolute_expires_at), expires_bucket = CAST(MIN(?, absolute_expires_at) AS INTEGER) / ${BUCKET} WHERE id = ? AND updated_at <= ?`;
  const deleteText = `DELETE FROM ${sessions} WHERE id = ?`;
  const replaceText = `DELETE FROM ${sessions} WHERE id = ? AND version = ?`;
  const leaseText = `INSERT INTO ${leases} (name, holder, held_until) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until WHERE held_until <= ? OR holder = ?`;

  const inserted = (row: SessionRow): Statement => ({
    text: insert,
    values: [
      row.id,
      row.data,
      row.version,
      row.userRef,
      row.createdAt,
      row.updatedAt,
      row.absoluteExpiresAt,
      row.expiresAt,
      row.client,
      bucketOf(row.expiresAt),
    ],
    writes: true,
  });

  return {
    name: "sqlite",
    batches: "transaction",
    affectedRowsBy: "returning",
    // SQLite allows one writer at a time, and everything runs on this thread.
    lanes: { read: 1, write: 1, maxBatch: 128, gather: "immediate" },
    names,
    idBytes: 32,
    expiry: { maxDelete: 100, maxScan: 400 },

    read: ([id]) => ({ text: readText, values: [id!], writes: false }),
    readSmall: ([id]) => ({ text: readSmallText, values: [id!], writes: false }),
    readChanged: ([only]) =>
      only!.known === null
        ? { text: readSmallText, values: [only!.id], writes: false }
        : { text: readChangedText, values: [only!.known.data, only!.id], writes: false },
    isUnchanged,
    leftOut: (row) =>
      row["data"] === null ? { id: bytesIn(row, "id"), bytes: integerIn(row, "bytes") } : null,
    insert: ([row]) => [inserted(row as SessionRow)],
    update: (updates) =>
      updates.map(({ loaded, next }) => ({
        text: updateText,
        values: [
          next.data,
          next.version,
          next.userRef,
          next.updatedAt,
          next.expiresAt,
          next.client,
          bucketOf(next.expiresAt),
          loaded.id,
          loaded.version,
        ],
        writes: true,
      })),
    replace: (loaded, next) => [
      { text: replaceText, values: [loaded.id, loaded.version], writes: true, atLeast: 1 },
      { ...inserted(next), atLeast: 1 },
    ],
    touch: ([touch]) => ({
      text: touchText,
      values: [touch!.updatedAt, touch!.expiresAt, touch!.expiresAt, touch!.id, touch!.updatedAt],
      writes: true,
    }),
    delete: ([id]) => [{ text: deleteText, values: [id!], writes: true }],
    listByUser: (userRefs, limit) => ({
      text: `SELECT ${info} FROM ${sessions} WHERE user_ref IN (${marks(userRefs)}) ORDER BY ${sessions}.created_at DESC, id LIMIT ?`,
      values: [...userRefs, limit],
      writes: false,
    }),
    deleteByUser: (userRefs, { only, except = [] }) => ({
      text: `DELETE FROM ${sessions} WHERE user_ref IN (${marks(userRefs)})${only ? " AND id = ?" : ""}${except.length ? ` AND id NOT IN (${marks(except)})` : ""}`,
      values: [...userRefs, ...(only ? [only] : []), ...except],
      writes: true,
    }),

    findExpired: (query, scan) => {
      const { cursor } = query;
      const due = dueOf(query);
      if (due.byAge) {
        return {
          text: `SELECT id, (${due.text}) AS due, 0 AS bucket FROM ${sessions} WHERE id > ? ORDER BY id LIMIT ?`,
          values: [...due.values, cursor?.id ?? new Uint8Array(0), scan],
          writes: false,
        };
      }
      // Within a bucket the index is ordered by rowid, so the cursor contains it. In two parts, because SQLite does not
      // seek by (expires_bucket, rowid) and would scan a bucket from its start every time.
      const columns = `SELECT id, (${due.text}) AS due, expires_bucket AS bucket, rowid AS place FROM ${sessions}`;
      const bucket = cursor?.bucket ?? Number.MIN_SAFE_INTEGER;
      const place = cursor ? placeOf(cursor.id) : 0;
      return {
        text: `SELECT * FROM (${columns} WHERE expires_bucket = ? AND rowid > ? ORDER BY rowid LIMIT ?) UNION ALL SELECT * FROM (${columns} WHERE expires_bucket > ? AND expires_bucket <= ? ORDER BY expires_bucket, rowid LIMIT ?) ORDER BY bucket, place LIMIT ?`,
        values: [
          ...due.values,
          bucket,
          place,
          scan,
          ...due.values,
          bucket,
          bucketOf(query.before),
          scan,
          scan,
        ],
        writes: false,
      };
    },
    expireCursor: (row) => ({
      bucket: integerIn(row, "bucket"),
      id: row["place"] === undefined ? bytesIn(row, "id") : bytesOfPlace(integerIn(row, "place")),
    }),
    findFuture: ({ createdAfter, expiresAfter }, limit) => ({
      text: `SELECT id FROM ${sessions} WHERE expires_bucket > ? AND created_at > ? LIMIT ?`,
      values: [bucketOf(expiresAfter), createdAfter, limit],
      writes: false,
    }),
    deleteExpired: (ids, query) => {
      const due = dueOf(query);
      // Padded to a power of two, so that few statements are prepared.
      const padded = [...ids];
      while (padded.length & (padded.length - 1)) padded.push(ids[0] as Uint8Array);
      return {
        text: `DELETE FROM ${sessions} WHERE id IN (${marks(padded)}) AND (${due.text})`,
        values: [...padded, ...due.values],
        writes: true,
      };
    },

    count: (now) => ({
      text: `SELECT COUNT(*) AS count FROM ${sessions} WHERE expires_at > ?`,
      values: [now],
      writes: false,
    }),
    scan: (after, limit) => ({
      text: `SELECT ${read} FROM ${sessions} WHERE id > ? ORDER BY id LIMIT ?`,
      values: [after ?? new Uint8Array(0), limit],
      writes: false,
    }),
    scanInfo: (after, limit) => ({
      text: `SELECT ${info} FROM ${sessions} WHERE id > ? ORDER BY id LIMIT ?`,
      values: [after ?? new Uint8Array(0), limit],
      writes: false,
    }),
    lease: (name, holder, until, now) => [
      { text: leaseText, values: [name, holder, until, now, holder], writes: true },
    ],
    decode: rowIn,
    decodeInfo: rowInfoIn,

    columns: (table) => ({
      text: `SELECT name FROM pragma_table_info(?)`,
      values: [names[table].slice(1, -1)],
      writes: false,
    }),
    indexes: () => ({
      text: `SELECT first.name AS name, i."unique" = 1 AND (SELECT count(*) FROM pragma_index_info(i.name)) = 1 AS alone FROM pragma_index_list(?) i JOIN pragma_index_info(i.name) first ON first.seqno = 0`,
      values: [sessions.slice(1, -1)],
      writes: false,
    }),
    journal: {
      create: () => ({
        text: `CREATE TABLE IF NOT EXISTS ${migrations} (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT`,
        values: [],
        writes: true,
      }),
      read: () => ({
        text: `SELECT version, name, checksum, applied_at FROM ${migrations} ORDER BY version`,
        values: [],
        writes: false,
      }),
      add: ({ version, name, checksum, appliedAt }) => ({
        text: `INSERT INTO ${migrations} (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)`,
        values: [version, name, checksum, appliedAt],
        writes: true,
      }),
    },

    portable: sqlitePortable,
    importLedger: () => importLedger(names.imports),
    importSource,
    railsTable,
    hex: (expression) => `HEX(${expression})`,
    inspect,
  };
}

function marks(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}

function bytesOfPlace(place: number): Uint8Array {
  const eight = Buffer.alloc(8);
  eight.writeBigInt64BE(BigInt(place));
  return asBytes(eight);
}

function placeOf(eight: Uint8Array): number {
  return Number(Buffer.from(eight).readBigInt64BE());
}
