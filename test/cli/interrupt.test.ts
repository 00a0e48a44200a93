/** Ctrl-C ends long work between two batches, also where the database answers without a turn of the event loop. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Gem, railsKeys } from "../rails/gem.ts";
import { createTable } from "../rails/tables.ts";
import { databases } from "../servers/databases.ts";
import { parseAllDocuments } from "yaml";
import { answerOf, Folder, main } from "./command.ts";

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  const store = sqliteStore(folder.file("ours.sqlite3"));
  await store.migrate();
  await store.close();
});
afterEach(() => folder.remove());

/** A configuration in which the process is sent a signal when its store is first asked for this. */
function signalAt(method: "takeOver" | "scanInfo" | "delete", signal: NodeJS.Signals): void {
  const module = JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href);
  writeFileSync(
    folder.file("stored-session.config.mjs"),
    `import { sqliteStore } from ${module};
const store = sqliteStore("ours.sqlite3");
const asked = store.${method}.bind(store);
let sent = false;
store.${method} = (...args) => {
  if (!sent) process.kill(process.pid, ${JSON.stringify(signal)});
  sent = true;
  return asked(...args);
};
export default { store, keys: process.env.STORED_SESSION_KEYS };`,
  );
}

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
  "%s during an import between two SQLite files → it stops",
  async (signal) => {
    signalAt("takeOver", signal);
    const old = new DatabaseSync(folder.file("old.sqlite3"));
    old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT, expire TEXT)");
    const end = new Date(Date.now() + 3_600_000).toISOString();
    const insert = old.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
    old.exec("BEGIN");
    for (let i = 0; i < 1_000; i++) insert.run(`session ${i}`, '{"cookie":{}}', end);
    old.exec("COMMIT");
    old.close();
    const args = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];
    const { code, out, err } = await folder.run(...args, "--batch-size", "5", "--json");
    assert.match(err, /Stopping after this batch[^]*Run it again to continue/);
    assert.equal(code, 130);
    const { read, imported, finished } = JSON.parse(out);
    assert.ok(imported === read && imported > 0 && imported < 1_000, out);
    assert.equal(finished, false);
  },
);

const sqlite = databases.find(({ name }) => name === "sqlite");
test.runIf(sqlite !== undefined)("SIGINT during an import from a Rails table → it stops", async () => {
  signalAt("takeOver", "SIGINT");
  const held = await createTable(sqlite!);
  try {
    const gem = new Gem(held, "sqlite", Date.now);
    for (let i = 0; i < 100; i++) await gem.write(i.toString(16).padStart(32, "0"), { user_id: i });
    const [file] = await held.ask("PRAGMA database_list");
    folder.env["STORED_SESSION_RAILS_PRIMARY_KEY"] = railsKeys.primaryKey;
    folder.env["STORED_SESSION_RAILS_KEY_DERIVATION_SALT"] = railsKeys.keyDerivationSalt;
    const args = ["import", "stored_session", "--from", `sqlite:${String(file!["file"])}`];
    const { code, out } = await folder.run(...args, "--batch-size", "1", "--json");
    assert.equal(code, 130);
    const { imported } = JSON.parse(out);
    assert.ok(imported > 0 && imported < 100, out);
  } finally {
    await held.drop();
  }
});

test.each([
  ["stats", "scanInfo"],
  ["expire --dry-run", "scanInfo"],
  ["keys status", "scanInfo"],
  ["revoke --all --yes", "delete"],
] as const)("SIGINT during %s → it stops", async (command, method) => {
  const sessions = manage(sqliteStore(folder.file("ours.sqlite3")), folder.env["STORED_SESSION_KEYS"]!);
  await visit(sessions, "anna");
  await sessions.close();
  const ours = new DatabaseSync(folder.file("ours.sqlite3"));
  const names = ours.prepare("SELECT name FROM pragma_table_info('stored_sessions')").all();
  const values = names.map(({ name }) => (name === "id" ? "randomblob(32)" : String(name)));
  ours.exec(`WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
    INSERT INTO stored_sessions SELECT ${values.join(", ")} FROM stored_sessions, numbers`);
  ours.close();
  signalAt(method, "SIGINT");
  const { code, err } = await folder.run(...command.split(" "));
  assert.match(err, /Stopped before the end/);
  assert.equal(code, 130);
  if (method === "delete") assert.ok((await folder.json("count")).live > 0);
});

/** Sessions under an older key, and a folder in which `node_modules/.bin/stored-session` is this command. */
async function older(count: number): Promise<void> {
  const before = folder.env["STORED_SESSION_KEYS"]!;
  const sessions = manage(sqliteStore(folder.file("ours.sqlite3")), before);
  for (let i = 0; i < count; i++) await visit(sessions);
  await sessions.close();
  folder.env["STORED_SESSION_KEYS"] = `${generateKey()},${before}`;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  mkdirSync(folder.file("node_modules/.bin"), { recursive: true });
  writeFileSync(folder.file("package.json"), "{}");
  const script = `#!/bin/sh\nexec ${JSON.stringify(process.execPath)} ${JSON.stringify(main)} "$@"\n`;
  writeFileSync(folder.file("node_modules/.bin/stored-session"), script, { mode: 0o755 });
}

const resealed = async () => (await folder.json("stats")).keys[0].live as number;

/** Whether another process may reseal at once. */
async function assertLeaseIsFree(): Promise<void> {
  const { code, err } = await folder.run("reseal", "--share", "1", "--rate", "100000");
  assert.equal(code, 0, err);
}

