/** `maxSessions` against transactions that are in progress at once, of one process and of several. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "vitest";
import { createSessionManager, TooManySessionsError, type SessionManager } from "../../src/index.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import type { Statement } from "../../src/sql/statement.ts";
import { databases } from "../servers/databases.ts";
import { cookieOf, testKeys } from "./doubles.ts";

type Sessions = SessionManager<Record<string, unknown>>;

for (const database of databases) {
  if (database.name === "better-sqlite3") continue;
  describe(database.name, () => {
    for (const onLimit of ["endOldest", "refuse"] as const) {
      test(`maxSessions: 4 processes log one user in 64 times, ${onLimit} → exactly 3 sessions are live`, async () => {
        await using created = await database.createStore();
        await created.store.migrate();
        const sessions = manager(created.store);
        const place = database.url ?? fileOf(created.store);
        const children = Array.from({ length: 4 }, () =>
          fork(
            new URL("./session-limits.worker.ts", import.meta.url),
            [database.kind, place, created.table, onLimit, "42", "16"],
            { execArgv: ["--disable-warning=ExperimentalWarning"] },
          ),
        );
        await Promise.all(children.map((child) => once(child, "message")));
        const answers = children.map(
          (child) => once(child, "message") as Promise<[{ succeeded: number; others: string[] }]>,
        );
        for (const child of children) child.send("go");
        const results = (await Promise.all(answers)).map(([result]) => result);
        assert.deepEqual(
          results.flatMap(({ others }) => others),
          [],
        );
        const succeeded = results.reduce((sum, result) => sum + result.succeeded, 0);
        assert.equal(succeeded, onLimit === "refuse" ? 3 : 64);
        assert.equal((await sessions.forUser("42").list()).length, 3);
      }, 120_000);
    }

    if (database.kind === "sqlite") return; // one transaction at a time, within one turn of the event loop

    test("maxSessions: a login waits in its transaction, and another of the same user begins → it waits for the first, and the limit holds", async () => {
      await using created = await database.createStore();
      await created.store.migrate();
      const [first, second] = [manager(created.store), manager(created.another())];
      for (let nth = 0; nth < 3; nth++) await login(first);
      // After it has read which sessions there are.
      const stop = stopBefore(created.store, /^DELETE|^SELECT id FROM/);
      const one = login(first);
      await stop.reached;
      let isDone = false;
      const two = login(second).then((cookie) => ((isDone = true), cookie));
      // Without a lock it would be done by now, by what the first has not changed yet.
      await Promise.race([two, new Promise((resolve) => setTimeout(resolve, 400))]);
      const wasDone = isDone;
      stop.go();
      const cookies = await Promise.all([one, two]);
      assert.equal(wasDone, false);
      assert.equal((await first.forUser("42").list()).length, 3);
      for (const cookie of cookies) assert.equal((await first.load(cookie)).user, "42");
    });

    test("maxSessions, refuse: a login is about to take the last place, and another of the same user begins → one is refused", async () => {
      await using created = await database.createStore();
      await created.store.migrate();
      const [first, second] = [manager(created.store, "refuse"), manager(created.another(), "refuse")];
      for (let nth = 0; nth < 2; nth++) await login(first);
      // After it has counted the sessions.
      const stop = stopBefore(created.store, /^INSERT (IGNORE )?INTO (?!\S*_leases)/);
      const one = login(first);
      await stop.reached;
      const two = login(second);
      await Promise.race([two, new Promise((resolve) => setTimeout(resolve, 400))]);
      stop.go();
      assert.equal((await first.load(await one)).user, "42");
      await assert.rejects(two, TooManySessionsError);
      assert.equal((await first.forUser("42").list()).length, 3);
    });

    test("maxSessions: logins of different users at once → neither waits for the other", async () => {
      await using created = await database.createStore();
      await created.store.migrate();
      const [first, second] = [manager(created.store), manager(created.another())];
      for (let nth = 0; nth < 3; nth++) await login(first);
      const stop = stopBefore(created.store, /^DELETE|^SELECT id FROM/);
      const one = login(first);
      await stop.reached;
      await login(second, "another user");
      stop.go();
      await one;
      assert.equal((await first.forUser("42").list()).length, 3);
    });

    test("promise 3, maxSessions: the oldest session gets a new id while a login is about to end it → it ends under the new id", async () => {
      await using created = await database.createStore();
      await created.store.migrate();
      const [first, second] = [manager(created.store), manager(created.another())];
      const cookies = [await login(first), await login(first), await login(first)];
      const stop = stopBefore(created.store, /^DELETE|^SELECT id FROM/);
      const fourth = login(first);
      await stop.reached;
      const moved = await second.load(cookies[0]!);
      moved.regenerate();
      const cookie = cookieOf(await second.commit(moved));
      stop.go();
      assert.equal((await first.load(await fourth)).user, "42");
      assert.equal((await first.load(cookie)).user, undefined, "the oldest, under its new id");
      assert.equal((await first.load(cookies[1]!)).user, "42");
      assert.equal((await first.forUser("42").list()).length, 3);
    });
  });
}

/** Later than any time of the processes, whose clocks are real. */
let now = Date.now();

function manager(store: SessionStore, onLimit: "endOldest" | "refuse" = "endOldest"): Sessions {
  return createSessionManager<Record<string, unknown>>({
    store,
    keys: testKeys,
    storeTimeout: "1 min",
    clock: () => now,
    maxSessions: { count: 3, onLimit },
  });
}

async function login(sessions: Sessions, user = "42"): Promise<string> {
  now++;
  const session = await sessions.load(null);
  session.login(user);
  return cookieOf(await sessions.commit(session));
}

function fileOf(store: SessionStore): string {
  return (store as unknown as { database: { file: string } }).database.file;
}

/** Stops the next transaction of this store before its first statement like this. */
function stopBefore(store: SessionStore, text: RegExp): { reached: Promise<void>; go: () => void } {
  const { database } = store as unknown as {
    database: { send(connection: unknown, statement: Statement): Promise<unknown> };
  };
  const send = database.send.bind(database);
  const reached = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  let isArmed = true;
  database.send = async (connection, statement) => {
    if (isArmed && text.test(statement.text)) {
      isArmed = false;
      reached.resolve();
      await gone.promise;
    }
    return await send(connection, statement);
  };
  return { reached: reached.promise, go: () => gone.resolve() };
}
