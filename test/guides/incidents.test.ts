/** Rehearses docs/key-rotation.md and docs/incident-guide.md with their own commands. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "vitest";
import { createSessionManager } from "../../src/index.ts";
import { Folder } from "../cli/command.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { handleOf } from "../../src/session/handle.ts";
import { openPlace } from "../session/place.ts";
import { copyTable } from "./copy-table.ts";
import { ownDatabase, type OwnDatabase } from "./own-database.ts";
import { Rehearsal } from "./rehearsal.ts";

const present = 12;
const absent = 3;
const everybody = present + absent;

describe.each(chosenDatabases())("%s", (kind) => {
  let database: OwnDatabase;
  let folder: Folder;
  let rehearsal: Rehearsal;

  beforeEach(async () => {
    database = await ownDatabase(kind);
    folder = new Folder();
    folder.env["STORED_SESSION_DATABASE_URL"] = database.url;
    rehearsal = new Rehearsal(database.place, {
      run(words, keys) {
        folder.env["STORED_SESSION_KEYS"] = keys;
        return folder.run(...words);
      },
    });
    await rehearsal.command("npx stored-session migrate");
    for (let id = 0; id < everybody; id++) await rehearsal.logIn(`${id}`, "192.0.2.7", id >= present);
    assert.equal(await rehearsal.loggedIn(), everybody);
  });
  afterEach(async () => {
    await rehearsal[Symbol.asyncDispose]();
    folder.remove();
    await database[Symbol.asyncDispose]();
  });

  const withKey = async (keys: string, table?: string) => {
    const store = openPlace({ ...database.place, ...(table !== undefined && { table }) });
    const manager = createSessionManager({ store, keys });
    const found = await Promise.all(rehearsal.users.map(({ cookie }) => manager.load(cookie)));
    const count = found.filter(({ user }) => user !== undefined).length;
    await store.close();
    return count;
  };

  test("R27 promise 9: the steps of the key rotation → nobody is ever anonymous, and the old key is not needed", async () => {
    await rehearsal.follow("key-rotation.md", "The steps");
    assert.equal(rehearsal.anonymous, 0);
    assert.equal(await rehearsal.loggedIn(), everybody);
    assert.equal(await withKey(rehearsal.words["new"]!), everybody);
    assert.equal(await withKey(rehearsal.key), 0);
  });

  test("the keys have leaked → who came back meanwhile is logged in, who did not is logged out", async () => {
    const copied = await copyTable(database);
    await rehearsal.follow("incident-guide.md", "The keys have leaked", {
      async before({ number }) {
        assert.equal(rehearsal.anonymous, 0, `before step ${number}`);
      },
    });
    assert.equal(await rehearsal.loggedIn(), present);
    assert.equal(await withKey(rehearsal.key), 0);
    assert.equal((await rehearsal.command("npx stored-session check")).code, 0);
    const user = rehearsal.users.find(({ isAbsent }) => isAbsent)!;
    await rehearsal.logIn(user.id);
    assert.equal(await rehearsal.loggedIn(), present + 1);
    await copied.assertOpens(rehearsal.key, rehearsal.users[everybody - 1]!.cookie);
  });

  test("the keys have leaked, without step 2 → users with a fresh cookie are anonymous on the other servers", async () => {
    await rehearsal.follow("incident-guide.md", "The keys have leaked", { skip: [2] });
    assert.ok(rehearsal.anonymous >= present, String(rehearsal.anonymous));
  });

  test("the database and the keys have leaked → everybody is logged out, and who logs in afterwards stays", async () => {
    const cookies = rehearsal.users.map(({ cookie }) => cookie);
    let meanwhile = 0;
    await rehearsal.follow("incident-guide.md", "The database and the keys have leaked", {
      async before({ number }) {
        if (number === 3) {
          assert.equal(await rehearsal.loggedIn(), 0, "refused before the rows are deleted");
          await rehearsal.logIn("early");
          meanwhile = await rehearsal.loggedIn();
        }
        if (number === 4) await rehearsal.logIn("late");
      },
    });
    assert.equal(meanwhile, 1);
    assert.equal(await rehearsal.loggedIn(), 1, "only who logged in after revoke --all");
    assert.deepEqual(
      rehearsal.users.slice(0, everybody).map(({ cookie }) => cookie),
      cookies,
    );
    assert.equal(await withKey(`${rehearsal.words["new"]},${rehearsal.key}`), 1, "also with the leaked key");
  });

  test("a cookie was stolen → the thief's session ends, and the user's own stays", async () => {
    const thief = await rehearsal.logIn("7", "198.51.100.9");
    rehearsal.words["id"] = "7";
    await rehearsal.follow("incident-guide.md", "A cookie was stolen", {
      async before({ number }) {
        if (number !== 2) return;
        const { out } = await rehearsal.command("npx stored-session list --user <id>");
        rehearsal.words["handle"] = /^(\S{43}) .*198\.51\.100\.9/m.exec(out)![1]!;
      },
    });
    const { out } = await rehearsal.command("npx stored-session list --user <id>");
    assert.ok(out.includes("192.0.2.7") && !out.includes("198.51.100.9"), out);
    assert.equal(await rehearsal.loggedIn([thief]), 0);
    assert.equal(await rehearsal.loggedIn(), everybody);
    await rehearsal.command("npx stored-session revoke --user <id>");
    assert.equal(await rehearsal.loggedIn(), everybody - 1);
  });

  test("rows were edited → everybody is logged out, and an old row that is put back afterwards is found", async () => {
    const store = openPlace(database.place);
    const [old] = await store.scan(null, 1);
    await rehearsal.follow("incident-guide.md", "Rows were edited", {
      async before({ number }) {
        if (number === 3) rehearsal.words["time"] = new Date().toISOString();
        if (number === 4) await rehearsal.logIn("late");
      },
    });
    assert.equal(await rehearsal.loggedIn(), 1);
    assert.equal((await rehearsal.command("npx stored-session count")).out, "1 live session\n");
    await store.insert([old!]);
    await store.close();
    assert.equal(await rehearsal.loggedIn(), 2, "replaying a row is not detected");
    const { out } = await rehearsal.command("npx stored-session list --created-before <time>");
    assert.ok(out.includes(handleOf(old!.id)), out);
  });

  test("the database and the keys have leaked, with an audit trail → readable after the reseal of step 4", async () => {
    const audited = (keys: string) =>
      createSessionManager({ store: openPlace(database.place), keys, audit: true });
    const addressesOf = async (keys: string) => {
      const manager = audited(keys);
      const events = await manager.forUser("audited").history({ limit: 20 });
      await manager.close();
      return events.filter(({ type }) => type === "login").map((event) => event.address ?? null);
    };
    const before = audited(rehearsal.key);
    const session = await before.load(null, { address: "192.0.2.44" });
    session.login("audited");
    await before.commit(session);
    await before.close();
    await rehearsal.follow("incident-guide.md", "The database and the keys have leaked");
    const fresh = rehearsal.words["new"]!;
    assert.notDeepEqual(await addressesOf(fresh), ["192.0.2.44"]);
    const once = audited(`${fresh},${rehearsal.key}`);
    await once.reseal();
    await once.close();
    assert.deepEqual(await addressesOf(fresh), ["192.0.2.44"]);
  });
});
