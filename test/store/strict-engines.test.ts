/**
 * No statement is sent that an engine rejects or carries out otherwise, by the rules in test/servers/strict.ts: the whole
 * contract runs with the texts for that engine on a real server, in front of which the rules reject.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { storeContract } from "../../src/testing/store-contract.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { citusStandIn, type StandIn } from "../servers/citus-stand-in.ts";
import { databases, execute, SUFFIXES } from "../servers/databases.ts";
import { throughTrail } from "../audit/through-trail.ts";
import { world } from "../audit/world.ts";
import { auditOnce } from "../servers/audit-once.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";
import { RULES, Strict, type Rule } from "../servers/strict.ts";
import { wiredMysql, wiredPostgres, type WireStore } from "../servers/wire.ts";

const postgres = databases.find(({ kind }) => kind === "postgres")?.url;
const mysql = databases.find(({ kind }) => kind === "mysql")?.url;

/** How each engine words a refusal. */
const refusals: Record<Rule["engine"], (rule: Rule) => object> = {
  cockroachdb: unsupported,
  yugabytedb: unsupported,
  dsql: unsupported,
  citus: unsupported,
  tidb: (rule) => ({ errno: 1235, sqlState: "42000", message: rule.what }),
  vitess: (rule) => ({ errno: 1235, sqlState: "42000", message: `VT12001: unsupported: ${rule.what}` }),
};

function unsupported(rule: Rule): object {
  return { severity: "ERROR", code: "0A000", message: rule.what };
}

/** As PostgreSQL takes what only the engine does. */
function asPostgres(text: string): string {
  if (!text.startsWith("CREATE")) return text;
  return text
    .replace(/\b(id|expires_bucket|created_at|subject|number|slot|session_id|link) ASC\b/g, "$1")
    .replace("CREATE INDEX ASYNC", "CREATE INDEX");
}

function open(
  engine: Rule["engine"],
  url: string,
  table: string,
  strict: Strict,
  tells = true,
): Promise<WireStore> {
  const choose = (text: string, connection: object) => {
    const rule = strict.read(text, connection);
    if (rule !== null) return { refuse: refusals[engine](rule) };
    const sent = asPostgres(text);
    return sent === text ? null : { send: sent };
  };
  return engine === "tidb" || engine === "vitess"
    ? wiredMysql(url, { table, ...(tells && { engine }) }, choose)
    : wiredPostgres(url, { table, ...(tells && { engine }) }, choose);
}

for (const engine of new Set(RULES.map((rule) => rule.engine))) {
  const isMysql = engine === "tidb" || engine === "vitess";
  const server = isMysql ? mysql : postgres;
  describe.skipIf(server === undefined || server === null)(`as ${engine} takes it`, () => {
    const strict = new Strict(engine);
    let standIn: StandIn | undefined;
    let url = server!;
    let table = `t_${randomBytes(8).toString("hex")}`;
    let first: WireStore;

    beforeAll(async () => {
      if (engine === "citus") {
        standIn = await citusStandIn(url, 4);
        ({ url } = standIn);
        ({ table } = standIn.created);
      }
      first = await open(engine, url, table, strict);
      await first.store.migrate();
    });
    afterAll(async () => {
      await first.close();
      await standIn?.[Symbol.asyncDispose]();
      if (standIn !== undefined) return;
      const tables = SUFFIXES.map((suffix) => table + suffix);
      await execute(url, isMysql ? "mysql" : "postgres", `DROP TABLE IF EXISTS ${tables.join(", ")}`);
    });

    storeContract(engine, {
      test,
      create: async () => first.another(),
      async destroy() {
        for (const name of [table, `${table}_leases`])
          await execute(url, isMysql ? "mysql" : "postgres", `DELETE FROM ${name}`);
      },
    });

    test("audit trail: each kind of change and each question → carried out, by statements that the engine takes", async () => {
      await auditOnce(first.another());
    });

    test("every statement of the contract, the audit trail and the migration → none that the engine rejects", () => {
      assert.ok(strict.texts.size > 15);
      assert.deepEqual(
        strict.findings.map(({ rule, text }) => `${rule.what}: ${text}`),
        [],
      );
    });
  });
}

describe.skipIf(!postgres)("a server that does not say that it is CockroachDB", () => {
  test.each([
    ["", (store: SessionStore) => store],
    [", with the audit trail", (store: SessionStore) => throughTrail(store, world().trail(store))],
  ])(
    "replace%s: the first is rejected (0A000) → a transaction does it, and no other is rejected",
    async (_, as) => {
      const strict = new Strict("cockroachdb");
      await using created = await databases.find(({ kind }) => kind === "postgres")!.createStore();
      await created.store.migrate();
      const wire = await wiredPostgres(postgres!, { table: created.table }, (text) => {
        const rule = text.startsWith("WITH ended") ? strict.read(text) : null;
        return rule === null ? null : { refuse: unsupported(rule) };
      });
      try {
        const rows = randomRows(4);
        const store = as(wire.store);
        await store.insert(rows);
        for (const row of rows) assert.equal(await store.replace(row, randomRow()), true);
        expect(strict.findings).toHaveLength(1);
        assert.equal(await store.replace(rows[0]!, randomRow()), false);
      } finally {
        await wire.close();
      }
    },
  );
});