// npm's own Node may refuse the options that the oldest Node needs to read TypeScript.
test.runIf(process.env["NODE_OPTIONS"] === undefined)(
  "R27 reseal under npx: SIGTERM to npx → it stops between two batches and gives its lease back",
  async () => {
    await older(60);
    const npx = spawn("npx", ["stored-session", "reseal", "--rate", "5"], {
      cwd: folder.path,
      env: { ...folder.env, HOME: folder.path },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = answerOf(npx);
    while ((await resealed()) === 0);
    npx.kill("SIGTERM");
    // The pipes close when the command, which holds them too, has ended.
    const { out, err } = await ended;
    assert.match(err, /npm has ended\. Stopping after this batch\.\n[^]*Stopped before the end\./);
    assert.match(out, /^Resealed \d+ sessions/);
    assert.ok((await resealed()) < 60);
    await assertLeaseIsFree();
  },
);

test("R27 reseal under npm: npm ends while the configuration is loaded → it stops after its first batch", async () => {
  await older(60);
  const module = JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href);
  writeFileSync(
    folder.file("slow.mjs"),
    `import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { sqliteStore } from ${module};
const parent = process.ppid;
writeFileSync("loading", "");
while (process.ppid === parent) await pause(10);
export default { store: sqliteStore("ours.sqlite3"), keys: process.env.STORED_SESSION_KEYS };`,
  );
  const line = `"$0" "$1" reseal --config slow.mjs --rate 5 & wait`;
  const npm = spawn("sh", ["-c", line, process.execPath, main], {
    cwd: folder.path,
    env: { ...folder.env, npm_command: "exec" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = answerOf(npm);
  while (!existsSync(folder.file("loading"))) await pause(10);
  npm.kill("SIGKILL");
  const { err } = await ended;
  assert.match(err, /npm has ended\. Stopping after this batch\.\n[^]*Stopped before the end\./);
  assert.ok((await resealed()) < 60);
  await assertLeaseIsFree();
});

test("R27 reseal in a terminal that is closed → it stops between two batches and gives its lease back", async () => {
  await older(60);
  const held = () => {
    const ours = new DatabaseSync(folder.file("ours.sqlite3"));
    const lease = ours.prepare("SELECT held_until FROM stored_sessions_leases WHERE name = 'reseal'").get();
    ours.close();
    return Number(lease?.["held_until"] ?? 0);
  };
  // It holds the terminal: when it is killed, the kernel sends SIGHUP, and every further write fails.
  const line = `exec '${process.execPath}' '${main}' reseal --rate 5`;
  const terminal = spawn("script", ["-q", "-c", line, "/dev/null"], {
    cwd: folder.path,
    env: folder.env,
    stdio: ["pipe", "ignore", "ignore"],
  });
  while ((await resealed()) === 0);
  assert.ok(held() > Date.now());
  terminal.kill("SIGKILL");
  while (held() > 0) await pause(20);
  assert.ok((await resealed()) < 60);
  await assertLeaseIsFree();
});

/** The command lines of docs/jobs.md, as cron, systemd and Kubernetes run them. */
function recipes(): [string, string][] {
  const page = readFileSync(new URL("../../docs/jobs.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/^```(cron|ini|yaml)\n(.*?)^```$/gms)];
  return blocks.flatMap(([, kind, text = ""]): [string, string][] => {
    if (kind === "cron") {
      return text
        .split("\n")
        .filter((line) => /^[\d*]/.test(line))
        .map((line) => ["cron", line.split(/\s+/).slice(5).join(" ")]);
    }
    if (kind === "ini") return [...text.matchAll(/^ExecStart=(.*)$/gm)].map(([, line]) => ["systemd", line!]);
    return parseAllDocuments(text).flatMap((document): [string, string][] => {
      const { spec } = document.toJS();
      const { containers } = spec.jobTemplate.spec.template.spec;
      return containers.map(({ command }: { command: string[] }) => ["Kubernetes", command.join(" ")]);
    });
  });
}

test.each(recipes())(
  "docs/jobs.md, %s: SIGTERM to `%s` → it stops and gives its lease back",
  async (_, line) => {
    await older(60);
    // The recipes say where an application is installed; here it is this folder.
    const command = line.replace(/^cd \S+ && /, "").replace("/srv/shop/", "");
    const words = command.split(" ");
    assert.equal(words[0], "node_modules/.bin/stored-session");
    // The slow pace is there so that the signal arrives in the middle.
    const isReseal = words[1] === "reseal";
    const pace = isReseal ? ["--rate", "5", "--share", "0.33"] : [];
    const child = spawn(words[0]!, [...words.slice(1), ...pace], {
      cwd: folder.path,
      env: folder.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = answerOf(child);
    if (!isReseal) {
      assert.equal((await ended).code, 0);
      return;
    }
    while ((await resealed()) === 0);
    child.kill("SIGTERM");
    const { code, err } = await ended;
    assert.match(err, /Stopped before the end\./);
    assert.equal(code, 130);
    await assertLeaseIsFree();
  },
);

test("docs/jobs.md: cron, systemd and Kubernetes → a recipe for each", () => {
  assert.deepEqual([...new Set(recipes().map(([kind]) => kind))], ["cron", "systemd", "Kubernetes"]);
  const page = readFileSync(new URL("../../docs/jobs.md", import.meta.url), "utf8");
  // cron's own PATH has no /usr/local/bin, where node is in its images and after most installations.
  assert.match(page, /^```cron\nPATH=\/usr\/local\/bin:\/usr\/bin:\/bin$/m);
});
