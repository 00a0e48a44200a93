/** R36: an answer about a user says what it cannot know. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { afterEach, beforeEach, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import {
  countUnfindable,
  sampledKeyLines,
  sampleUnfindable,
  uncountedKeyLines,
  withoutUserLines,
} from "../../src/cli/unfindable.ts";
import type { Statement } from "../../src/sql/dialect.ts";
import { StoreError } from "../../src/errors.ts";
import { generateKey, memoryStore } from "../../src/index.ts";
import { recordsOf } from "../../src/manager.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";

const { Cookie } = createRequire(import.meta.url)("express-session");

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
  assert.equal((await folder.run("migrate")).code, 0);
});
afterEach(() => folder.remove());

test("R36 a drop-in store without userOf → nothing is found, and the output does not claim that nothing is stored", async () => {
  assert.equal((await folder.run("list", "--user", "42")).out, "There are no such sessions.\n");
  assert.equal((await folder.run("revoke", "--user", "42")).out, "This user has no sessions.\n");
  const nothing = await folder.run("erase", "--user", "42", "--yes");
  assert.equal(nothing.out, "Nothing is stored of this user.\n");

  const keys = folder.env["STORED_SESSION_KEYS"]!;
  const store = new StoredSessionStore({ store: sqliteStore(folder.file("sessions.sqlite3")), keys });
  const session = { cookie: new Cookie({ maxAge: 60_000 }), passport: { user: "42" } };
  for (const id of ["one", "two"]) {
    await new Promise<void>((resolve, reject) =>
      store.set(id, session as never, (error: unknown) => (error ? reject(error as Error) : resolve())),
    );
  }
  await store.close();

  const exported = await folder.run("export", "--user", "42");
  const { sessions, withoutUser } = JSON.parse(exported.out);
  assert.deepEqual([sessions, withoutUser], [[], 2]);
  assert.match(exported.err, /^Sessions are found by the user they name, and 2 sessions name none: /);

  for (const command of ["list", "revoke"]) {
    const { out, code } = await folder.run(command, "--user", "42");
    assert.match(out, /^No session names this user\.\nSessions are found by the user they name, and 2 /);
    assert.equal(code, 0);
    assert.equal((await folder.json(command, "--user", "42")).withoutUser, 2);
  }

  const erased = await folder.run("erase", "--user", "42", "--yes");
  assert.match(erased.out, /^No session names this user\.\nSessions are found by the user they name, and 2 /);
  assert.equal((await folder.json("count")).live, 2);
});

test("R36 an incomplete key ring → the output does not claim that nothing is stored, or that all of it is gone", async () => {
  const [older, newest] = [generateKey(), generateKey()];
  const visits = async (key: string, ...users: string[]) => {
    const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), key);
    for (const user of users) await visit(sessions, user);
    await sessions.close();
  };
  await visits(older, "42", "42", "7");
  await visits(newest, "8");
  folder.env["STORED_SESSION_KEYS"] = newest;
  const open =
    /^Error: 3 sessions name their user under a key that is not in the ring, .* "stored-session keys status" names/m;

  const commands = [["list"], ["revoke"], ["erase", "--yes"], ["export"]];
  for (const [command, ...options] of commands) {
    const { out, err, code } = await folder.run(command!, "--user", "42", ...options);
    assert.equal(code, 1, command);
    assert.match(err, open);
    if (command !== "export") assert.equal(out, "No such session is under these keys.\n");
    const json = JSON.parse((await folder.run(command!, "--user", "42", ...options, "--json")).out);
    assert.deepEqual([json.underUnknownKey, json.withoutUser], [3, 0], command);
  }
  // Where some are found, they are not all.
  await visits(newest, "42", "42");
  const listed = await folder.run("list", "--user", "42");
  assert.deepEqual([listed.out.split("\n").length, listed.code], [1 + 2 + 1, 1]);
  assert.match(listed.err, open);
  const revoked = await folder.run("revoke", "--user", "42");
  assert.deepEqual([revoked.out, revoked.code], ["Revoked 2 sessions.\n", 1]);
  assert.match(revoked.err, open);

  folder.env["STORED_SESSION_KEYS"] = `${newest},${older}`;
  assert.deepEqual(await folder.json("erase", "--user", "42", "--yes"), {
    erased: 2,
    withoutUser: 0,
    underUnknownKey: 0,
  });
  assert.equal((await folder.run("list", "--user", "42")).out, "There are no such sessions.\n");
});

test("a store without SQL → read row by row", async () => {
  const store = memoryStore();
  const [before, sessions] = [manage(store, generateKey()), manage(store, generateKey())];
  for (const user of ["a", undefined, "c", "d"]) await visit(before, user, "item");
  for (const user of ["a", undefined, "b", undefined]) await visit(sessions, user, "item");
  const place = { sessions, records: recordsOf(sessions as never), store } as unknown;
  assert.deepEqual(await countUnfindable(place as Parameters<typeof countUnfindable>[0]), {
    withoutUser: 3,
    underUnknownKey: 3,
  });
  await sessions.close();
});

/** A place whose database notes the limit of each count, and does not answer when told so. */
function counting(answers: boolean) {
  const store = sqliteStore(folder.file("sessions.sqlite3"));
  const { database } = store;
  const run = database.run.bind(database);
  const counts: Statement[] = [];
  const noted = async (statement: Statement) => {
    if (!statement.text.includes("user_ref IS NULL")) return await run(statement);
    counts.push(statement);
    if (!answers) throw new StoreError("No answer came in time.");
    return await run(statement);
  };
  Object.assign(database, { run: noted });
  const sessions = manage(store, folder.env["STORED_SESSION_KEYS"]!);
  const place = { sessions, records: recordsOf(sessions as never), store } as unknown;
  return { counts, sessions, place: place as Parameters<typeof countUnfindable>[0] };
}

