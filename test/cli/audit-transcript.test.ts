/** The transcript in docs/audit.md: every line of it is what the command prints. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, test } from "vitest";
import { createSessionManager, type SessionManager } from "../../src/manager.ts";
import { fileAnchor } from "../../src/audit/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { migrate } from "../../src/store/migrate.ts";
import { testKeys } from "../session/doubles.ts";
import { Folder } from "./command.ts";
import { asInDocs, transcriptIn } from "./transcript.ts";

const page = new URL("../../docs/audit.md", import.meta.url);
const folder = new Folder();
folder.env["STORED_SESSION_KEYS"] = testKeys;
folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
afterAll(() => folder.remove());

const client = {
  address: "203.0.113.9",
  userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)",
};
/** What the application did, at a time; null for now, which the command goes by as well. */
async function application(
  at: string | null,
  work: (sessions: SessionManager) => Promise<void>,
): Promise<void> {
  let now = at === null ? 0 : Date.parse(at);
  const sessions = createSessionManager({
    store: sqliteStore(folder.file("sessions.sqlite3")),
    keys: testKeys,
    clock: () => (at === null ? Date.now() : (now += 1_000)),
    audit: { anchor: fileAnchor(folder.file("anchors.ndjson")) },
  });
  await work(sessions);
  await sessions.close();
}

async function login(sessions: SessionManager, user: string): Promise<void> {
  const session = await sessions.load(null, client);
  session.login(user, { method: "passkey", level: "aal2" });
  await sessions.commit(session);
}

/** Without what differs from run to run. */
function steady(lines: readonly string[]): string {
  const today = new Date().toISOString().slice(0, 10);
  return asInDocs(lines, folder.path)
    .replace(/sspk1_[\w-]+/g, "sspk1_Qm8yDn5rXk2Zb7uHf3sLj9eGa4iPo6tWv1xMq0VwTcQ1m8yDn5rXk2Zb7")
    .replace(/(?<=chain )[\w-]{32}/g, "Xk2Zb7uHf3sLj9eGa4iPo6tWv1xMq0Vw")
    .replace(/(?<="id":")[\w-]{32}(?=:)/g, "Xk2Zb7uHf3sLj9eGa4iPo6tWv1xMq0Vw")
    .replace(/actor \S+@\S+/g, "actor deploy@web-1")
    .replaceAll(today, "2026-11-24");
}

test("docs/audit.md: list, tail, verify, export, verify offline, prune and stats → the page shows what they print", async () => {
  const store = sqliteStore(folder.file("sessions.sqlite3"));
  await migrate(store);
  await store.close();
  await application("2025-01-07T09:30:00Z", (sessions) => login(sessions, "7"));
  await application("2026-11-22T09:30:00Z", (sessions) => login(sessions, "7"));
  await application("2026-11-23T09:30:00Z", async (sessions) => {
    await sessions.audit.record("login.failed", {
      identifier: "ann@example.org",
      reason: "wrong password",
      client,
    });
    await login(sessions, "42");
    await login(sessions, "43");
    await sessions.forUser("42").revokeAll({ by: "admin 7", reason: "password changed" });
  });

  const lines: string[] = [];
  const step = async (line: string, code = 0): Promise<string> => {
    const args = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!);
    const { out, err, code: answered } = await folder.run(...args.slice(1));
    assert.equal(answered, code, out + err);
    lines.push(`$ ${line}`, ...(out + err).trimEnd().split("\n"), "");
    return out;
  };

  await step("stored-session audit list --user 42 --since 2026-11-01");
  await step("stored-session audit list --type login.failed --since 2026-11-01 --format ecs");

  const tail = folder.start("audit", "tail", "--type", "login.failed");
  try {
    const reading = createInterface({ input: tail.stdout! });
    const line = once(reading, "line");
    await application(null, async (sessions) => {
      // It has begun to look once it has recorded that it reads, as the lists above have.
      for (let reads = 0; reads < 3; await turn()) {
        reads = 0;
        for await (const _ of sessions.audit.list({ types: ["trail.read"] })) reads++;
      }
      await sessions.audit.record("login.failed", {
        identifier: "bob@example.org",
        reason: "unknown account",
        client,
      });
    });
    const [shown] = (await line) as [string];
    lines.push("$ stored-session audit tail --type login.failed", shown, "^C", "");
  } finally {
    tail.kill("SIGINT");
    await once(tail, "close");
  }

  const verified = await step("stored-session audit verify --anchors anchors.ndjson");
  await step("stored-session audit export --format raw --output trail.ndjson");
  const [publicKey] = verified.match(/sspk1_\S+/)!;
  await step(
    `stored-session audit verify --from trail.ndjson --public-key ${publicKey} --anchors anchors.ndjson`,
  );
  await step('stored-session audit prune --older-than "400 days" --archive old.ndjson --yes');
  await step("stored-session stats --since 2025-01-01");

  const database = new DatabaseSync(folder.file("sessions.sqlite3"));
  database.exec("UPDATE stored_sessions_audit SET outcome = 1 WHERE event = 8");
  database.close();
  lines.push(`$ sqlite3 sessions.sqlite3 "UPDATE stored_sessions_audit SET outcome = 1 WHERE event = 8"`, "");
  await step("stored-session audit verify", 1);

  const transcript = steady(lines);
  const before = readFileSync(page, "utf8");
  const [old, after] = transcriptIn(before, transcript);
  if (process.env["UPDATE_TRANSCRIPT"]) writeFileSync(page, after);
  else assert.equal(transcript, old, "docs/audit.md: run this test with UPDATE_TRANSCRIPT=1");
});
