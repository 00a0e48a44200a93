/** R36: an answer about a user says what it cannot know. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { afterEach, beforeEach, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/express-session.ts";
import { countWithoutUser } from "../../src/cli/without-user.ts";
import { generateKey, memoryStore } from "../../src/index.ts";
import { recordsOf } from "../../src/session/manager.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
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

test("R36 a drop-in without userOf: nothing is found, and nobody is told that nothing is stored", async () => {
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

  const erased = await folder.run("erase", "--user", "42", "--yes");
  assert.match(erased.out, /^No session names this user\.\nSessions are found by the user they name, and 2 /);
  assert.equal((await folder.json("count")).live, 2);
});

test("a store without SQL is walked through", async () => {
  const sessions = manage(memoryStore(), generateKey());
  for (const user of ["a", undefined, "b", undefined, undefined]) await visit(sessions, user, "item");
  const records = recordsOf(sessions as never);
  const place = { sessions, records, store: records.settings.store } as unknown;
  assert.equal(await countWithoutUser(place as Parameters<typeof countWithoutUser>[0]), 3);
  await sessions.close();
});