test("R36 the count → covers the whole table, without the usual time limit", async () => {
  const { counts, sessions, place } = counting(true);
  assert.deepEqual(await countUnfindable(place), { withoutUser: 0, underUnknownKey: 0 });
  assert.deepEqual(
    counts.map(({ long }) => long),
    [true],
  );
  await sessions.close();
});

test("R36 a failing count → the result is still printed", async () => {
  const { sessions, place } = counting(false);
  const unfindable = await countUnfindable(place);
  assert.deepEqual(unfindable, { withoutUser: null, underUnknownKey: null });
  assert.match(
    withoutUserLines(unfindable).join(),
    /^Sessions are found by .* name none could not be counted: /,
  );
  assert.match(uncountedKeyLines(unfindable).join(), /^How many .* not in the ring could not be counted: /);
  await sessions.close();
});

test("R36 erase: the count fails → says what was erased", async () => {
  const owner = manage(sqliteStore(folder.file("sessions.sqlite3")), folder.env["STORED_SESSION_KEYS"]!);
  await visit(owner, "42");
  await owner.close();
  const source = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);
  writeFileSync(
    folder.file("slow.mjs"),
    `import { StoreError } from ${source("errors.ts")};
    import { sqliteStore } from ${source("sql/sqlite/store.ts")};
    const store = sqliteStore("sessions.sqlite3");
    const run = store.database.run.bind(store.database);
    store.database.run = async (statement) => {
      if (statement.text.includes("user_ref IS NULL")) throw new StoreError("No answer came in time.");
      return await run(statement);
    };
    export default { store, keys: process.env.STORED_SESSION_KEYS };`,
  );
  const exported = await folder.json("export", "--user", "42", "-c", "slow.mjs");
  assert.deepEqual([exported.sessions.length, exported.withoutUser], [1, null]);
  assert.deepEqual(await folder.json("erase", "--user", "42", "--yes", "-c", "slow.mjs"), {
    erased: 1,
    withoutUser: null,
    underUnknownKey: null,
  });
});

/** A store whose table has so many sessions, which are made as they are read. */
function large(rows: number, share: number) {
  const store = memoryStore();
  const ids = Array.from({ length: rows }, () => randomBytes(32)).toSorted(Buffer.compare);
  const known = Buffer.concat([Buffer.from([1, 0]), randomBytes(60)]);
  let read = 0;
  store.scanInfo = async (after, limit) => {
    const from = after === null ? 0 : ids.findIndex((id) => Buffer.compare(id, after) > 0);
    const some = from === -1 ? [] : ids.slice(from, from + limit);
    read += some.length;
    return some.map((id, place) => ({
      id,
      head: known,
      client: null,
      userRef: (from + place) % 100 < share ? id : null,
      bytes: 100,
      createdAt: 0,
      updatedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
      absoluteExpiresAt: Number.MAX_SAFE_INTEGER,
      version: 1,
    }));
  };
  const sessions = manage(store, generateKey());
  const place = { sessions, records: recordsOf(sessions as never), store } as unknown;
  return { sessions, place: place as Parameters<typeof countUnfindable>[0], read: () => read };
}

test("R36 list --user, more than 20,000 sessions → looks at 20,000, and says so", async () => {
  const { sessions, place, read } = large(25_000, 0);
  const sampled = await sampleUnfindable(place);
  assert.deepEqual(sampled, { withoutUser: null, underUnknownKey: null, lookedAt: 20_000 });
  assert.ok(read() <= 21_000, String(read()));
  assert.match(
    sampledKeyLines(sampled)[0]!,
    /^None of 20,000 sessions looked at .* "stored-session keys status"/,
  );
  await sessions.close();
});

test("R36 list --user, a key was removed from the ring → the sample shows its sessions", async () => {
  const { sessions, place } = large(25_000, 10);
  const { underUnknownKey } = await sampleUnfindable(place);
  assert.ok(underUnknownKey! > 1_500 && underUnknownKey! < 2_500, String(underUnknownKey));
  await sessions.close();
});

test("R36 list --user, up to 20,000 sessions → each is counted, wherever the sample begins", async () => {
  const { sessions, place } = large(3_000, 10);
  for (let round = 0; round < 20; round++) {
    assert.deepEqual(await sampleUnfindable(place), {
      withoutUser: 2_700,
      underUnknownKey: 300,
      lookedAt: null,
    });
  }
  await sessions.close();
});
