import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { boundManagers } from "../device-binding/bound-managers.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { answerOf, Folder } from "./command.ts";

const [older, newest] = [generateKey(), generateKey()];
const day = 86_400_000;

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = newest;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
});
afterEach(() => folder.remove());

/** Sessions of three users and of nobody; `age` days old. */
async function fill(count: number, options: { keys?: string; age?: number; sealTo?: "cookie" } = {}) {
  const clock = () => Date.now() - (options.age ?? 0) * day;
  const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), options.keys ?? newest, {
    clock,
    ...(options.sealTo && { sealTo: options.sealTo }),
  });
  const cookies: string[] = [];
  for (let i = 0; i < count; i++)
    cookies.push(await visit(sessions, i % 4 ? `user ${i % 4}` : undefined, `item ${i}`));
  await sessions.close();
  return cookies;
}

function dump(): unknown[] {
  const database = new DatabaseSync(folder.file("sessions.sqlite3"));
  const rows = database.prepare("SELECT * FROM stored_sessions ORDER BY id").all();
  database.close();
  return rows;
}

describe("looking", () => {
  test("a device-bound session → list and show say so, as text and as JSON", async () => {
    const store = sqliteStore(folder.file("sessions.sqlite3"));
    await store.migrate();
    const sessions = boundManagers(() => store)({ store, keys: newest });
    for (const user of ["42", undefined]) {
      const session = await sessions.load(null);
      if (user !== undefined) session.login(user);
      else (session.data as Record<string, unknown>)["cart"] = 1;
      await sessions.commit(session);
    }
    await store.close();
    const { sessions: listed } = await folder.json("list");
    assert.deepEqual(listed.map(({ signedIn, deviceBound }: any) => [signedIn, deviceBound]).toSorted(), [
      [false, false],
      [true, true],
    ]);
    assert.match((await folder.run("list")).out, /\sbound\s/);
    for (const { handle, deviceBound } of listed) {
      assert.equal((await folder.json("show", handle)).deviceBound, deviceBound);
      const { out } = await folder.run("show", handle);
      assert.equal(/device +bound: the cookie is useless on another one/.test(out), deviceBound);
    }
  });

  test("count, list, show and stats → say what is there and change nothing", async () => {
    await fill(12);
    await fill(3, { age: 31 });
    const before = dump();
    assert.equal((await folder.run("count")).out, "12 live sessions\n");
    const listed = await folder.json("list");
    assert.equal(listed.sessions.length, 12);
    assert.equal(listed.more, false);
    assert.equal((await folder.json("list", "--ended")).sessions.length, 15);
    assert.equal((await folder.json("list", "--limit", "5")).more, true);
    assert.equal((await folder.json("list", "--user", "user 1")).sessions.length, 3);
    const [{ handle }] = listed.sessions;
    const shown = await folder.json("show", handle);
    assert.equal(shown.client.address, "192.0.2.7");
    assert.equal("data" in shown, false, "values are hidden");
    const revealed = await folder.json("show", handle, "--reveal");
    assert.match(revealed.data.items[0], /^item \d+$/);
    const stats = await folder.json("stats");
    assert.deepEqual([stats.total, stats.live, stats.ended, stats.signedIn], [15, 12, 3, 9]);
    assert.equal(stats.keys[0].live, 12);
    assert.deepEqual(
      stats.ages.map(({ under }: any) => under),
      [day / 24, day, 7 * day, 30 * day, null],
    );
    const text = await folder.run("list");
    assert.equal(text.out.split("\n").length, 1 + 12 + 1);
    assert.ok(!text.out.includes("\u001b"), "no colours where nobody looks");
    assert.deepEqual(dump(), before);
  });

  test("R2 R28 any output → no cookie, token or key", async () => {
    const cookies = await fill(4);
    const { sessions } = await folder.json("list");
    let printed = "";
    for (const args of [
      ["list"],
      ["list", "--json"],
      ["stats"],
      ["check"],
      ["keys", "status"],
      ["show", sessions[0].handle, "--reveal"],
      ["export", "--user", "user 1"],
    ]) {
      const { out, err } = await folder.run(...args);
      printed += out + err;
    }
    for (const cookie of cookies) assert.ok(!printed.includes(cookie.split("=")[1]!));
    assert.ok(!printed.includes(newest.slice(5)));
  });

  test("a handle that begins with a hyphen → accepted", async () => {
    await fill(1);
    for (const handle of [`-${"A".repeat(42)}`, `--${"A".repeat(41)}`, `-n${"A".repeat(41)}`]) {
      for (const args of [
        ["show", handle],
        ["show", "--reveal", handle],
        ["show", handle, "--reveal"],
        ["revoke", "--json", handle],
        ["revoke", "-d", "sqlite:sessions.sqlite3", handle],
      ]) {
        const { err, code } = await folder.run(...args);
        assert.equal(err, `Error: No stored session has the handle ${handle}.\n`, args.join(" "));
        assert.equal(code, 1);
      }
      // What an option takes is its value, and nothing else.
      assert.deepEqual((await folder.json("list", "--user", handle)).sessions, []);
    }
  });

  test("promise 6 show --reveal: data sealed to the cookie → never revealed", async () => {
    await fill(2, { sealTo: "cookie" });
    const config = `import { sqliteStore } from ${JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href)};
      export default { store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS, sealTo: "cookie" };`;
    const { writeFileSync } = await import("node:fs");
    writeFileSync(folder.file("stored-session.config.mjs"), config);
    delete folder.env["STORED_SESSION_DATABASE_URL"];
    const { sessions } = await folder.json("list");
    const { code, err, out } = await folder.run("show", sessions[0].handle, "--reveal");
    assert.equal(code, 2);
    assert.equal(out, "");
    assert.match(err, /sealed to their cookies/);
    const exported = await folder.json("export", "--user", "user 1");
    assert.deepEqual(
      [exported.sessions[0].data, exported.sessions[0].unreadable],
      [null, "sealed to the cookie"],
    );
  });
});

