/** "Copy the table" of docs/incident-guide.md. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import mysql from "mysql2/promise";
import { createSessionManager } from "../../src/index.ts";
import { execute } from "../servers/execute.ts";
import { openPlace, type Place } from "../session/place.ts";
import type { OwnDatabase } from "./own-database.ts";
import { blocksOf, sectionOf } from "./page.ts";

export interface Copy {
  /** That the copy still opens with a key. */
  assertOpens(keys: string, cookie: string): Promise<void>;
}

/** Copies the table with the guide's SQL. On MySQL and MariaDB a transaction holds a row meanwhile. */
export async function copyTable({ place }: OwnDatabase): Promise<Copy> {
  const blocks = blocksOf(sectionOf("incident-guide.md", "Copy the table")).map(({ text }) => text);
  assert.equal(blocks.length, 3);
  const sql = blocks[{ postgres: 0, mysql: 1, mariadb: 1, sqlite: 2 }[place.kind]]!;
  if (place.kind === "sqlite") {
    const copy = join(dirname(place.at), "evidence.sqlite3");
    const raw = new DatabaseSync(place.at);
    raw.exec(sql.replace("evidence.sqlite3", copy));
    raw.close();
    return copyAt({ ...place, at: copy });
  }
  if (place.kind === "postgres") await execute(place.at, place.kind, sql);
  else await copyBesideLock(place.at, sql);
  return copyAt({ ...place, table: "evidence_sessions" });
}

async function copyBesideLock(url: string, sql: string): Promise<void> {
  const [writer, operator] = await Promise.all([
    mysql.createConnection({ uri: url }),
    mysql.createConnection({ uri: url, multipleStatements: true }),
  ]);
  try {
    await writer.beginTransaction();
    await writer.query("UPDATE stored_sessions SET version = version + 1 LIMIT 1");
    // With another isolation level the copy would wait for that row.
    await operator.query(`SET SESSION innodb_lock_wait_timeout = 1; ${sql}`);
    await writer.rollback();
  } finally {
    writer.destroy();
    operator.destroy();
  }
}

function copyAt(place: Place): Copy {
  return {
    async assertOpens(keys, cookie) {
      const store = openPlace(place);
      const session = await createSessionManager({ store, keys }).load(cookie);
      assert.notEqual(session.user, undefined, "the copy does not open with the leaked key");
      await store.close();
    },
  };
}
