/** Every `--json` output has the shape that docs/cli-output.schema.json documents. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterEach, beforeEach, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";

const schema = JSON.parse(
  readFileSync(new URL("../../docs/cli-output.schema.json", import.meta.url), "utf8"),
);
const ajv = new Ajv2020({ allErrors: true, strict: true, strictRequired: false, strictTypes: false });
ajv.addFormat("date-time", (text) => new Date(text).toISOString() === text);
ajv.addSchema(schema);

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
});
afterEach(() => folder.remove());

const validated = new Set<string>();

/** Runs a command with --json; whatever it answers, its output is as documented. */
async function run(name: string, ...args: string[]): Promise<any> {
  const { out, err } = await folder.run(...args, "--json");
  assert.notEqual(out, "", `${name}: ${err}`);
  const answer = JSON.parse(out);
  validate(name, answer);
  return answer;
}

/** The same of a failing command: JSON on standard output as documented, or none, and the error on standard error. */
async function fail(name: string, code: number, ...args: string[]): Promise<any> {
  const answer = await folder.run(...args, "--json");
  assert.equal(answer.code, code, answer.err);
  assert.match(answer.err, /^Error: /m);
  if (answer.out === "") return null;
  validate(name, JSON.parse(answer.out));
  return JSON.parse(answer.out);
}

function validate(name: string, answer: unknown): void {
  const check = ajv.getSchema(`${schema.$id}#/$defs/${encodeURIComponent(name)}`);
  assert.ok(check, `no schema of ${name}`);
  assert.ok(check(answer), `${name}: ${JSON.stringify(check.errors)} ${JSON.stringify(answer)}`);
  validated.add(name);
}

async function visits(keys: string, users: (string | undefined)[], ago = 0): Promise<void> {
  const clock = () => Date.now() - ago;
  const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), keys, { clock });
  for (const user of users) await visit(sessions, user);
  await sessions.close();
}

test("--json, every command: real outputs → valid against docs/cli-output.schema.json", async () => {
  await run("check", "check");
  await run("migrate status", "migrate", "status");
  await run("migrate --print", "migrate", "--print");
  await run("migrate --dry-run", "migrate", "--dry-run");
  await run("migrate", "migrate");
  await run("migrate", "migrate");
  await run("migrate status", "migrate", "status");

  const older = folder.env["STORED_SESSION_KEYS"]!;
  await visits(older, ["anna", "ben", undefined]);
  await visits(older, ["anna"], 40 * 86_400_000);
  await visits(generateKey(), ["anna"]);
  folder.env["STORED_SESSION_KEYS"] = `${generateKey()},${older}`;
  await visits(folder.env["STORED_SESSION_KEYS"], ["cleo"]);

  await run("check", "check");
  await run("count", "count");
  await run("stats", "stats");
  const { sessions } = await run("list", "list", "--ended", "--limit", "2");
  await run("list", "list", "--user", "anna", "--sort", "size");
  await run("show", "show", sessions[0].handle);
  const {
    sessions: [readable],
  } = await run("list", "list", "--user", "ben");
  await run("show", "show", readable.handle, "--reveal");
  await run("export", "export", "--user", "anna");
  await run("keys status", "keys", "status");
  await run("keys status", "keys", "status", "--since", "2026-01-01");
  await run("keys generate", "keys", "generate");
  await run("reseal", "reseal");
  await run("expire --dry-run", "expire", "--dry-run");
  await run("expire", "expire");
  await run("revoke --dry-run", "revoke", "--address", "192.0.2.0/24", "--dry-run");
  await run("revoke", "revoke", "--user", "nobody");
  await run("revoke", "revoke", readable.handle);
  await run("erase", "erase", "--user", "anna", "--yes");
  await run("revoke", "revoke", "--all", "--yes");

  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, expire TEXT, sess TEXT)");
  const insert = old.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
  for (const text of ["{}", "no session"]) insert.run(text, "2099-01-01T00:00:00.000Z", text);
  old.close();
  const source = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];
  await run("import", ...source, "--dry-run");
  await run("import", ...source);
  await run("import", ...source, "--refresh");
  const libraries = new DatabaseSync(folder.file("auth.sqlite3"));
  libraries.exec(`CREATE TABLE user (id, email, emailVerified);
    CREATE TABLE session (id, token, userId, expiresAt, createdAt, updatedAt);
    CREATE TABLE tokens (sessionToken, userId, expires);
    INSERT INTO user VALUES ('42', '', 0);
    INSERT INTO session VALUES (1, '${"t".repeat(32)}', '42', 4102444800, 0, 0), (2, 'short', '42', 4102444800, 0, 0);
    INSERT INTO tokens VALUES ('one', '42', 4102444800)`);
  libraries.close();
  await run("import", "import", "better-auth", "--from", "sqlite:auth.sqlite3");
  await run("import", "import", "authjs", "--from", "sqlite:auth.sqlite3", "--from-table", "tokens");

  await failures();
  await auditTrail();

  // No schema without an output, and none missing of a command that has --json.
  const helpers = [
    "number",
    "time",
    "handle",
    "keyId",
    "place",
    "client",
    "outcome",
    "device",
    "unfindable",
    "session",
    "listed",
    "content",
  ];
  assert.deepEqual(
    [...validated].toSorted(),
    Object.keys(schema.$defs)
      .filter((name) => !helpers.includes(name))
      .toSorted(),
  );
  const commands = await commandsWithJson([]);
  assert.ok(commands.length >= 17, String(commands));
  assert.deepEqual(
    commands.filter((name) => !validated.has(name)),
    [],
    "commands with --json and without a schema",
  );
});

