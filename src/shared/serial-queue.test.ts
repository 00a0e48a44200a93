import assert from "node:assert/strict";
import { afterEach, test, vi } from "vitest";
import { memoryStore } from "../store/memory.ts";
import { createSessionManager } from "../manager.ts";
import { SerialQueue } from "./serial-queue.ts";

afterEach(() => void vi.useRealTimers());

test("tasks of one name run one after another, also after one that failed", async () => {
  const turns = new SerialQueue();
  const order: string[] = [];
  const task = (name: string, fails = false) =>
    turns.take("session", async () => {
      order.push(`${name} begins`);
      await Promise.resolve();
      order.push(`${name} ends`);
      if (fails) throw new Error(name);
    });
  await Promise.allSettled([task("first", true), task("second"), task("third")]);
  assert.deepEqual(
    order,
    ["first", "second", "third"].flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
});

test("promise 10: commits that wait for each other on a store that hangs wait no longer for that", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  const inner = memoryStore();
  let hangs = false;
  const store: typeof inner = Object.create(inner, {
    read: { value: (ids: Uint8Array[]) => (hangs ? new Promise(() => {}) : inner.read(ids)) },
    insert: { value: inner.insert.bind(inner) },
    update: { value: inner.update.bind(inner) },
    lanes: { value: inner.lanes },
  });
  const keys = "ssk1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
  const sessions = createSessionManager<Record<string, unknown>>({ store, keys, storeTimeout: 1_000 });
  const begun = await sessions.load(null);
  begun.data["kept"] = true;
  const cookie = (await sessions.commit(begun))!.split(";")[0]!;
  const all = await Promise.all(Array.from({ length: 20 }, () => sessions.load(cookie)));
  for (const [nth, session] of all.entries()) session.data[`key${nth}`] = nth;

  // The first commit is saved, the others conflict and ask what is there now.
  hangs = true;
  let failed = 0;
  for (const session of all) sessions.commit(session).catch(() => failed++);
  // One limit for a turn, one for the reading.
  await vi.advanceTimersByTimeAsync(2_100);
  assert.equal(failed, 19);
});
