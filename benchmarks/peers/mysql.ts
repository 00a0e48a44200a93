import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { bare } from "./bare.ts";
import { load } from "./candidate.ts";
import type { Candidate, Setting } from "./candidate.ts";
import { expressStore } from "./express-store.ts";
import { fill, ourTable, type Fillable } from "./filler.ts";
import { ours } from "./ours.ts";

const connectionLimit = 10;

/** MySQL and MariaDB. */
export async function mysqlCandidates({ url, pid, size }: Setting): Promise<Candidate[]> {
  const { createPool } = await load("mysql2/promise");
  const session = await load("express-session");
  const knex = await load("knex");
  const { ConnectSessionKnexStore } = await load("connect-session-knex");
  const MySQLStore = (await load("express-mysql-session"))(session);

  const pool = () => createPool({ uri: url, connectionLimit });
  const admin = pool();
  for (const table of ["ours", "ours_user", "mysql_session", "knex_sessions", "bare"]) {
    await admin.query(`DROP TABLE IF EXISTS ${table}, ${table}_leases, ${table}_migrations`);
  }
  await admin.query(
    "CREATE TABLE bare (id binary(32) PRIMARY KEY, data mediumtext NOT NULL, expires_at bigint NOT NULL)",
  );
  const bytes = (table: string) => async () => {
    const connection = await admin.getConnection();
    try {
      await connection.query(`ANALYZE TABLE ${table}`);
      // MySQL answers from a cache of a day; MariaDB has none.
      await connection.query("SET SESSION information_schema_stats_expiry = 0").catch(() => {});
      const [rows] = await connection.query(
        "SELECT data_length + index_length AS bytes FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
        [table],
      );
      return Number(rows[0].bytes);
    } finally {
      connection.release();
    }
  };

  const random = (first: string) => `CONCAT(UNHEX('${first}'), RANDOM_BYTES(31))`;
  const filling = (table: Fillable) => (rows: number) =>
    fill(table, rows, async (text) => (await admin.query(text))[0].affectedRows);

  const ownPools = [pool(), pool()];
  const theirPool = pool();
  const theirs = new MySQLStore({ schema: { tableName: "mysql_session" } }, theirPool);
  await theirs.onReady();
  const knexClient = knex({
    client: "mysql2",
    connection: url,
    pool: { min: connectionLimit, max: connectionLimit },
  });
  const knexStore = new ConnectSessionKnexStore({
    knex: knexClient,
    tableName: "knex_sessions",
    cleanupInterval: 0,
  });
  const barePool = pool();

  return [
    await ours(mysqlStore(ownPools[0], { table: "ours" }), {
      name: "Stored Session",
      pid,
      size,
      bytes: bytes("ours"),
      fill: filling(ourTable("ours", random)),
      close: () => ownPools[0].end(),
    }),
    await ours(mysqlStore(ownPools[1], { table: "ours_user", lanes: { read: 1, write: 1 } }), {
      name: "Stored Session, one lane, logged in",
      pid,
      size,
      loggedIn: true,
      bytes: bytes("ours_user"),
      fill: filling(ourTable("ours_user", random)),
      close: () => ownPools[1].end(),
    }),
    expressStore(theirs, {
      name: "express-mysql-session",
      pid,
      size,
      bytes: bytes("mysql_session"),
      fill: filling({
        table: "mysql_session",
        key: "session_id",
        newKey: (first) => `CONCAT('${first}', LOWER(HEX(RANDOM_BYTES(15))))`,
        columns: ["expires", "data"],
      }),
      async close() {
        await theirs.close();
        await theirPool.end();
        await admin.end();
      },
    }),
    expressStore(knexStore, {
      name: "connect-session-knex",
      pid,
      size,
      bytes: bytes("knex_sessions"),
      close: () => knexClient.destroy(),
    }),
    bare(
      {
        select: async (id) =>
          (await barePool.execute("SELECT data, expires_at FROM bare WHERE id = ?", [id]))[0][0].data,
        insert: (id, data, expiresAt) =>
          barePool.execute("INSERT INTO bare (id, data, expires_at) VALUES (?, ?, ?)", [id, data, expiresAt]),
        update: (id, data, expiresAt) =>
          barePool.execute("UPDATE bare SET data = ?, expires_at = ? WHERE id = ?", [data, expiresAt, id]),
        touch: (id, expiresAt) =>
          barePool.execute("UPDATE bare SET expires_at = ? WHERE id = ?", [expiresAt, id]),
        bytes: bytes("bare"),
        fill: filling({ table: "bare", key: "id", newKey: random, columns: ["data", "expires_at"] }),
        close: () => barePool.end(),
      },
      { name: "mysql2, prepared statement", pid, size },
    ),
  ];
}
