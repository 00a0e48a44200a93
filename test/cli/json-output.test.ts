/** Every `--json` output has the shape that docs/cli-output.schema.json documents. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
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
  const validate = ajv.getSchema(`${schema.$id}#/$defs/${encodeURIComponent(name)}`);
  assert.ok(validate, `no schema of ${name}`);
  assert.ok(validate(answer), `${name}: ${JSON.stringify(validate.errors)} ${out}`);
  validated.add(name);
  return answer;
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

  // No schema without an output, and none missing of a command that has --json.
  const helpers = [
    "number",
    "time",
    "handle",
    "keyId",
    "place",
    "client",
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
  const { out } = await folder.run("--help");
  const names = [...out.matchAll(/^ {2}([a-z]+)(?: [<[]\S+)? {2,}/gm)].map(([, name]) => name!);
  assert.ok(names.length >= 15, String(names));
  for (const name of names) {
    const { out: help } = await folder.run(name, "--help");
    if (help.includes("--json")) assert.ok(validated.has(name), `${name} has --json and no schema`);
  }
});
