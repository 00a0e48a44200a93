/** The command beside an application whose settings are other than its own. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/express-session.ts";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
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

  test("R27 promise 9 live sessions of a drop-in store are live for every command, and keep their key until they are resealed", async () => {
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
    assert.match(text, /no row needs it\. Cookies of its time may, until \d{4}-/);

    const app = new StoredSessionStore({ store: open(), keys: newest });
    for (const id of ["a", "b", "c"]) assert.equal((await app.get(id))?.user, id);
    await app.close();
  });

  test("a drop-in store is a configuration, with its own timeouts", async () => {
    await fillDropIn();
    delete folder.env["STORED_SESSION_DATABASE_URL"];
    writeFileSync(
      folder.file("stored-session.config.mjs"),
      `import { StoredSessionStore } from ${source("adapters/express-session.ts")};
       import { sqliteStore } from ${source("store/sqlite.ts")};
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
