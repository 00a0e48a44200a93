/** What each tool makes of the generated text, on a real database, against what our own migrations make. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import knex from "knex";
import { Kysely, MysqlDialect, PostgresDialect, SqliteDialect } from "kysely";
import mysql from "mysql2";
import pg from "pg";
import { DataSource, type DataSourceOptions, type MigrationInterface } from "typeorm";
import { afterEach, beforeEach, describe, inject, test } from "vitest";
import { migrate } from "../../src/index.ts";
import { tablesOf } from "../../src/sql/migrations/generate/tables.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import type { DatabaseName } from "../servers/chosen.ts";
import type {} from "../servers/global-setup.ts";
import { Folder } from "./command.ts";
import { prismaMigration } from "./prisma.ts";

const BetterSqlite3 = createRequire(import.meta.url)("better-sqlite3");
const root = new URL("../..", import.meta.url).pathname;

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  symlinkSync(`${root}node_modules`, folder.file("node_modules"));
});
afterEach(() => folder.remove());

type Kind = "sqlite" | "postgres" | "mysql";
type Row = Record<string, unknown>;

/** A database with room for two sets of tables: the tool's and ours. */
interface Place {
  database: DatabaseName;
  kind: Kind;
  url: string;
  store(table: string): SqlStore;
  ask(statement: string): Promise<Row[]>;
  close(tables: string[]): Promise<void>;
}

function open(database: DatabaseName): Place | null {
  if (database === "sqlite") {
    const file = folder.file("made.sqlite3");
    const handle = new BetterSqlite3(file);
    return {
      database,
      kind: database,
      url: file,
      store: (table) => sqliteStore(handle, { table }),
      ask: async (statement) => {
        const prepared = handle.prepare(statement);
        return prepared.reader ? prepared.all() : (prepared.run(), []);
      },
      close: async () => void handle.close(),
    };
  }
  const url = inject("servers")[database];
  if (url === undefined) return null;
  const kind = database === "postgres" ? "postgres" : "mysql";
  const store = kind === "postgres" ? postgresStore : mysqlStore;
  const mark = kind === "postgres" ? '"' : "`";
  const opened: SqlStore[] = [];
  const pool = kind === "postgres" ? new pg.Pool({ connectionString: url }) : mysql.createPool(url).promise();
  const ask = async (statement: string): Promise<Row[]> => {
    const answer: unknown =
      pool instanceof pg.Pool ? (await pool.query(statement)).rows : (await pool.query(statement))[0];
    return answer as Row[];
  };
  return {
    database,
    kind,
    url,
    store: (table) => (opened.push(store(url, { table })), opened.at(-1)!),
    ask,
    async close(tables) {
      for (const table of tables) {
        for (const suffix of ["", "_leases", "_migrations"])
          await ask(`DROP TABLE IF EXISTS ${mark}${table}${suffix}${mark}`);
      }
      for (const one of opened) await one.close();
      await pool.end();
    },
  };
}

/** How PostgreSQL keeps the rows of the sessions, and what SQLite refuses beside: what not every tool has words for. */
async function settingsOf({ kind, ask }: Place, table: string): Promise<unknown> {
  if (kind === "mysql") return null;
  if (kind === "sqlite") {
    const [made] = await ask(`SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '${table}'`);
    const text = String(made?.["sql"]);
    return { strict: /\bSTRICT$/i.test(text), checks: text.match(/\bCHECK\b/gi)?.length ?? 0 };
  }
  const options = await ask(`SELECT reloptions FROM pg_class WHERE oid = '"${table}"'::regclass`);
  const storage = await ask(
    `SELECT attname, attstorage FROM pg_attribute WHERE attrelid = '"${table}"'::regclass AND attnum > 0 ORDER BY 1`,
  );
  return { options, storage };
}

type Shape = Record<string, { columns: Row[]; indexes: Row[] }>;