describe("ending", () => {
  test("R44 revoke → ends one session, those of a user, or all", async () => {
    await fill(12);
    const { sessions } = await folder.json("list");
    assert.equal((await folder.run("revoke", sessions[0].handle)).out, "Revoked 1 session.\n");
    const again = await folder.run("revoke", sessions[0].handle);
    assert.equal(again.code, 1);
    const left = (await folder.json("list", "--user", "user 2")).sessions.length;
    const { withoutUser, ...ended } = await folder.json("revoke", "--user", "user 2");
    assert.deepEqual(ended, { revoked: left, underUnknownKey: 0 });
    assert.ok(withoutUser >= 2 && withoutUser <= 3, "one of them may have been the first of the list");
    const refused = await folder.run("revoke", "--all");
    assert.equal(refused.code, 2);
    assert.match(refused.err, /--yes/);
    assert.equal((await folder.json("count")).live, 11 - left);
    assert.equal((await folder.run("revoke", "--all", "--yes")).code, 0);
    assert.equal((await folder.json("count")).live, 0);
  });

  test("R63 revoke --link → ends the sessions with a link of their login, in the name of the operator", async () => {
    const idp = "https://idp.example?a=b|08a5019c";
    const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), newest, { audit: true });
    for (const links of [{ idp }, { idp }, { idp: "another" }]) {
      const session = await sessions.load(null);
      session.login("42", { links });
      await sessions.commit(session);
    }
    await sessions.close();
    assert.deepEqual(await folder.run("revoke", "--link", "idp=nothing"), {
      code: 0,
      out: "No session has this link.\n",
      err: "",
    });
    assert.deepEqual(await folder.json("revoke", "--link", `idp=${idp}`), { revoked: 2, finished: true });
    assert.equal((await folder.run("revoke", "--link", "idp=another")).out, "Revoked 1 session.\n");
    assert.equal((await folder.json("count")).live, 0);
    const wrong = [["idp"], ["=x"], ["idp="], [`idp=${"x".repeat(600)}`], ["idp=x", "--user", "42"]];
    for (const args of [...wrong, ["idp=x", "--dry-run"]]) {
      assert.equal((await folder.run("revoke", "--link", ...args)).code, 2, args.join(" "));
    }
  });

  test("R36 export → everything of one user; erase → deletes exactly that", async () => {
    await fill(8);
    await fill(4, { age: 31 });
    const { sessions, user, withoutUser } = await folder.json("export", "--user", "user 3");
    assert.equal(user, "user 3");
    assert.equal(withoutUser, 3);
    assert.equal(sessions.length, 3, "the one that has ended is still stored");
    for (const session of sessions) {
      assert.equal(session.user, "user 3");
      assert.match(session.data.items[0], /^item/);
    }
    assert.equal((await folder.run("erase", "--user", "user 3")).code, 2);
    assert.deepEqual(await folder.json("erase", "--user", "user 3", "--yes"), {
      erased: 3,
      withoutUser: 3,
      underUnknownKey: 0,
    });
    assert.equal((await folder.json("export", "--user", "user 3")).sessions.length, 0);
    assert.equal(dump().length, 9);
  });

  test("R19 R34 expire → deletes what has ended; --dry-run → says it beforehand", async () => {
    await fill(6);
    await fill(250, { age: 31 });
    assert.deepEqual(await folder.json("expire", "--dry-run"), { wouldDelete: 250 });
    assert.equal(dump().length, 256);
    assert.deepEqual(await folder.json("expire", "--batch-size", "40", "--share", "1"), {
      deleted: 250,
      finished: true,
    });
    assert.equal((await folder.run("expire")).out, "Deleted 0 sessions.\n");
    assert.equal(dump().length, 6);
  });

  test("R34 an expiry fails in the middle → the output says what it did", async () => {
    await fill(1);
    await fill(60, { age: 31 });
    const database = new DatabaseSync(folder.file("sessions.sqlite3"));
    database.exec(`CREATE TRIGGER stuck BEFORE DELETE ON stored_sessions
      WHEN (SELECT COUNT(*) FROM stored_sessions) < 40 BEGIN SELECT RAISE(ABORT, 'stuck'); END`);
    database.close();
    const { code, out, err } = await folder.run("expire", "--batch-size", "10", "--share", "1");
    assert.equal(code, 1);
    assert.equal(out, "Deleted 20 sessions.\n");
    assert.match(err, /^Error: .*stuck/);
    const again = await folder.run("expire", "--json");
    assert.equal(again.code, 1);
    assert.equal(again.out, "", "a run that did nothing has nothing to say");
    assert.equal(dump().length, 41);
  });

  test("R44 revoke --all fails in the middle → the output says what it did", async () => {
    await fill(510);
    const database = new DatabaseSync(folder.file("sessions.sqlite3"));
    database.exec(`CREATE TRIGGER stuck BEFORE DELETE ON stored_sessions
      WHEN (SELECT COUNT(*) FROM stored_sessions) <= 10 BEGIN SELECT RAISE(ABORT, 'stuck'); END`);
    database.close();
    const { code, out, err } = await folder.run("revoke", "--all", "--yes", "--json");
    assert.equal(code, 1);
    assert.deepEqual(JSON.parse(out), { revoked: 500, finished: false });
    assert.match(err, /^Error: .*stuck/);
  });

  test("expire with ages → as the gem's task does", async () => {
    await fill(2);
    await fill(3, { age: 8 });
    assert.deepEqual(await folder.json("expire", "--max-created-age", "7 days", "-n"), { wouldDelete: 3 });
    assert.deepEqual(await folder.json("expire", "--max-updated-age", "7 days"), {
      deleted: 3,
      finished: true,
    });
  });
});

