/** The command beside an application whose settings are other than its own. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { generateKey } from "../../src/index.ts";
import { Sealer } from "../../src/sealing/sealer.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";

const [older, newest] = [generateKey(), generateKey()];
const day = 86_400_000;
const source = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = `${newest},${older}`;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
});
afterEach(() => folder.remove());

const open = () => sqliteStore(folder.file("sessions.sqlite3"));

/** Sessions of an application, each used just now. */
async function fill(count: number, options: Parameters<typeof manage>[2] = {}, key: string = newest) {
  const sessions = manage(open(), key, options);
  for (let i = 0; i < count; i++) await visit(sessions, "42", "tea ".repeat(1_000));
  await sessions.close();
}

describe("longer timeouts than the command's", () => {
  /** Three sessions of a drop-in store, begun 40 days ago, with a cookie of 365 days, used an hour ago. */
  async function fillDropIn(): Promise<void> {
    let time = Date.now() - 40 * day;
    const store = new StoredSessionStore({ store: open(), keys: older, clock: () => time });
    const cookie = () => ({ originalMaxAge: 365 * day, expires: new Date(time + 365 * day) });
    for (const id of ["a", "b", "c"]) await store.set(id, { cookie: cookie(), user: id });
    time = Date.now() - 3_600_000;
    for (const id of ["a", "b", "c"]) {
      await store.set(id, { ...(await store.get(id)), cookie: cookie(), seen: true });
    }
    await store.close();
  }

  test("R27 promise 9 live sessions of a drop-in store → live for every command, and under their key until they are resealed", async () => {
    await fillDropIn();
    assert.deepEqual(await folder.json("count"), { live: 3 });
    const listed = await folder.json("list");
    assert.equal(listed.sessions.length, 3);
    for (const { ended, expiresAt } of listed.sessions) {
      assert.equal(ended, false);
      assert.ok(new Date(expiresAt).getTime() > Date.now() + 300 * day);
    }
    const stats = await folder.json("stats");
    assert.deepEqual([stats.live, stats.ended], [3, 0]);
    const today = new Date().toISOString();
    const before = (await folder.json("keys", "status", "--since", today)).keys[1];
    assert.deepEqual([before.live, before.retirable, before.retirableAt], [3, false, null]);

    const resealed = await folder.json("reseal");
    assert.deepEqual([resealed.resealed, resealed.ended], [3, 0]);
    const after = (await folder.json("keys", "status")).keys[1];
    assert.deepEqual([after.live, after.retirable], [0, null]);
    assert.ok(new Date(after.retirableAt).getTime() > Date.now() + 300 * day, "by what is stored");
    const text = (await folder.run("keys", "status")).out;
    assert.match(text, /no row needs it\. Cookies signed with it may still be in use, until \d{4}-/);
    // The store itself is told apart: its cookies are another library's, without a tag.
    writeFileSync(
      folder.file("store.mjs"),
      `import { StoredSessionStore } from ${source("adapters/drop-in/express-session.ts")};
       import { sqliteStore } from ${source("sql/sqlite/store.ts")};
       export default new StoredSessionStore({ store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS });`,
    );
    for (const since of [[], ["--since", new Date().toISOString()]]) {
      const [, old] = (await folder.json("keys", "status", "-c", "store.mjs", ...since)).keys;
      assert.deepEqual([old.live, old.unreturned, old.retirable], [0, 0, true]);
    }
    assert.match((await folder.run("keys", "status", "-c", "store.mjs")).out, /: can be retired now\./);

    const app = new StoredSessionStore({ store: open(), keys: newest });
    for (const id of ["a", "b", "c"]) assert.equal((await app.get(id))?.user, id);
    await app.close();
  });

  test("a drop-in store as the configuration → its own timeouts apply", async () => {
    await fillDropIn();
    delete folder.env["STORED_SESSION_DATABASE_URL"];
    writeFileSync(
      folder.file("stored-session.config.mjs"),
      `import { StoredSessionStore } from ${source("adapters/drop-in/express-session.ts")};
       import { sqliteStore } from ${source("sql/sqlite/store.ts")};
       export default new StoredSessionStore({ store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS });`,
    );
    assert.match((await folder.run("check")).out, /idle 400 days, absolute 400 days/);
    assert.deepEqual(await folder.json("count"), { live: 3 });
    assert.equal((await folder.json("reseal")).resealed, 3);
    writeFileSync(
      folder.file("strange.mjs"),
      "class SessionManager {}\nexport default { sessions: new SessionManager() };",
    );
    assert.match(
      (await folder.run("count", "-c", "strange.mjs")).err,
      /uses another copy of stored-session than this command/,
    );
  });
});