/** Columns and indexes as the database's catalogue tells them, without the table's own name. */
async function shapeOf({ kind, ask }: Place, table: string): Promise<Shape> {
  const bare = (text: unknown) => String(text).replaceAll(table, "T");
  const shape: Shape = {};
  for (const suffix of ["", "_leases", "_migrations"]) {
    const name = table + suffix;
    let columns: Row[];
    let indexes: Row[];
    if (kind === "sqlite") {
      columns = await ask(
        `SELECT name, upper(type) AS type, ("notnull" OR pk) AS needed, pk FROM pragma_table_info('${name}')`,
      );
      indexes = await ask(
        `SELECT name, upper(replace(sql, '"', '')) AS text FROM sqlite_master WHERE type = 'index' AND tbl_name = '${name}' AND sql IS NOT NULL ORDER BY name`,
      );
      for (const index of indexes) index["text"] = /WHERE/.test(bare(index["text"])) ? "partial" : "whole";
      for (const index of indexes) {
        index["columns"] = (await ask(`SELECT name FROM pragma_index_info('${index["name"]}')`)).map(
          (row) => row["name"],
        );
      }
    } else if (kind === "postgres") {
      columns = await ask(
        `SELECT column_name AS name, data_type AS type, is_nullable AS needed FROM information_schema.columns WHERE table_name = '${name}' ORDER BY ordinal_position`,
      );
      indexes = await ask(
        `SELECT indexname AS name, regexp_replace(indexdef, '^.* USING ', '') AS text FROM pg_indexes WHERE tablename = '${name}' ORDER BY 1`,
      );
    } else {
      columns = await ask(
        `SELECT column_name AS name, column_type AS type, is_nullable AS needed, column_key AS pk FROM information_schema.columns WHERE table_schema = database() AND table_name = '${name}' ORDER BY ordinal_position`,
      );
      indexes = await ask(
        `SELECT index_name AS name, group_concat(column_name ORDER BY seq_in_index) AS text FROM information_schema.statistics WHERE table_schema = database() AND table_name = '${name}' GROUP BY index_name ORDER BY 1`,
      );
    }
    shape[suffix] = {
      columns: columns.map((row) => ({ ...row })),
      // Tools give the index of a primary key a name of their own.
      indexes: indexes
        .map((row) => ({ ...row, name: bare(row["name"]) }))
        .map((row) => (/pkey$|^PK_|PRIMARY/.test(row.name) ? { ...row, name: "primary key" } : row))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    };
  }
  return shape;
}

/** Our tables with what Prisma has no words for left out, as docs/cli.md lists it. */
function inPrismasWords(kind: Kind, shape: Shape): Shape {
  const tables = tablesOf("", kind);
  return Object.fromEntries(
    Object.entries(shape).map(([suffix, { columns, indexes }]) => {
      const wide = tables
        .find(({ name }) => name === suffix)!
        .columns.flatMap(({ name, type }) => (type === "bigint" ? [name] : []));
      const named = (row: Row) => kind === "sqlite" && wide.includes(String(row["name"]));
      return [
        suffix,
        {
          columns: columns.map((row) => (named(row) ? { ...row, type: "BIGINT" } : row)),
          indexes: indexes.map((row) => ({
            ...row,
            text: row["text"] === "partial" ? "whole" : String(row["text"]).replace(/ WHERE .*/, ""),
          })),
        },
      ];
    }),
  );
}

const run = promisify(execFile);

/** How each tool is made to run its text. */
const tools: Record<string, (place: Place, file: string) => Promise<void>> = {
  async sql(place, file) {
    for (const statement of readFileSync(file, "utf8").split(/;\n/))
      if (statement.trim()) await place.ask(statement);
  },
  async knex({ kind, url }, file) {
    const client = { sqlite: "better-sqlite3", postgres: "pg", mysql: "mysql2" }[kind];
    const connection = kind === "sqlite" ? { filename: url } : url;
    const database = knex({ client, connection, useNullAsDefault: true });
    const migration = await import(pathToFileURL(file).href);
    await database.migrate.up({
      name: "sessions",
      tableName: `k_${randomBytes(4).toString("hex")}`,
      migrationSource: {
        getMigrations: async () => ["sessions"],
        getMigrationName: (name: string) => name,
        getMigration: async () => migration,
      },
    } as never);
    await database.destroy();
  },
  async kysely({ kind, url }, file) {
    const dialect = {
      sqlite: () => new SqliteDialect({ database: new BetterSqlite3(url) }),
      postgres: () => new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }),
      mysql: () => new MysqlDialect({ pool: mysql.createPool(url) as never }),
    }[kind]();
    const database = new Kysely<unknown>({ dialect });
    const migration = (await import(pathToFileURL(file).href)) as { up(db: Kysely<unknown>): Promise<void> };
    await migration.up(database);
    await database.destroy();
  },
  async typeorm({ database, url }, file) {
    const exported = (await import(pathToFileURL(file).href)) as Record<string, new () => MigrationInterface>;
    const options: DataSourceOptions =
      database === "sqlite" ? { type: "better-sqlite3", database: url } : { type: database, url };
    const journal = `t_${randomBytes(4).toString("hex")}`;
    const source = new DataSource({
      ...options,
      migrations: Object.values(exported),
      migrationsTableName: journal,
    });
    await source.initialize();
    try {
      assert.equal((await source.runMigrations()).length, 1);
      await source.createQueryRunner().dropTable(journal);
    } finally {
      await source.destroy();
    }
  },
  async drizzle(place, file) {
    const dialect = { sqlite: "sqlite", postgres: "postgresql", mysql: "mysql" }[place.kind];
    const { stdout } = await run(
      `${root}node_modules/.bin/drizzle-kit`,
      ["export", "--dialect", dialect, "--schema", file],
      {
        cwd: folder.path,
      },
    );
    // It may say which files it reads first.
    for (const statement of stdout.slice(stdout.indexOf("CREATE")).split(";"))
      if (statement.trim()) await place.ask(statement);
  },
  async prisma({ kind, ask }, file) {
    assert.notEqual(kind, "mysql");
    const provider = kind === "sqlite" ? "sqlite" : "postgresql";
    const script = await prismaMigration(readFileSync(file, "utf8"), provider);
    for (const statement of script.split(";")) if (statement.trim()) await ask(statement);
  },
};