describe("keys", () => {
  test("R27 keys status → which key is in use; reseal → moves the rows, and the key can go", async () => {
    const cookies = await fill(10, { keys: older });
    const began = new Date().toISOString();
    folder.env["STORED_SESSION_KEYS"] = `${newest},${older}`;
    const before = await folder.json("keys", "status");
    assert.deepEqual(
      before.keys.map(({ place, live, retirable }: any) => [place, live, retirable]),
      [
        ["newest", 0, null],
        ["older", 10, false],
      ],
    );
    assert.match((await folder.run("keys", "status")).out, /keep it\. Run "stored-session reseal"/);
    assert.equal((await folder.run("reseal")).out, "Resealed 10 sessions; 0 had the newest key already.\n");

    const waiting = await folder.json("keys", "status", "--since", began);
    assert.deepEqual(
      [waiting.keys[1].live, waiting.keys[1].unreturned, waiting.keys[1].retirable],
      [0, 10, false],
    );
    // Everybody comes back and is given a fresh cookie.
    const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), [newest, older]);
    for (const cookie of cookies) assert.ok(await sessions.commit(await sessions.load(cookie)));
    await sessions.close();
    const after = await folder.json("keys", "status", "--since", began);
    assert.equal(after.keys[1].retirable, true);
    // Today is not over: who came back early in it may have done so before the newest key was everywhere.
    const today = await folder.json("keys", "status", "--since", new Date().toISOString().slice(0, 10));
    assert.deepEqual([today.keys[1].unreturned, today.keys[1].retirable], [10, false]);
    assert.match((await folder.run("keys", "status", "--since", began)).out, /can be retired now/);
  });

  // Deno answers the signal that was sent, not how the process ended.
  test.skipIf("deno" in process.versions)(
    "Ctrl-C between two pages of a reseal → it stops, says how to go on, and going on finishes it",
    async () => {
      await fill(60, { keys: older });
      folder.env["STORED_SESSION_KEYS"] = `${newest},${older}`;
      const child = folder.start("reseal", "--rate", "5");
      const ended = answerOf(child);
      const resealed = async () => (await folder.json("stats")).keys[0].live as number;
      while ((await resealed()) === 0);
      child.kill("SIGINT");
      const { code, out, err } = await ended;
      assert.equal(code, 130);
      assert.match(out, /^Resealed \d+ sessions/);
      const after = /reseal --after (\S+)/.exec(err)![1]!;
      const part = await resealed();
      assert.ok(part > 0 && part < 60);
      const rest = await folder.json("reseal", "--after", after);
      assert.equal(rest.resealed, 60 - part);
      assert.equal((await folder.json("stats")).keys[1].live, 0);
    },
  );

  test("R27 reseal: another process takes the lease over → says so, and fails", async () => {
    await fill(200, { keys: older });
    folder.env["STORED_SESSION_KEYS"] = `${newest},${older}`;
    const ended = answerOf(folder.start("reseal", "--rate", "10"));
    while ((await folder.json("stats")).keys[0].live === 0);
    const database = new DatabaseSync(folder.file("sessions.sqlite3"));
    database.exec("PRAGMA busy_timeout = 5000");
    const { changes } = database
      .prepare("UPDATE stored_sessions_leases SET holder = 'another', held_until = ?")
      .run(Date.now() + day);
    database.close();
    assert.equal(changes, 1);
    const { code, out, err } = await ended;
    assert.equal(code, 1);
    assert.match(out, /^Resealed \d+ sessions/);
    assert.match(err, /Another process has taken over resealing these sessions/);
    const again = await folder.run("reseal");
    assert.equal(again.code, 1);
    assert.match(again.err, /Another process is resealing these sessions; nothing was done here\./);
    assert.match(again.err, /its lease runs out within a minute/);
  });

  test("R27 a reseal fails in the middle → the output says what it did and how to go on", async () => {
    await fill(40, { keys: older });
    folder.env["STORED_SESSION_KEYS"] = `${newest},${older}`;
    const database = new DatabaseSync(folder.file("sessions.sqlite3"));
    database.exec(`CREATE TRIGGER stuck BEFORE UPDATE ON stored_sessions
      WHEN (SELECT COUNT(*) FROM stored_sessions WHERE id < NEW.id) = 25 BEGIN SELECT RAISE(ABORT, 'stuck'); END`);
    const { code, out, err } = await folder.run("reseal", "--share", "1", "--json");
    assert.equal(code, 1);
    const { resealed, finished, cursor } = JSON.parse(out);
    assert.deepEqual([resealed, finished], [20, false]);
    assert.match(err, /^Error: .*stuck.* Continue with: stored-session reseal --after (\S+)\n$/);
    assert.ok(err.endsWith(` --after ${cursor}\n`));
    database.exec("DROP TRIGGER stuck");
    database.close();
    await folder.json("reseal", "--after", cursor);
    assert.equal((await folder.json("stats")).keys[1].live, 0);
  });

  test("R27 reseal: rows that changed at each attempt → reported, the command fails, and the next run reseals them", async () => {
    await fill(3, { keys: older });
    folder.env["STORED_SESSION_KEYS"] = `${newest},${older}`;
    const database = new DatabaseSync(folder.file("sessions.sqlite3"));
    database.exec("CREATE TRIGGER busy BEFORE UPDATE ON stored_sessions BEGIN SELECT RAISE(IGNORE); END");
    const { code, out, err } = await folder.run("reseal");
    assert.equal(code, 1);
    assert.match(out, /^Resealed 0 sessions/);
    assert.match(err, /3 sessions changed at every attempt and kept an older key\. Run it again\./);
    database.exec("DROP TRIGGER busy");
    database.close();
    assert.equal((await folder.run("reseal")).out, "Resealed 3 sessions; 0 had the newest key already.\n");
  });

  test("keys generate: no configuration → prints one key", async () => {
    folder.env = { PATH: folder.env["PATH"]! };
    const { out, code } = await folder.run("keys", "generate");
    assert.match(out, /^ssk1_[\w-]{43}\n$/);
    assert.equal(code, 0);
  });
});
