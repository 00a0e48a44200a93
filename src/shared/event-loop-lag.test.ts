import { expect, test, vi } from "vitest";
import { BatchingStore } from "../batching/batching-store.ts";
import { EventLoopLag } from "./event-loop-lag.ts";
import type { SessionStore } from "../store/contract.ts";

const standStill = (milliseconds: number): void => {
  for (const began = performance.now(); performance.now() < began + milliseconds;);
};

test.each(["the present turn", "a later turn"])(
  "a store, and the event loop blocks in %s → the store does not count as slow, and what waits is sent",
  async (turn) => {
    const sent: number[] = [];
    const store = {
      lanes: { read: 1, write: 1, maxBatch: 64 },
      read: async (ids: Uint8Array[]) => {
        sent.push(ids.length);
        await new Promise((resolve) => setTimeout(resolve, 3));
        return ids.map(() => null);
      },
    } as unknown as SessionStore;
    const batched = new BatchingStore(store, { storeTimeout: 1_500 });
    const read = (nth: number) => batched.read(new Uint8Array(32).fill(nth));
    await read(0);
    await new Promise(setImmediate);
    const reading = Array.from({ length: 11 }, (_, nth) => read(nth));
    if (turn === "a later turn") await new Promise(setImmediate);
    standStill(900);
    expect(await Promise.all(reading)).toHaveLength(11);
    expect(sent).toEqual([1, 1, 10]);
  },
);

test("event-loop lag → measured at once, and counted once", async () => {
  const lag = new EventLoopLag(10);
  const began = lag.begin(performance.now());
  standStill(60);
  const stood = lag.until(performance.now()) - began;
  expect(stood).toBeGreaterThan(40);
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(lag.until(performance.now()) - began).toBeGreaterThanOrEqual(stood);
  lag.end();
});

test("event-loop lag: nothing is measured → no timer runs", async () => {
  vi.useFakeTimers();
  try {
    const lag = new EventLoopLag(10);
    expect(lag.begin(performance.now())).toBe(0);
    await vi.advanceTimersByTimeAsync(95);
    expect(lag.until(performance.now())).toBe(0);
    expect(vi.getTimerCount()).toBe(1);
    lag.end();
    await vi.advanceTimersByTimeAsync(20);
    expect(vi.getTimerCount()).toBe(0);
    expect(lag.begin(performance.now())).toBe(0);
    expect(vi.getTimerCount()).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});
