import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { createSessionManager, type SessionManager } from "../../src/manager.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Folder } from "./command.ts";

const keys = generateKey();
let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = keys;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
});
afterEach(() => folder.remove());

async function manage(work: (sessions: SessionManager) => Promise<void>): Promise<void> {
  const store = sqliteStore(folder.file("sessions.sqlite3"));
  const sessions = createSessionManager({ store, keys, audit: true });
  await work(sessions);
  await sessions.close();
}

async function login(sessions: SessionManager, user: string): Promise<string> {
  const session = await sessions.load(null, { address: "203.0.113.9", userAgent: "=HYPERLINK(1)" });
  session.login(user, { method: "password" });
  await sessions.commit(session);
  return session.handle;
}

function tamper(sql: string): void {
  const database = new DatabaseSync(folder.file("sessions.sqlite3"));
  database.exec(sql);
  database.close();
}

const lines = (text: string): string[] => text.trim().split("\n");

describe("stored-session audit", () => {
  test("list: filters by user, session, type and time → those events, and the reading itself is recorded", async () => {
    let handle = "";
    await manage(async (sessions) => {
      handle = await login(sessions, "ann");
      await login(sessions, "bob");
    });
    const all = lines((await folder.run("audit", "list")).out);
    assert.match(all[0]!, /^\d{4}-\d\d-\d\dT\S+Z {2}trail\.started/);
    assert.ok(all.some((line) => /login +user ann {2}by password {2}from 203\.0\.113\.9/.test(line)));
    const json = async (...args: string[]): Promise<any[]> =>
      lines((await folder.run("audit", "list", "--format", "json", ...args)).out).map((line) =>
        JSON.parse(line),
      );
    assert.deepEqual(
      (await json("--user", "ann", "--type", "login")).map(({ user }) => user),
      ["ann"],
    );
    assert.deepEqual(
      (await json("--session", handle)).map(({ type }) => type),
      ["session.created", "login"],
    );
    assert.equal((await json("--type", "login", "--limit", "1")).length, 1);
    const reads = await json("--type", "trail.read");
    assert.deepEqual([...new Set(reads.map(({ reason }) => reason))], ["list"]);
    assert.match(reads[0].actor, /@/);
    assert.equal((await folder.run("audit", "list", "--until", "2020-01-01")).out, "");
  });

  test("verify: an untouched trail → exit code 0; an edited one → 1 and the event's name, offline with keys or public keys", async () => {
    await manage(async (sessions) => {
      for (const user of ["ann", "bob", "cid"]) await login(sessions, user);
    });
    const good = await folder.run("audit", "verify", "--json");
    assert.equal(good.code, 0, good.err);
    const report = JSON.parse(good.out);
    assert.equal(report.ok, true);
    assert.equal(report.publicKeys.length, 1);

    assert.equal((await folder.run("audit", "export", "--format", "raw", "-o", "trail.ndjson")).code, 0);
    const offline = (...args: string[]) =>
      folder.run("audit", "verify", "--from", "trail.ndjson", "--json", ...args);
    const byPublicKey = JSON.parse((await offline("--public-key", report.publicKeys[0])).out);
    assert.equal(byPublicKey.ok, true);
    assert.ok(byPublicKey.provenUntil);
    assert.equal(JSON.parse((await offline()).out).ok, true);

    const text = readFileSync(folder.file("trail.ndjson"), "utf8");
    const [first = "", ...rest] = lines(text).filter((line) => /"event":2,/.test(line));
    assert.ok(rest.length > 0);
    writeFileSync(
      folder.file("trail.ndjson"),
      text.replace(first, first.replace('"outcome":0', '"outcome":1')),
    );
    const edited = await offline("--public-key", report.publicKeys[0]);
    assert.equal(edited.code, 1);
    assert.deepEqual(
      JSON.parse(edited.out).problems.map(({ kind }: any) => kind),
      ["edited"],
    );
    assert.match(edited.err, /The audit trail was changed/);

    tamper("UPDATE stored_sessions_audit SET outcome = 1 WHERE event = 2");
    const bad = await folder.run("audit", "verify");
    assert.equal(bad.code, 1);
    assert.match(bad.out, /edited: Event \d+ of chain \S+ was edited\./);
    assert.match(bad.out, /3 problems found\./);
  });

  test("verify --anchors: the last checkpoints removed with their events → found", async () => {
    const anchored: string[] = [];
    const store = sqliteStore(folder.file("sessions.sqlite3"));
    const sessions = createSessionManager({
      store,
      keys,
      audit: { anchor: (checkpoint) => void anchored.push(JSON.stringify(checkpoint)) },
    });
    await login(sessions, "ann");
    await sessions.audit.checkpoint();
    await login(sessions, "bob");
    await sessions.close();
    writeFileSync(folder.file("anchors.ndjson"), `${anchored.join("\n")}\n`);
    assert.equal((await folder.run("audit", "verify", "--anchors", "anchors.ndjson")).code, 0);
    tamper(
      "DELETE FROM stored_sessions_audit WHERE event <> 30 AND event <> 1; DELETE FROM stored_sessions_audit_checkpoints WHERE number > 1",
    );
    const { code, out } = await folder.run("audit", "verify", "--anchors", "anchors.ndjson");
    assert.equal(code, 1);
    assert.match(out, /checkpoint missing: Checkpoint/);
  });

  test("export: OCSF, ECS, CloudEvents and CSV → the fields of each, no formula in a cell (R50)", async () => {
    await manage(async (sessions) => {
      await login(sessions, "ann");
      await sessions.audit.record("login.failed", { identifier: '=cmd|"/c calc"!A1', reason: "a\nb" });
    });
    const exported = async (format: string): Promise<any[]> =>
      lines((await folder.run("audit", "export", "-f", format, "-t", "login", "login.failed")).out).map(
        (line) => JSON.parse(line),
      );
    const [ocsf, failed] = await exported("ocsf");
    assert.deepEqual(
      [ocsf.class_uid, ocsf.activity_id, ocsf.type_uid, ocsf.status_id, ocsf.user.uid, ocsf.src_endpoint.ip],
      [3002, 1, 300201, 1, "ann", "203.0.113.9"],
    );
    assert.deepEqual([failed.status_id, failed.severity_id], [2, 2]);
    const [ecs] = await exported("ecs");
    assert.deepEqual(
      [ecs.event.category, ecs.event.type, ecs.event.outcome, ecs.user.id, ecs.source.ip],
      [["authentication"], ["start"], "success", "ann", "203.0.113.9"],
    );
    const [cloud] = await exported("cloudevents");
    assert.deepEqual(
      [cloud.specversion, cloud.type, cloud.data.user],
      ["1.0", "stored-session.login", "ann"],
    );
    const { out } = await folder.run("audit", "export", "-f", "csv", "-t", "login", "login.failed");
    const csv = lines(out);
    assert.equal(csv.length, 3, "one line for each event, and the head");
    assert.ok(csv[1]!.includes(`"'=HYPERLINK(1)"`));
    assert.ok(csv[2]!.includes(`"'=cmd|""/c calc""!A1"`));
  });

  test("operators: revoke, show --reveal, export and erase → recorded with who did it", async () => {
    let handles: string[] = [];
    await manage(async (sessions) => {
      handles = [await login(sessions, "ann"), await login(sessions, "bob")];
    });
    assert.equal((await folder.run("show", handles[0]!, "--reveal")).code, 0);
    assert.equal((await folder.run("revoke", handles[0]!)).code, 0);
    assert.equal((await folder.run("export", "--user", "bob")).code, 0);
    assert.equal((await folder.run("erase", "--user", "bob", "--audit", "--yes")).code, 0);
    const { out } = await folder.run("audit", "list", "-f", "json");
    const events = lines(out).map((line) => JSON.parse(line));
    const of = (type: string): any[] => events.filter((event) => event.type === type);
    assert.equal(of("data.revealed")[0].session, handles[0]);
    assert.equal(of("session.revoked")[0].session, handles[0]);
    assert.equal(of("session.revoked").length, 2);
    for (const type of ["data.revealed", "session.revoked", "data.erased", "trail.erased"]) {
      if (type !== "session.revoked") assert.match(of(type)[0].actor, /@/, type);
    }
    assert.equal(of("data.exported")[0].unreadable, "erased");
    assert.ok(of("login").some(({ unreadable, user }) => unreadable === "erased" && user === undefined));
    assert.equal((await folder.run("audit", "verify")).code, 0);
  });

  test("revoke without keys on a database with a trail → refused, because it could not be recorded", async () => {
    let handle = "";
    await manage(async (sessions) => {
      handle = await login(sessions, "ann");
    });
    delete folder.env["STORED_SESSION_KEYS"];
    const { code, err } = await folder.run("revoke", handle);
    assert.equal(code, 2);
    assert.match(err, /has an audit trail, which has to record what this command does/);
    assert.equal((await folder.run("count")).out, "1 live session\n");
  });

  test("prune: nothing old enough → says so; without an archive it asks first", async () => {
    await manage(async (sessions) => void (await login(sessions, "ann")));
    const { code, err } = await folder.run("audit", "prune", "--older-than", "30 days");
    assert.equal(code, 2);
    assert.match(err, /deletes events without an archive.*--yes/);
    const { out } = await folder.run("audit", "prune", "--older-than", "30 days", "--yes");
    assert.equal(out, "Nothing is old enough.\n");
  });

  test("stats --since → counts of the trail by day", async () => {
    await manage(async (sessions) => {
      for (const user of ["ann", "bob"]) await login(sessions, user);
    });
    const { days } = await folder.json("stats", "--since", "2020-01-01");
    const logins = days.find(({ type }: any) => type === "login");
    assert.deepEqual([logins.count, logins.outcome, logins.day.length], [2, "success", 10]);
    assert.match((await folder.run("stats", "--since", "2020-01-01")).out, /login +success +\w+ +2/);
  });

  test("stats --since: counts were edited to more than a number holds → bounded, and the others are shown", async () => {
    await manage(async (sessions) => {
      for (const user of ["ann", "bob"]) await login(sessions, user);
    });
    tamper(
      "UPDATE stored_sessions_audit SET amount = 4611686018427387904 WHERE event = 1; UPDATE stored_sessions_audit SET outcome = -4611686018427387904 WHERE event = 31; INSERT INTO stored_sessions_audit_days VALUES (2000000200, 9223372036854775807)",
    );
    const { days } = await folder.json("stats", "--since", "2020-01-01");
    const counts = (type: string): number[] =>
      days.filter((one: any) => one.type === type).map(({ count }: any) => count);
    assert.deepEqual(counts("session.created"), [2 * 2 ** 31]);
    assert.deepEqual(counts("login"), [Number.MAX_SAFE_INTEGER, 2]);
  });
});
