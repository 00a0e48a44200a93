import { postgresStore } from "../../src/sql/postgres/store.ts";
import { bare } from "./bare.ts";
import { load } from "./candidate.ts";
import type { Candidate, Setting } from "./candidate.ts";
import { expressStore } from "./express-store.ts";
import { fill, ourTable, type Fillable } from "./filler.ts";
import { ours } from "./ours.ts";

const poolSize = 10;

export async function postgresCandidates({ url, pid, size }: Setting): Promise<Candidate[]> {
  const { Pool } = await load("pg");
  const session = await load("express-session");
  const knex = await load("knex");
  const { ConnectSessionKnexStore } = await load("connect-session-knex");
  const PgSimple = (await load("connect-pg-simple"))(session);

  const pool = () => new Pool({ connectionString: url, max: poolSize });
  const admin = pool();
  const tables = ["ours", "ours_user", "pg_simple", "knex_sessions", "bare"];
  for (const table of tables) {
    await admin.query(`DROP TABLE IF EXISTS ${table}, ${table}_leases, ${table}_migrations`);
  }
  await admin.query(
    "CREATE TABLE bare (id bytea PRIMARY KEY, data text NOT NULL, expires_at bigint NOT NULL)",
  );
  const bytes = (table: string) => async () => {
    const { rows } = await admin.query(
      "SELECT coalesce(pg_total_relation_size(to_regclass($1)), 0) AS bytes",
      [table],
    );
    return Number(rows[0].bytes);
  };

  const random = (first: string) => `'\\x${first}'::bytea || substr(sha256(uuid_send(gen_random_uuid())), 2)`;
  const filling = (table: Fillable) => (rows: number) =>
    fill(table, rows, async (text) => (await admin.query(text)).rowCount);

  const ownPools = [pool(), pool()];
  const simplePool = pool();
  const simple = new PgSimple({ pool: simplePool, tableName: "pg_simple", createTableIfMissing: true });
  const knexClient = knex({ client: "pg", connection: url, pool: { min: poolSize, max: poolSize } });
  const knexStore = new ConnectSessionKnexStore({
    knex: knexClient,
    tableName: "knex_sessions",
    cleanupInterval: 0,
  });
  const barePool = pool();
  const query = (name: string, text: string, values: unknown[]) => barePool.query({ name, text, values });

  return [
    await ours(postgresStore(ownPools[0], { table: "ours" }), {
      name: "Stored Session",
      pid,
      size,
      bytes: bytes("ours"),
      fill: filling(ourTable("ours", random)),
      close: () => ownPools[0].end(),
    }),
    await ours(postgresStore(ownPools[1], { table: "ours_user", lanes: { read: 1, write: 1 } }), {
      name: "Stored Session, one lane, logged in",
      pid,
      size,
      loggedIn: true,
      bytes: bytes("ours_user"),
      fill: filling(ourTable("ours_user", random)),
      close: () => ownPools[1].end(),
    }),
    expressStore(simple, {
      name: "connect-pg-simple",
      pid,
      size,
      bytes: bytes("pg_simple"),
      fill: filling({
        table: "pg_simple",
        key: "sid",
        newKey: (first) => `'${first}' || substr(replace(gen_random_uuid()::text, '-', ''), 3)`,
        columns: ["sess", "expire"],
      }),
      async close() {
        await simple.close();
        await simplePool.end();
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
          (await query("select", "SELECT data, expires_at FROM bare WHERE id = $1", [id])).rows[0].data,
        insert: (id, data, expiresAt) =>
          query("insert", "INSERT INTO bare (id, data, expires_at) VALUES ($1, $2, $3)", [
            id,
            data,
            expiresAt,
          ]),
        update: (id, data, expiresAt) =>
          query("update", "UPDATE bare SET data = $2, expires_at = $3 WHERE id = $1", [id, data, expiresAt]),
        touch: (id, expiresAt) =>
          query("touch", "UPDATE bare SET expires_at = $2 WHERE id = $1", [id, expiresAt]),
        bytes: bytes("bare"),
        fill: filling({ table: "bare", key: "id", newKey: random, columns: ["data", "expires_at"] }),
        close: () => barePool.end(),
      },
      { name: "pg, prepared statement", pid, size },
    ),
  ];
}