describe.skipIf(!mysql)("a server that does not say that it is Vitess", () => {
  test("update of several: the first batch is rejected → the transaction does it, and no other batch is rejected", async () => {
    const strict = new Strict("vitess");
    const database = databases.find(({ kind }) => kind === "mysql")!;
    await using created = await database.createStore();
    await created.store.migrate();
    const wire = await wiredMysql(mysql!, { table: created.table }, (text) => {
      const rule = text.startsWith("UPDATE") ? strict.read(text) : null;
      return rule === null ? null : { refuse: refusals.vitess(rule) };
    });
    try {
      let rows = randomRows(4);
      await wire.store.insert(rows);
      for (let nth = 0; nth < 3; nth++) {
        const updates = rows.map((loaded) => ({ loaded, next: nextRow(loaded) }));
        assert.deepEqual(await wire.store.update(updates), [true, true, true, true]);
        rows = updates.map(({ next }) => next);
      }
      expect(strict.findings).toHaveLength(1);
    } finally {
      await wire.close();
    }
  });
});

/** The statements as they were before these rules: each rule has found its own. */
const former: readonly [engine: Rule["engine"], what: RegExp, texts: readonly string[]][] = [
  [
    "cockroachdb",
    /several modifications/,
    [
      'WITH ended AS (DELETE FROM "t" WHERE id = $11 AND version = $12 AND ($1::bytea = $11::bytea OR NOT EXISTS (SELECT 1 FROM "t" WHERE id = $1)) RETURNING 1) INSERT INTO "t" (id) SELECT $1::bytea FROM ended',
    ],
  ],
  [
    "citus",
    /subquery/,
    [
      'WITH ended AS (DELETE FROM "t" WHERE id = $11 AND version = $12 AND ($1::bytea = $11::bytea OR NOT EXISTS (SELECT 1 FROM "t" WHERE id = $1)) RETURNING 1) INSERT INTO "t" (id) SELECT $1::bytea FROM ended',
    ],
  ],
  [
    "cockroachdb",
    /division/,
    [
      'UPDATE "t" s SET expires_bucket = CASE WHEN s.updated_at > $2::int8 THEN s.expires_bucket ELSE LEAST($3::int8, s.absolute_expires_at) / 86400000 END FROM unnest($1::bytea[]) AS u(id) WHERE s.id = ANY (ARRAY[u.id])',
    ],
  ],
  ["cockroachdb", /advisory/, ["SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"]],
  ["yugabytedb", /advisory/, ["SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"]],
  ["dsql", /advisory/, ["SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"]],
  ["cockroachdb", /storage/, ['ALTER TABLE "t" ALTER COLUMN data SET STORAGE EXTERNAL']],
  [
    "citus",
    /prune/,
    [
      "DELETE FROM \"t\" s USING unnest($1::bytea[]) AS u(id) WHERE s.id = ANY (ARRAY[u.id]) RETURNING encode(s.id, 'base64') AS id",
    ],
  ],
  ["dsql", /asynchronously/, ['CREATE INDEX IF NOT EXISTS "i" ON "t" (user_ref)']],
  [
    "dsql",
    /second statement/,
    ["BEGIN", 'CREATE TABLE IF NOT EXISTS "t" (id bytea)', 'CREATE TABLE IF NOT EXISTS "l" (name text)'],
  ],
  [
    "citus",
    /FOR UPDATE/,
    [
      "SELECT encode(id, 'base64') AS id FROM \"t\" s WHERE user_ref IN ($1) ORDER BY s.id LIMIT 1000000 FOR UPDATE",
    ],
  ],
  [
    "dsql",
    /partial index/,
    ['CREATE INDEX ASYNC IF NOT EXISTS "i" ON "t_audit" (subject, created_at) WHERE subject IS NOT NULL'],
  ],
  [
    "dsql",
    /FOR UPDATE/,
    [
      "SELECT encode(id, 'base64') AS id FROM \"t\" s WHERE id IN ($1, $2) ORDER BY s.id LIMIT 1000000 FOR UPDATE",
    ],
  ],
  [
    "yugabytedb",
    /lost/,
    ['CREATE TABLE IF NOT EXISTS "t_audit" (\n  id bytea NOT NULL,\n  body bytea NOT NULL\n)'],
  ],
  [
    "tidb",
    /shared lock/,
    ["SELECT id, version, created_at FROM `t` WHERE id IN (?, ?) LIMIT 2 LOCK IN SHARE MODE"],
  ],
  [
    "vitess",
    /subquery/,
    [
      "UPDATE `t` SET data = CASE id WHEN ? THEN ? ELSE NULL END, version = IF(version = ?, ?, (SELECT version FROM (SELECT 1 AS one UNION ALL SELECT 2) AS two)) WHERE id IN (?, ?)",
    ],
  ],
  ["vitess", /GET_LOCK/, ["SELECT GET_LOCK(?, ?) AS held LIMIT 1"]],
];

describe("the rules", () => {
  test.each(former)("%s: %s in a statement of before → found", (engine, what, texts) => {
    const strict = new Strict(engine);
    for (const text of texts) strict.read(text);
    assert.ok(
      strict.findings.some(({ rule }) => what.test(rule.what)),
      JSON.stringify(strict.findings),
    );
  });

  test("each rule → has a source", () => {
    for (const { source } of RULES) assert.match(source, /^(https:\/\/|run on |our own rule: )/);
  });
});
