import { asBuffer } from "../../shared/bytes.ts";
import { bucketOf } from "../../store/expiry-bucket.ts";
import { dueOf } from "../expiry-condition.ts";
import { query, write } from "../statement.ts";
import { BEFORE_ALL, inList, limitOf, padList } from "./lists.ts";
import type { ExpireQuery, FutureQuery } from "../../store/row.ts";
import type { Statement } from "../statement.ts";

export function findExpired(sessions: string, expire: ExpireQuery, scan: number): Statement {
  const due = dueOf(expire);
  const { cursor } = expire;
  if (due.byAge) {
    return query(
      `SELECT id, (${due.text}) AS due, 0 AS bucket FROM ${sessions} WHERE id > ? ORDER BY id LIMIT ?`,
      ...due.values,
      asBuffer(cursor?.id ?? BEFORE_ALL),
      limitOf(scan),
    );
  }
  // Not a row comparison: for that, MySQL would scan the index from its start.
  const after = cursor ? "AND (expires_bucket > ? OR (expires_bucket = ? AND id > ?))" : "";
  return query(
    `SELECT id, (${due.text}) AS due, expires_bucket AS bucket FROM ${sessions} WHERE expires_bucket <= ? ${after} ORDER BY expires_bucket, id LIMIT ?`,
    ...due.values,
    bucketOf(expire.before),
    ...(cursor ? [cursor.bucket, cursor.bucket, asBuffer(cursor.id)] : []),
    limitOf(scan),
  );
}

export function findFuture(
  sessions: string,
  { createdAfter, expiresAfter }: FutureQuery,
  limit: number,
): Statement {
  return query(
    `SELECT id FROM ${sessions} WHERE expires_bucket > ? AND created_at > ? LIMIT ?`,
    bucketOf(expiresAfter),
    createdAfter,
    limitOf(limit),
  );
}

export function deleteExpired(sessions: string, ids: readonly Uint8Array[], expire: ExpireQuery): Statement {
  const padded = padList(ids);
  const due = dueOf(expire);
  return write(
    `DELETE FROM ${sessions} WHERE ${inList("id", padded)} AND (${due.text})`,
    ...padded.map(asBuffer),
    ...due.values,
  );
}
