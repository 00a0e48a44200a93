/** One folder per database, and nothing outside of it that asks which database it is. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";

const src = new URL("../src", import.meta.url).pathname;
const databases = readdirSync(join(src, "sql"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "migrations")
  .map(({ name }) => name);

/** What CONTRIBUTING.md says that a folder has; beside these it may have files of its own. */
const core = [
  "dialect.ts",
  "driver.ts",
  "errors.ts",
  "handles.ts",
  "import-ledger.ts",
  "import-source.ts",
  "inspect.ts",
  "owner-settings.ts",
  "portable.ts",
  "rails-table.ts",
  "store.ts",
];

/** Where a person or another library says which database it is, and why. */
const asking: Readonly<Record<string, string>> = {
  "cli/commands/init.ts": "asks the person where sessions live, and writes the configuration for it",
  "cli/store-url.ts": "reads the scheme of a URL",
  "sql/migrations/generate/drizzle.ts": "writes for the database that the person names",
  "sql/migrations/generate/knex.ts": "writes for the database that the person names",
  "sql/migrations/generate/kysely.ts": "writes for the database that the person names",
  "sql/migrations/generate/tables.ts": "writes for the database that the person names",
  "sql/migrations/generate/typeorm.ts": "writes for the database that the person names",
};

const name = `["'\`](?:${[...databases, "mariadb"].join("|")})["'\`]`;
const store = `["'\`](?:${databases.map((database) => `${database}Store`).join("|")})["'\`]`;
const classes = databases.map((database) => database.charAt(0).toUpperCase() + database.slice(1)).join("|");
const asks = new RegExp(
  [
    `[!=]==?\\s*(?:${name}|${store})`,
    `(?:${name}|${store})\\s*[!=]==?`,
    `\\bcase\\s+${name}`,
    `\\.includes\\(${name}`,
    `\\binstanceof\\s+(?:${classes})`,
    `switch\\s*\\([^)]*\\bdialect\\.name\\)`,
    `\\bdialect\\.name\\s*[!=]==?`,
  ].join("|"),
);

function askers(): string[] {
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .filter((file) => !databases.some((database) => file.startsWith(`sql/${database}/`)))
    .filter((file) => asks.test(readFileSync(join(src, file), "utf8")));
}

test.each(databases)("%s: its folder → the file names that every database has", (database) => {
  const missing = core.filter((file) => !existsSync(join(src, "sql", database, file)));
  assert.deepEqual(missing, []);
});

test("core file names: the list → the same as the table in CONTRIBUTING.md", () => {
  const text = readFileSync(new URL("../CONTRIBUTING.md", import.meta.url), "utf8");
  const [, section = ""] = text.split("## Add a database");
  assert.deepEqual(
    Array.from(section.matchAll(/^\| `([\w-]+\.ts)` \|/gm), ([, file]) => file).toSorted(),
    core,
  );
});

test("core file names: a file that all folders have → in the list", () => {
  const [first = [], ...others] = databases.map((database) => readdirSync(join(src, "sql", database)));
  assert.deepEqual(first.filter((file) => others.every((folder) => folder.includes(file))).toSorted(), core);
});

test("database name: code outside the folder of a database → does not ask for it, except in the listed places", () => {
  assert.deepEqual(askers().toSorted(), Object.keys(asking).toSorted());
});

test.each([
  'if (dialect.name === "postgres") {',
  'const mark = kind === "mysql" || kind === "mariadb" ? "`" : quote;',
  'case "sqlite":',
  'return store === "postgresStore" ? "search_path" : "database";',
  "if (!(database instanceof SqliteDatabase)) return database;",
  "switch (database.dialect.name) {",
])("which database it is: %s → found", (line) => {
  assert.match(line, asks);
});
