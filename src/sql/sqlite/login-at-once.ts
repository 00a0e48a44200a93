/** A login under a limit of sessions as one batch, whose conditions are in its statements. */
import { sameBytes } from "../../shared/bytes.ts";
import { boundedIn, bytesIn, bytesOrNullIn, LATEST } from "../columns.ts";
import type { EndedRow } from "../../store/audit.ts";
import { isLive, type LimitedLogin, type SessionLimit } from "../../store/session-limit.ts";
import type { Dialect, Result, Statement } from "../dialect.ts";
import { sqlitePortable } from "./portable.ts";
import type { SqlValue } from "../values.ts";

interface Condition {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

/**
 * Null from the transaction, and nothing changed, if the row is not as it was loaded, its id is taken, or the login is
 * refused. SQLite has one writer at a time, so logins need no lock.
 */
export function loginAtOnce(
  dialect: Dialect,
  { loaded, next, limit }: LimitedLogin,
): ReturnType<NonNullable<Dialect["loginAtOnce"]>> {
  const { sessions } = dialect.names;
  const written = loaded === null ? dialect.insert([next]) : dialect.replace(loaded, next);
  const statements = written.map((statement) => ({ ...statement, atLeast: 1 }));
  if (limit.onLimit === "endOldest") {
    return {
      statements: [...statements, eviction(sessions, next.id, limit)],
      ended: (results) => endedIn(results[statements.length]!),
    };
  }
  // A login over a live session of the same user adds none.
  const addsOne = loaded === null || !countsFor(loaded, limit);
  const insert = statements.pop()!;
  return {
    statements: [...statements, addsOne ? whileBelow(sessions, insert, limit) : insert],
    ended: () => [],
  };
}

function live({ userRefs, now, idleTimeout, absoluteTimeout }: SessionLimit): Condition {
  const marks = userRefs.map(() => "?").join(", ");
  return {
    text: `user_ref IN (${marks}) AND min(expires_at, absolute_expires_at, updated_at + ?, created_at + ?) > ?`,
    values: [...userRefs, idleTimeout, absoluteTimeout, now],
  };
}

function countsFor(row: EndedRow, limit: SessionLimit): boolean {
  const { userRef } = row;
  return userRef !== null && limit.userRefs.some((ref) => sameBytes(ref, userRef)) && isLive(row, limit);
}

const TIMES = ["created_at", "updated_at", "absolute_expires_at", "expires_at"];
const ENDED = `id, user_ref, ${TIMES.map((column) => sqlitePortable.integer(column, LATEST)).join(", ")}`;

function eviction(sessions: string, next: Uint8Array, limit: SessionLimit): Statement {
  const { text, values } = live(limit);
  return {
    text:
      `DELETE FROM ${sessions} WHERE id IN (SELECT id FROM ${sessions} WHERE ${text} AND id <> ? ` +
      `ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET ?) RETURNING ${ENDED}`,
    values: [...values, next, limit.count - 1],
    writes: true,
  };
}

/** The insert, of nothing where the user has as many sessions as allowed. */
function whileBelow(sessions: string, insert: Statement, limit: SessionLimit): Statement {
  const { text, values } = live(limit);
  return {
    ...insert,
    text: insert.text.replace(
      /VALUES \(([?, ]+)\)/,
      (_, marks: string) => `SELECT ${marks} WHERE (SELECT count(*) FROM ${sessions} WHERE ${text}) < ?`,
    ),
    values: [...insert.values, ...values, limit.count],
  };
}

function endedIn({ rows }: Result): readonly EndedRow[] {
  return rows.map((row) => ({
    id: bytesIn(row, "id"),
    userRef: bytesOrNullIn(row, "user_ref"),
    createdAt: boundedIn(row, "created_at"),
    updatedAt: boundedIn(row, "updated_at"),
    absoluteExpiresAt: boundedIn(row, "absolute_expires_at"),
    expiresAt: boundedIn(row, "expires_at"),
  }));
}
