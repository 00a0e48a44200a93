import { LEFT_OUT_ABOVE } from "../dialect.ts";
import { BUCKET } from "../../store/expiry-bucket.ts";
import { HEAD_BYTES } from "../../store/row.ts";
import type { EngineTraits } from "./engine.ts";
import type { Names } from "../dialect.ts";

const DATA = "encode(s.data, 'base64')";

/** What a row is returned as. */
function columnsOf({ concatenatesIntegers }: EngineTraits): {
  row: string;
  smallRow: string;
  changedRow: string;
  info: string;
} {
  const text = (integer: string): string => (concatenatesIntegers ? integer : `${integer}::text`);
  const times = ["version", "created_at", "updated_at", "absolute_expires_at", "expires_at"];
  // A whole row as one text: node-postgres takes as long for one column as we take to parse all nine.
  const row =
    `concat_ws(' ', ${times.map((name) => text(`s.${name}`)).join(", ")}, encode(s.id, 'base64'), ` +
    `${DATA}, coalesce(encode(s.user_ref, 'base64'), '-'), coalesce(encode(s.client, 'base64'), '-')) AS row`;
  const length = text("octet_length(s.data)");
  // Base64 never starts with "!".
  const small = `CASE WHEN octet_length(s.data) <= ${LEFT_OUT_ABOVE} THEN ${DATA} ELSE '!' || ${length} END`;
  return {
    row,
    smallRow: row.replace(DATA, small),
    // A lone "!" stands for data that is the same as that of the known row.
    changedRow: row.replace(
      DATA,
      `CASE WHEN u.digest IS NULL THEN ${small} WHEN sha256(s.id || s.data) = u.digest THEN '!' ELSE ${small} END`,
    ),
    info: row.replace(DATA, `${length} || ':' || encode(substr(s.data, 1, ${HEAD_BYTES}), 'base64')`),
  };
}

export type Texts = Readonly<
  Record<
    | "readOne"
    | "readMany"
    | "readSmall"
    | "readChanged"
    | "insertOne"
    | "insertMany"
    | "updateOne"
    | "updateMany"
    | "replace"
    | "endOne"
    | "touchAlike"
    | "touchEach"
    | "delete"
    | "listByUser"
    | "deleteByUser"
    | "findExpired"
    | "findExpiredById"
    | "findFuture"
    | "deleteExpired"
    | "count"
    | "scan"
    | "scanInfo"
    | "lease"
    | "lockLogin"
    | "columns"
    | "indexes"
    | "impatience"
    | "journalCreate"
    | "journalRead"
    | "journalAdd",
    string
  >
>;

