/** What a store under load keeps of the requests that it has served. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, test } from "vitest";
import { createSessionManager, memoryStore, type SessionStore } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { databases } from "../servers/databases.ts";
import { around, cookieOf, testKeys } from "../session/doubles.ts";
import { temporaryFolder } from "./temporary.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));
const { file } = temporaryFolder();

/** A request's own, which the application finds in AsyncLocalStorage wherever it is called. */
const requests = new AsyncLocalStorage<{ readonly number: number }>();

interface Case {
  readonly name: string;
  open(): Promise<{ store: SessionStore; drop(): Promise<void> }>;
}

const cases: readonly Case[] = [
  {
    name: "memory, slow",
    async open() {
      const store = around(memoryStore(), async (_operation, call) => {
        await turn();
        return call();
      });
      return { store, drop: () => store.close() };
    },
  },
  {
    name: "SQLite, with checkpoints in a thread",
    async open() {
      const store = sqliteStore(file());
      await store.migrate();
      return { store, drop: () => store.close() };
    },
  },
  ...databases
    .filter(({ name }) => name !== "sqlite")
    .map(({ name, createStore }) => ({
      name,
      async open() {
        const created = await createStore();
        await created.store.migrate();
        // One whose connections are yet to be opened.
        return { store: created.another(), drop: () => created.drop() };
      },
    })),
];

describe.each(cases)("$name", ({ open }) => {
  test(
    "promise 10: what 1,000 requests held in AsyncLocalStorage → collected while the load goes on",
    {
      timeout: 60_000,
    },
    async () => {
      const { store, drop } = await open();
      // A short limit: its timer is set again many times.
      const sessions = createSessionManager<Record<string, unknown>>({
        store,
        keys: testKeys,
        storeTimeout: 1_000,
      });
      let number = 0;
      let stopped = false;
      const handle = async () => {
        const session = await sessions.load(null);
        session.data["n"] = number;
        const cookie = cookieOf(await sessions.commit(session));
        const again = await sessions.load(cookie);
        again.data["n"] = -1;
        await sessions.commit(again);
        again.destroy();
        await sessions.commit(again);
      };
      const served: WeakRef<object>[] = [];
      const request = () => {
        const own = { number: number++ };
        if (served.length < 1_000) served.push(new WeakRef(own));
        return requests.run(own, handle);
      };
      let first: Promise<void> | null = request();
      const load = Array.from({ length: 64 }, async () => {
        while (!stopped) await request();
      });
      await first;
      // Node 22 keeps the context of a promise in the promise.
      first = null;
      const began = performance.now();
      // Rows for a checkpoint of SQLite's thread, and time for every timer.
      while (number < 1_500 || performance.now() - began < 1_500) await turn();
      let kept: number;
      do {
        for (let turns = 0; turns < 20; turns++) await turn();
        gc();
        kept = served.filter((own) => own.deref() !== undefined).length;
      } while (kept > 0 && performance.now() - began < 10_000);
      stopped = true;
      await Promise.all(load);
      await sessions.close().catch(() => {});
      await drop();
      assert.equal(kept, 0);
    },
  );
});

test("an operation that goes at once → runs in the context of its request, as tracing expects", async () => {
  const seen: (number | undefined)[] = [];
  const store = around(memoryStore(), async (operation, call) => {
    if (operation === "insert") seen.push(requests.getStore()?.number);
    await turn();
    return call();
  });
  const sessions = createSessionManager<Record<string, unknown>>({ store, keys: testKeys });
  const request = (number: number) =>
    requests.run({ number }, async () => {
      const session = await sessions.load(null);
      session.data["n"] = number;
      await sessions.commit(session);
    });
  await request(1);
  assert.deepEqual(seen, [1]);
});