/** Tools whose files have no place for what PostgreSQL is told; a comment in them has it. */
const withComment = ["drizzle", "prisma"];

const endings: Record<string, string> = {
  sql: "sql",
  knex: "mjs",
  kysely: "ts",
  drizzle: "ts",
  typeorm: "ts",
  prisma: "prisma",
};

for (const database of ["sqlite", "postgres", "mysql", "mariadb"] as const) {
  describe(database, () => {
    for (const [tool, runTool] of Object.entries(tools)) {
      // Only a program that Prisma downloads writes MySQL's statements.
      if (tool === "prisma" && (database === "mysql" || database === "mariadb")) continue;
      test(`${tool}: its tables → those of our migrations, and migrate finds nothing to do`, async (context) => {
        const place = open(database);
        if (place === null) return context.skip("its server is not there");
        const { kind } = place;
        const suffix = randomBytes(4).toString("hex");
        // With a capital, which a tool that does not quote a name loses on PostgreSQL.
        const [theirs, ours] = [`TheirOwn_${suffix}`, `ourown_${suffix}`];
        try {
          const { out, err, code } = await folder.run("generate", tool, "--dialect", kind, "--table", theirs);
          assert.equal(code, 0, err);
          const file = folder.file(`generated.${endings[tool]!}`);
          writeFileSync(file, out);
          await runTool(place, file);
          await migrate(place.store(ours));
          const shape = await shapeOf(place, ours);
          const expected = tool === "prisma" ? inPrismasWords(kind, shape) : shape;
          assert.deepEqual(await shapeOf(place, theirs), expected);
          if (withComment.includes(tool) && kind === "postgres") {
            const statements = out.match(/(?<=^\/\/ )ALTER TABLE .*;$/gm) ?? [];
            assert.equal(statements.length, 2);
            for (const statement of statements) await place.ask(statement);
          }
          if (tool === "sql" || kind !== "sqlite")
            assert.deepEqual(await settingsOf(place, theirs), await settingsOf(place, ours));
          const store = place.store(theirs);
          await migrate(store);
          assert.equal(await store.count(0), 0);
        } finally {
          await place.close([theirs, ours]);
        }
      });
    }
  });
}

for (const table of ["class", "sql", "index", "text", "blob", "_1", "arguments"]) {
  test(`a table called ${table} → a module with constants of other names`, async () => {
    const { out } = await folder.run("generate", "drizzle", "--dialect", "sqlite", "--table", table);
    writeFileSync(folder.file("schema.ts"), out);
    const schema = (await import(pathToFileURL(folder.file("schema.ts")).href)) as object;
    const { getTableName, is, Table } = await import("drizzle-orm");
    const names = Object.values(schema).map((one) => (is(one, Table) ? getTableName(one) : null));
    const suffixes = [
      "",
      "_leases",
      "_migrations",
      "_audit",
      "_audit_subjects",
      "_audit_checkpoints",
      "_audit_days",
      "_links",
    ];
    assert.deepEqual(names.toSorted(), suffixes.map((suffix) => table + suffix).toSorted());
    for (const tool of ["prisma", "typeorm"]) {
      const { out: text } = await folder.run("generate", tool, "--dialect", "sqlite", "--table", table);
      for (const [, name] of text.matchAll(/^(?:export class|model) (\S+)/gm)) assert.match(name!, /^[A-Z]/);
    }
  });
}

test.each(["sqlite", "postgres"])(
  "Prisma's preview of partial indexes, that of users on %s → as docs/cli.md says",
  async (kind) => {
    const { out } = await folder.run("generate", "prisma", "--dialect", kind);
    const [, where] = /`(where: raw\(.*?\))`/.exec(readFileSync(`${root}docs/cli.md`, "utf8"))!;
    const models = out.replace("@@index([user_ref],", `@@index([user_ref], ${where},`);
    const provider = kind === "sqlite" ? "sqlite" : "postgresql";
    const script = await prismaMigration(models, provider, ["partialIndexes"]);
    assert.match(script, /"stored_sessions"\("user_ref"\) WHERE \(?user_ref IS NOT NULL\b/);
  },
);

test.each(["drizzle", "prisma", "kysely", "knex", "typeorm"])(
  "%s → its file says that migrate must run afterwards",
  async (tool) => {
    const { out } = await folder.run("generate", tool, "--dialect", "mysql");
    assert.match(out, /^\/\/ .*run "stored-session migrate" once/);
  },
);

test("an invalid name → refused", async () => {
  const { code, out } = await folder.run(
    "generate",
    "sql",
    "--dialect",
    "sqlite",
    "--table",
    "a; DROP TABLE b",
  );
  assert.deepEqual([code, out], [2, ""]);
});