describe("rows under a key that was taken away", () => {
  test("a few rows under a missing key → the commands go on", async () => {
    await fill(150, {}, older);
    const sessions = manage(open(), newest);
    // Two that come last in the table: no look at its beginning would meet them.
    for (let found = 0; found < 2;) {
      const session = await sessions.load(await visit(sessions, "42"));
      if (Buffer.from(session.handle, "base64url")[0]! >= 0xf0) found++;
      else await sessions.forUser("42").revoke(session.handle);
    }
    await sessions.close();
    folder.env["STORED_SESSION_KEYS"] = newest;
    const { keys } = await folder.json("keys", "status");
    assert.deepEqual(
      keys.map(({ place, live }: any) => [place, live]),
      [
        ["newest", 2],
        ["unknown", 150],
      ],
    );
    assert.equal((await folder.json("list", "--limit", "200")).sessions.length, 152);
    const exported = await folder.run("export", "--user", "42");
    const { sessions: found, underUnknownKey } = JSON.parse(exported.out);
    assert.deepEqual([found.length, underUnknownKey, exported.code], [2, 150, 1]);
    const resealed = await folder.run("reseal");
    assert.equal(resealed.code, 1);
    assert.match(resealed.err, /150 sessions did not open and were left unchanged/);
    const revoked = await folder.run("revoke", "--user", "42", "--json");
    assert.deepEqual(JSON.parse(revoked.out), { revoked: 2, withoutUser: 0, underUnknownKey: 150 });
    assert.equal(revoked.code, 1);
    // What is left is of nobody that these keys can name.
    const unnamed = await folder.run("erase", "--user", "42", "--yes");
    assert.equal(unnamed.code, 2);
    assert.match(unnamed.err, /were sealed with other keys/);
    assert.equal((await folder.json("keys", "status")).keys[1].live, 150);
  });
});