/** All statement texts for tables of these names on a server with these traits. */
export function texts(names: Names, traits: EngineTraits): Texts {
  const table = names.sessions;
  const { row: ROW, smallRow: SMALL_ROW, changedRow: CHANGED_ROW, info: INFO } = columnsOf(traits);
  const columns =
    "id, data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, expires_bucket, client";
  // Neither `s.id = u.id` nor `s.id = ANY ($1)`: a hash join or bitmap scan locks rows in heap order, and two such
  // batches deadlock. An ANY of one element also uses the primary key and prunes partitions, but only a nested loop can
  // run it, in the order of the sorted batch. The same applies to the version.
  // A distributed planner cannot prune shards by that, so there the ids are named a second time.
  const sameId = `s.id = ANY (ARRAY[u.id])${traits.prunes ? " AND s.id = ANY ($1::bytea[])" : ""}`;
  const due =
    "(s.expires_at <= $1::int8 OR coalesce(s.created_at < $2::int8, false) OR coalesce(s.updated_at < $3::int8, false))";
  // Not in the WHERE clause: a condition on the row alone lets the planner scan the table first and lock in heap order.
  const unlessLater = (updatedAt: string, column: string, value: string): string =>
    `CASE WHEN s.updated_at > ${updatedAt} THEN s.${column} ELSE ${value} END`;
  // Not "/" alone: in CockroachDB a division of integers yields a decimal, which is rounded when it is stored.
  const bucket = (time: string): string => `(${time} - ${time} % ${BUCKET}) / ${BUCKET}`;
  const moved = (updatedAt: string, expiresAt: string): string =>
    `updated_at = GREATEST(${updatedAt}, s.updated_at), ` +
    `expires_at = ${unlessLater(updatedAt, "expires_at", `LEAST(${expiresAt}, s.absolute_expires_at)`)}, ` +
    `expires_bucket = ${unlessLater(updatedAt, "expires_bucket", bucket(`LEAST(${expiresAt}, s.absolute_expires_at)`))}`;
  return {
    readOne: `SELECT ${ROW} FROM ${table} s WHERE s.id = $1`,
    readMany: `SELECT ${ROW} FROM unnest($1::bytea[]) AS u(id) JOIN ${table} s ON ${sameId}`,
    readSmall: `SELECT ${SMALL_ROW} FROM unnest($1::bytea[]) AS u(id) JOIN ${table} s ON ${sameId}`,
    readChanged: `SELECT ${CHANGED_ROW} FROM unnest($1::bytea[], $2::bytea[]) AS u(id, digest) JOIN ${table} s ON ${sameId}`,
    insertOne: `INSERT INTO ${table} (${columns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
    insertMany:
      `INSERT INTO ${table} (${columns}) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[], $5::int8[], ` +
      `$6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::bytea[]) ON CONFLICT (id) DO NOTHING RETURNING encode(id, 'base64') AS id`,
    updateOne:
      `UPDATE ${table} SET data = $3, version = $4, user_ref = $5, updated_at = $6, expires_at = $7, expires_bucket = $8, ` +
      `client = $9 WHERE id = $1 AND version = $2`,
    updateMany:
      `UPDATE ${table} s SET data = u.data, version = u.version, user_ref = u.user_ref, updated_at = u.updated_at, ` +
      `expires_at = u.expires_at, expires_bucket = u.expires_bucket, client = u.client ` +
      `FROM unnest($1::bytea[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::int8[], $7::int8[], $8::int8[], $9::bytea[]) ` +
      `AS u(id, loaded, data, version, user_ref, updated_at, expires_at, expires_bucket, client) ` +
      `WHERE ${sameId} AND s.version = ANY (ARRAY[u.loaded]) RETURNING encode(s.id, 'base64') AS id`,
    // A row that keeps its id is deleted before the insert checks for duplicates. If the new id is taken, the error of
    // the insert undoes both parts. No subquery checks for that: it would keep Citus from committing both parts with 2PC.
    replace:
      `WITH ended AS (DELETE FROM ${table} WHERE id = $11 AND version = $12 RETURNING 1) ` +
      `INSERT INTO ${table} (${columns}) SELECT $1::bytea, $2::bytea, $3::int8, $4::bytea, $5::int8, $6::int8, $7::int8, $8::int8, ` +
      `$9::int4, $10::bytea FROM ended`,
    endOne: `DELETE FROM ${table} WHERE id = $1 AND version = $2`,
    touchAlike: `UPDATE ${table} s SET ${moved("$2::int8", "$3::int8")} FROM unnest($1::bytea[]) AS u(id) WHERE ${sameId}`,
    touchEach:
      `UPDATE ${table} s SET ${moved("u.updated_at", "u.expires_at")} FROM unnest($1::bytea[], $2::int8[], $3::int8[]) ` +
      `AS u(id, updated_at, expires_at) WHERE ${sameId}`,
    delete: `DELETE FROM ${table} s USING unnest($1::bytea[]) AS u(id) WHERE ${sameId} RETURNING encode(s.id, 'base64') AS id`,
    // "IS NOT NULL" is what lets the planner use the partial index.
    listByUser:
      `SELECT ${INFO} FROM ${table} s WHERE s.user_ref IS NOT NULL AND s.user_ref = ANY ($1::bytea[]) ` +
      `ORDER BY s.created_at DESC, s.id LIMIT $2`,
    deleteByUser:
      `DELETE FROM ${table} WHERE user_ref IS NOT NULL AND user_ref = ANY ($1::bytea[]) ` +
      `AND ($2::bytea IS NULL OR id = $2::bytea) AND id <> ALL ($3::bytea[])`,
    findExpired:
      `SELECT encode(s.id, 'base64') AS id, s.expires_bucket::text, s.created_at::text, (${due})::int4::text AS due FROM ${table} s ` +
      `WHERE s.expires_bucket <= $4::int4 AND (s.expires_bucket, s.created_at, s.id) > ($5::int4, $6::int8, $7::bytea) ` +
      `ORDER BY s.expires_bucket, s.created_at, s.id LIMIT $8`,
    findExpiredById: `SELECT encode(s.id, 'base64') AS id, (${due})::int4::text AS due FROM ${table} s WHERE s.id > $4::bytea ORDER BY s.id LIMIT $5`,
    findFuture: `SELECT encode(s.id, 'base64') AS id FROM ${table} s WHERE s.expires_bucket > $1::int4 AND s.created_at > $2::int8 LIMIT $3`,
    deleteExpired: `DELETE FROM ${table} s WHERE s.id = ANY ($4::bytea[]) AND ${due}`,
    count: `SELECT count(*)::text AS count FROM ${table} WHERE expires_at > $1`,
    scan: `SELECT ${ROW} FROM ${table} s WHERE s.id > $1 ORDER BY s.id LIMIT $2`,
    scanInfo: `SELECT ${INFO} FROM ${table} s WHERE s.id > $1 ORDER BY s.id LIMIT $2`,
    lease:
      `INSERT INTO ${names.leases} AS l (name, holder, held_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE ` +
      `SET holder = excluded.holder, held_until = excluded.held_until WHERE l.holder = excluded.holder OR l.held_until <= $4`,
    lockLogin:
      `INSERT INTO ${names.leases} AS l (name, holder, held_until) VALUES ($1, 'login', 0) ON CONFLICT (name) DO UPDATE ` +
      `SET held_until = l.held_until + 1`,
    columns:
      "SELECT attname::text AS name FROM pg_catalog.pg_attribute " +
      "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
    // Indexes that CREATE INDEX CONCURRENTLY is still building, or left behind when it failed, are invalid.
    indexes:
      "SELECT a.attname::text AS name, (i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL)::int4::text AS alone, " +
      "CASE WHEN i.indisvalid THEN NULL ELSE i.indexrelid::regclass::text END AS invalid FROM pg_catalog.pg_index i " +
      "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] " +
      "WHERE i.indrelid = to_regclass($1)",
    // A shorter timeout set by the operator is kept.
    impatience:
      "SELECT set_config('lock_timeout', CASE WHEN setting::int8 BETWEEN 1 AND $1::int8 THEN setting ELSE $1::int8::text END, true) " +
      "FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'",
    journalCreate:
      `CREATE TABLE IF NOT EXISTS ${names.migrations} (version integer PRIMARY KEY, name text NOT NULL, ` +
      `checksum text NOT NULL, applied_at bigint NOT NULL)`,
    journalRead: `SELECT version::text, name, checksum, applied_at::text FROM ${names.migrations} m ORDER BY m.version`,
    journalAdd: `INSERT INTO ${names.migrations} (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)`,
  };
}