/** Every command and command of a command whose help has --json. */
async function commandsWithJson(words: readonly string[]): Promise<string[]> {
  const { out } = await folder.run(...words, "--help");
  const [, list = ""] = out.split(words.length === 0 ? /^Setting up:$/m : /^Commands:$/m);
  const names = [...list.matchAll(/^ {2}([a-z]+)(?: [<[]\S+)? {2,}/gm)].map(([, name]) => name!);
  const children = await names.reduce<Promise<string[]>>(
    async (before, name) => [...(await before), ...(await commandsWithJson([...words, name]))],
    Promise.resolve([]),
  );
  return [...(words.length > 0 && / --json /.test(out) ? [words.join(" ")] : []), ...children];
}

/** Commands that find something missing or wrong print what they know, and nothing else on standard output. */
async function failures(): Promise<void> {
  const keys = folder.env["STORED_SESSION_KEYS"]!;
  await visits(keys, ["dora"]);
  await visits(generateKey(), ["dora"]);
  assert.ok(await fail("list", 1, "list", "--user", "dora"));
  assert.ok(await fail("revoke", 1, "revoke", "--user", "nobody"));
  assert.ok(await fail("export", 1, "export", "--user", "dora"));
  assert.ok(await fail("erase", 1, "erase", "--user", "nobody", "--yes"));
  assert.ok(await fail("reseal", 1, "reseal"));
  const { ok } = await fail("check", 1, "check");
  assert.equal(ok, false);
  assert.ok(await fail("migrate status", 3, "migrate", "status", "-d", "sqlite:none.sqlite3"));
  assert.equal(await fail("show", 1, "show", "A".repeat(43)), null);
  const away = ["-d", "postgres://user:secret@127.0.0.1:9/database"];
  for (const name of ["count", "stats", "list", "expire", "reseal"]) {
    assert.equal(await fail(name, 1, name, ...away), null);
  }
}

/** Commands about the audit trail, which a configuration file turns on. */
async function auditTrail(): Promise<void> {
  const sqlite = JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href);
  writeFileSync(
    folder.file("stored-session.config.mjs"),
    `import { sqliteStore } from ${sqlite};
export default { store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS, audit: true };`,
  );
  await run("revoke", "revoke", "--user", "dora");
  for (const name of ["list", "export"]) {
    const { out, code } = await folder.run("audit", name, "--format", "json");
    assert.equal(code, 0);
    const lines = out.trimEnd().split("\n");
    assert.ok(lines.length >= 2, out);
    for (const line of lines) validate("audit event", JSON.parse(line));
  }
  await run("stats --since", "stats", "--since", "2026-01-01");
  await run("audit verify", "audit", "verify");
  await run("audit prune", "audit", "prune", "--older-than", "400 days", "--yes");
  const database = new DatabaseSync(folder.file("sessions.sqlite3"));
  database.exec("DELETE FROM stored_sessions_audit WHERE id = (SELECT min(id) FROM stored_sessions_audit)");
  database.close();
  const report = await fail("audit verify", 1, "audit", "verify");
  assert.equal(report.ok, false);
  assert.ok(report.problems.length > 0);
}
