/** Promise 10: a pause of the whole process (a breakpoint, SIGSTOP, a virtual machine that moves) is not the store's. */
import { describe, expect, test } from "vitest";
import { memoryStore, type SessionStore } from "../../src/index.ts";
import { BatchingStore } from "../../src/batching/batching-store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { databases } from "../servers/databases.ts";
import { around, testKeys } from "../session/doubles.ts";

/** Stops the thread, timers and sockets with it. */
function standStill(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Turns of the event loop between the requests and the standstill. */
const moments = [0, 1, 2, 5] as const;

/** One lane each, so that most of them wait in the queue. */
function slow(store: SessionStore): SessionStore {
  const answering = around(store, async (_operation, call) => {
    await new Promise((resolve) => setTimeout(resolve, 2));
    return call();
  });
  return { ...answering, lanes: { read: 1, write: 1, maxBatch: 2 } } as SessionStore;
}

async function fortyRequests(store: SessionStore, turns: number, storeTimeout: number): Promise<void> {
  const app = manage(store, testKeys, { storeTimeout });
  const cookies = await Promise.all(Array.from({ length: 40 }, (_, nth) => visit(app, `${nth}`)));
  let requests = 0;
  const request = async (cookie: string) => {
    const session = await app.load(cookie);
    session.data.items = [...session.data.items!, "coffee"];
    await app.commit(session);
    if (++requests < 120) await request(cookie);
  };
  const done = Promise.allSettled(cookies.map(request));
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
  standStill(2.5 * storeTimeout);
  const failed = (await done).filter(({ status }) => status === "rejected");
  expect(failed).toEqual([]);
}

test.each(moments)(
  "promise 10: the event loop stands still for longer than storeTimeout, %s turns after 40 requests → all succeed",
  (turns) => fortyRequests(slow(memoryStore()), turns, 400),
);

describe.each(databases.map((database) => [database.name, database] as const))("%s", (_name, database) => {
  test("promise 10: event-loop lag longer than storeTimeout → all of 40 requests succeed", async () => {
    await using created = await database.createStore();
    await created.store.migrate();
    await fortyRequests(created.store, 2, 1_000);
  });
});

test("sent before the lag and never answered → its deadline continues after the lag, and expires", async () => {
  const store = around(memoryStore(), (operation, call) =>
    operation === "read" ? new Promise(() => {}) : call(),
  );
  const batched = new BatchingStore(store, { storeTimeout: 100 });
  const read = batched.read(new Uint8Array(32));
  const answer = expect(read).rejects.toMatchObject({ name: "StoreTimeoutError", outcome: "none" });
  await new Promise(setImmediate);
  standStill(300);
  await answer;
});