describe("another app, sealTo or compressAbove", () => {
  test("a row whose key is missing → not blamed on other settings", async () => {
    await fill(1, {}, older);
    await fill(1);
    folder.env["STORED_SESSION_KEYS"] = newest;
    const answers = [];
    for (const { handle } of (await folder.json("list")).sessions)
      answers.push(await folder.run("show", handle, "--reveal"));
    const [failed, ...others] = answers.filter(({ code }) => code !== 0);
    assert.equal(others.length, 0);
    assert.match(failed!.err, /names a key that is not in the key ring/);
    assert.doesNotMatch(failed!.err, /An address alone/);
  });

  test("check, reseal and export, and no row opens → they say so, and which settings a URL cannot name", async () => {
    await fill(3, { app: "shop" });
    const checked = await folder.run("check");
    assert.equal(checked.code, 1);
    assert.match(checked.out, /of 3 rows under these keys, 3 do not open/);
    const resealed = await folder.run("reseal");
    assert.equal(resealed.code, 2);
    // Its users have references of their own, so an answer of "none" would be wrong.
    const exported = await folder.run("export", "--user", "42");
    for (const args of [["list"], ["revoke"], ["erase", "--yes"]]) {
      const { code, err } = await folder.run(...args, "--user", "42");
      assert.equal(code, 2, args[0]);
      assert.match(err, /None of the stored sessions can be opened\..*--app/);
    }
    assert.equal(exported.code, 2);
    for (const said of [checked.out, resealed.err, exported.err]) {
      assert.match(said, /nothing of `app`, `sealTo` and `maxBytes`.* configuration file/);
    }
    const [{ handle }] = (await folder.json("list")).sessions;
    const shown = await folder.run("show", handle, "--reveal");
    assert.equal(shown.code, 1);
    assert.match(shown.err, /cannot be decrypted\. .*`app` was changed\. .* give its configuration file/);
    // With a configuration file nobody is told to give one.
    writeFileSync(
      folder.file("config.mjs"),
      `import { sqliteStore } from ${source("sql/sqlite/store.ts")};
       export default { store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS };`,
    );
    for (const args of [["check"], ["reseal"], ["export", "--user", "42"], ["show", handle, "--reveal"]]) {
      const { out, err, code } = await folder.run(...args, "-c", "config.mjs");
      assert.notEqual(code, 0);
      assert.doesNotMatch(out + err, /An address alone/, args.join(" "));
    }
    // With the application's name a user's sessions are read, found and ended.
    const named = await folder.run("export", "--user", "42", "--app", "shop");
    assert.equal(JSON.parse(named.out).sessions.length, 3);
    assert.equal((await folder.run("check", "--app", "shop")).code, 0);
    const both = await folder.run("list", "-c", "config.mjs", "--app", "shop");
    assert.equal(both.code, 2);
    assert.match(both.err, /--app requires --database-url/);
    assert.deepEqual((await folder.json("list", "--app", "blog")).sessions, []);
    assert.deepEqual(await folder.json("revoke", "--user", "42", "--app", "shop"), {
      revoked: 3,
      withoutUser: 0,
      underUnknownKey: 0,
    });
  });

  test("promise 6 rows that are sealed to the cookie, unknown to either side → reported", async () => {
    await fill(1, { sealTo: "cookie" });
    assert.match((await folder.run("reseal")).err, /None of the stored sessions can be opened\..*`sealTo`/);
    const config = (options: string) => {
      writeFileSync(
        folder.file("config.mjs"),
        `import { sqliteStore } from ${source("sql/sqlite/store.ts")};
         export default { store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS, ${options} };`,
      );
      return ["-c", "config.mjs"];
    };
    assert.equal((await folder.run("reseal", ...config('sealTo: "cookie"'))).code, 0);
    assert.equal((await folder.run("check", ...config('sealTo: "cookie"'))).code, 0);
    assert.equal((await folder.run("reseal", ...config('sealTo: "cookie", app: "shop"'))).code, 2);
    assert.equal((await folder.run("revoke", "--all", "--yes")).code, 0);
    await fill(1);
    assert.equal((await folder.run("reseal", ...config('sealTo: "cookie"'))).code, 2);
  });

  test("R29 reseal with another compressAbove → compresses no row that the application did not, and the reverse", async () => {
    const deflated = async () => {
      const store = open();
      const rows = await store.scan(null, 10);
      await store.close();
      return rows.map(({ data }) => Sealer.isDeflated(data));
    };
    for (const compressAbove of [false, 1_024] as const) {
      await fill(1, { compressAbove }, older);
      assert.equal((await folder.json("reseal")).resealed, 1);
      assert.deepEqual(await deflated(), [compressAbove !== false]);
      await folder.run("revoke", "--all", "--yes");
    }
  });

  test("R27 a row above maxBytes → reseal goes on", async () => {
    await fill(1, { maxBytes: 2_000_000 }, older);
    const sessions = manage(open(), older, { maxBytes: 2_000_000, compressAbove: false });
    await visit(sessions, "42", "tea ".repeat(300_000));
    await sessions.close();
    const { code, out, err } = await folder.run("reseal");
    assert.equal(code, 1);
    assert.match(out, /^Resealed 1 session;/);
    assert.match(err, /1 session did not open .*`maxBytes`/);
  });
});
