import { stat } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  ClosedError,
  NotMigratedError,
  StoreError,
  StoreOverloadedError,
  StoreTimeoutError,
  StoreUnavailableError,
} from "../errors.ts";
import { BatchingStore, type BatchingOptions } from "./batching-store.ts";
import { memoryStore } from "../store/memory.ts";
import type { BatchKind } from "./operation.ts";
import type { RowTouch, RowUpdate, SessionRow } from "../store/row.ts";
import type { Lanes, SessionStore } from "../store/contract.ts";

/** A call that the store below received, answered when the test says so. */
interface Call {
  readonly kind: BatchKind;
  /** The first byte of each id. */
  readonly ids: number[];
  answer(error?: unknown): Promise<void>;
}

const LANES: Lanes = { read: 1, write: 1, maxBatch: 4 };

function setUp(lanes: Lanes = LANES, options: BatchingOptions = {}) {
  const calls: Call[] = [];
  let closed = false;
  const receive = <T>(kind: BatchKind, ids: readonly Uint8Array[], value: T): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    calls.push({
      kind,
      ids: ids.map((id) => id[0] as number),
      async answer(error) {
        if (error === undefined) resolve(value);
        else reject(error);
        await settle();
      },
    });
    return promise;
  };
  const store = {
    lanes,
    read: (ids: Uint8Array[]) =>
      receive(
        "read",
        ids,
        ids.map((id) => rowOf(id[0] as number)),
      ),
    insert: (rows: SessionRow[]) =>
      receive(
        "insert",
        rows.map(({ id }) => id),
        rows.map(() => true),
      ),
    update: (updates: RowUpdate[]) =>
      receive(
        "update",
        updates.map(({ loaded }) => loaded.id),
        updates.map(({ next }) => next.version % 2 === 0),
      ),
    replace: (loaded: SessionRow) => receive("replace", [loaded.id], true),
    touch: (touches: RowTouch[]) =>
      receive(
        "touch",
        touches.map(({ id }) => id),
        undefined,
      ),
    delete: (ids: Uint8Array[]) =>
      receive(
        "delete",
        ids,
        ids.map(() => true),
      ),
    listByUser: () => receive("read", [], []),
    async close() {
      closed = true;
    },
  } as unknown as SessionStore;
  // Many a test leaves calls that it never answers. They would reject, unheard, in the middle of a later test.
  const batched = new BatchingStore(store, { storeTimeout: 600_000, ...options });
  return { batched, calls, isClosed: () => closed };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

function idOf(nth: number): Uint8Array {
  return new Uint8Array(32).fill(nth);
}

function rowOf(nth: number, version = 2): SessionRow {
  return {
    id: idOf(nth),
    data: new Uint8Array(1),
    version,
    userRef: null,
    createdAt: 0,
    updatedAt: 0,
    absoluteExpiresAt: 10,
    expiresAt: 10,
    client: null,
  };
}

const touchOf = (nth: number): RowTouch => ({ id: idOf(nth), updatedAt: 1, expiresAt: 2 });

/** What became of a promise, without waiting for it. */
function watch<T>(promise: Promise<T>): { state: "pending" | "kept" | "broken"; value?: T; error?: unknown } {
  const seen: { state: "pending" | "kept" | "broken"; value?: T; error?: unknown } = { state: "pending" };
  promise.then(
    (value) => Object.assign(seen, { state: "kept", value }),
    (error: unknown) => Object.assign(seen, { state: "broken", error }),
  );
  return seen;
}

describe("batches", () => {
  test("a free lane → the operation is sent at once, in the same turn", () => {
    const { batched, calls } = setUp();
    void batched.read(idOf(1));
    void batched.touch(touchOf(2));
    expect(calls).toMatchObject([
      { kind: "read", ids: [1] },
      { kind: "touch", ids: [2] },
    ]);
  });

  test("busy lanes → operations wait and are sent as a batch, ordered by id, up to the limit", async () => {
    const { batched, calls } = setUp();
    const answers = [9, 5, 7, 3, 1, 8].map((nth) => batched.read(idOf(nth)));
    expect(calls).toHaveLength(1);
    await calls[0]?.answer();
    expect(calls[1]).toMatchObject({ ids: [1, 3, 5, 7] });
    await calls[1]?.answer();
    expect(calls[2]).toMatchObject({ ids: [8] });
    await calls[2]?.answer();
    expect((await Promise.all(answers)).map((row) => row?.id[0])).toEqual([9, 5, 7, 3, 1, 8]);
  });

  test("several lanes → each sends its own batch", async () => {
    const { batched, calls } = setUp({ read: 2, write: 1, maxBatch: 10 });
    for (const nth of [1, 2, 3, 4]) void batched.read(idOf(nth));
    expect(calls.map(({ ids }) => ids)).toEqual([[1], [2]]);
    await calls[1]?.answer();
    expect(calls[2]?.ids).toEqual([3, 4]);
  });

  test("kinds of operations → never in one batch; the writes that waited longest go first", async () => {
    const { batched, calls } = setUp();
    void batched.delete(idOf(1));
    void batched.touch(touchOf(2));
    await new Promise((resolve) => setTimeout(resolve, 2));
    void batched.insert(rowOf(3));
    void batched.touch(touchOf(4));
    await calls[0]?.answer();
    await calls[1]?.answer();
    expect(calls).toMatchObject([
      { kind: "delete", ids: [1] },
      { kind: "touch", ids: [2, 4] },
      { kind: "insert", ids: [3] },
    ]);
  });

  test("a batch → each caller gets its own result", async () => {
    const { batched, calls } = setUp();
    void batched.update(rowOf(9), rowOf(9));
    const answers = [4, 3, 2, 1].map((nth) => batched.update(rowOf(nth), rowOf(nth, nth)));
    await calls[0]?.answer();
    expect(calls[1]?.ids).toEqual([1, 2, 3, 4]);
    await calls[1]?.answer();
    expect(await Promise.all(answers)).toEqual([true, false, true, false]);
  });

  test("concurrent reads of one id → one read", async () => {
    const { batched, calls } = setUp();
    void batched.read(idOf(9));
    const answers = [2, 1, 2, 2].map((nth) => batched.read(idOf(nth)));
    await calls[0]?.answer();
    expect(calls[1]?.ids).toEqual([1, 2]);
    await calls[1]?.answer();
    expect((await Promise.all(answers)).map((row) => row?.id[0])).toEqual([2, 1, 2, 2]);
  });

  test("writes of one id → one in flight at a time, in the order of the calls", async () => {
    const { batched, calls } = setUp({ read: 1, write: 4, maxBatch: 4 });
    void batched.insert(rowOf(1));
    watch(batched.update(rowOf(1), rowOf(1)));
    void batched.delete(idOf(1));
    void batched.update(rowOf(2), rowOf(2));
    const kinds = (): string[] => calls.map(({ kind, ids }) => `${kind} ${ids.join()}`);
    expect(kinds()).toEqual(["insert 1", "update 2"]);
    await calls[0]?.answer();
    expect(kinds().slice(2)).toEqual(["update 1"]);
    await calls[2]?.answer(new StoreError("refused"));
    expect(kinds().slice(3)).toEqual(["delete 1"]);
  });

  test("a touch that is under way or waits: a logout of its session → it waits behind neither", async () => {
    const { batched, calls } = setUp({ read: 1, write: 2, maxBatch: 4 });
    const kinds = (): string[] => calls.map(({ kind, ids }) => `${kind} ${ids.join()}`);
    const first = watch(batched.touch(touchOf(1)));
    const destroyed = watch(batched.delete(idOf(1)));
    expect(kinds()).toEqual(["touch 1", "delete 1"]);
    // Both lanes are taken now.
    const waiting = watch(batched.touch(touchOf(2)));
    void batched.delete(idOf(2));
    await settle();
    expect(waiting.state, "dropped: the session ends").toBe("kept");
    await calls[1]?.answer();
    expect(destroyed).toMatchObject({ state: "kept", value: true });
    expect(first.state).toBe("pending");
    expect(kinds().slice(2)).toEqual(["delete 2"]);
    await calls[0]?.answer();
    await calls[2]?.answer();
    expect(kinds(), "nothing is left").toHaveLength(3);
  });

  test.each(["update", "replace"] as const)(
    "a touch that waits: %s of its session → it is dropped",
    async (kind) => {
      const { batched, calls } = setUp();
      void batched.delete(idOf(9));
      const waiting = watch(batched.touch(touchOf(1)));
      const saved = watch(batched[kind](rowOf(1), rowOf(1)));
      await calls[0]?.answer();
      await calls[1]?.answer();
      expect(calls.map((call) => call.kind)).toEqual(["delete", kind]);
      expect([waiting.state, saved.state]).toEqual(["kept", "kept"]);
    },
  );

  test("touches of one session that wait → one leaves, with the latest times, and all are answered", async () => {
    const touched: RowTouch[][] = [];
    const store = memoryStore();
    const gate = Promise.withResolvers<void>();
    const slow = {
      lanes: { ...LANES, write: 3 },
      touch: async (touches: RowTouch[]) => {
        touched.push(touches);
        await gate.promise;
      },
      close: () => store.close(),
    } as unknown as SessionStore;
    const batched = new BatchingStore(slow);
    const answers = [1, 2, 4, 3].map((updatedAt) =>
      batched.touch({ id: idOf(1), updatedAt, expiresAt: 10 + updatedAt }),
    );
    gate.resolve();
    await Promise.all(answers);
    expect(touched.map((touches) => touches.map(({ updatedAt }) => updatedAt))).toEqual([[1], [4]]);
    await batched.close();
  });

  test("a long chain of writes of one id → sent by age, before later ones of other ids", async () => {
    const { batched, calls } = setUp({ ...LANES, maxBatch: 2 });
    const kinds = () => calls.map(({ ids }) => ids);
    void batched.delete(idOf(1));
    void batched.delete(idOf(1));
    for (const nth of [2, 3, 4, 5]) void batched.delete(idOf(nth));
    await calls[0]?.answer();
    expect(kinds()).toEqual([[1], [1, 2]]);
    await calls[1]?.answer();
    expect(kinds()[2]).toEqual([3, 4]);
  });

  test("a store that batches only while busy: nothing in flight → sent at once", () => {
    const { batched, calls } = setUp({ ...LANES, read: 2, gather: "busy" });
    void batched.read(idOf(1));
    expect(calls.map(({ ids }) => ids)).toEqual([[1]]);
  });

  test("a store that batches only while busy: several in one turn → one batch", async () => {
    const { batched, calls } = setUp({ ...LANES, read: 3, gather: "busy" });
    for (const nth of [1, 4, 3]) void batched.read(idOf(nth));
    await Promise.resolve();
    void batched.read(idOf(2));
    expect(calls.map(({ ids }) => ids)).toEqual([[1]]);
    await new Promise(setImmediate);
    expect(calls.map(({ ids }) => ids)).toEqual([[1], [2, 3, 4]]);
    void batched.touch(touchOf(5));
    void batched.touch(touchOf(6));
    await new Promise(setImmediate);
    expect(calls.map(({ kind, ids }) => [kind, ids])).toContainEqual(["touch", [5, 6]]);
  });

  test("batching: fake timers in the application's tests → not waited for", async () => {
    const turn = setImmediate;
    vi.useFakeTimers();
    try {
      const { batched, calls } = setUp({ ...LANES, gather: "immediate" });
      void batched.touch(touchOf(1));
      await new Promise<void>((resolve) => void turn(resolve));
      expect(calls).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
  });

  test("many waiting operations → divided over the free lanes; few → not", async () => {
    for (const [waiting, lanes, sizes] of [
      [15, 4, [15]],
      [31, 4, [31]],
      [32, 4, [16, 16]],
      [50, 4, [17, 17, 16]],
      [64, 2, [32, 32]],
      [64, 4, [16, 16, 16, 16]],
      [200, 2, [64, 64]],
    ] as const) {
      for (const kind of ["read", "delete"] as const) {
        const { batched, calls } = setUp({ read: lanes, write: lanes, maxBatch: 64, gather: "immediate" });
        for (let nth = 0; nth < waiting; nth++) void batched[kind](idOf(nth));
        await new Promise(setImmediate);
        expect(calls.map(({ ids }) => ids.length)).toEqual(sizes);
        expect(new Set(calls.flatMap(({ ids }) => ids)).size).toBe(Math.min(waiting, 128));
      }
    }
  });

  test("a lane that gathers: several operations in one turn → one batch", async () => {
    const { batched, calls } = setUp({ ...LANES, gather: "immediate" });
    for (const nth of [3, 1, 2]) void batched.touch(touchOf(nth));
    await settle();
    expect(calls).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls.map(({ ids }) => ids)).toEqual([[1, 2, 3]]);
  });

  test("a large batch → 16 callers per turn are answered, and the lane goes on", async () => {
    const { batched, calls } = setUp({ ...LANES, maxBatch: 64, gather: "immediate" }, { storeTimeout: 200 });
    const seen = Array.from({ length: 40 }, (_, nth) => watch(batched.read(idOf(nth))));
    const answered = () => seen.filter(({ state }) => state === "kept").length;
    await new Promise(setImmediate);
    await calls[0]?.answer();
    const until = performance.now() + 300;
    while (performance.now() < until); // the loop hangs for longer than the time limit
    const turns = [answered()];
    watch(batched.read(idOf(50)));
    for (let turn = 0; turn < 2; turn++) {
      await new Promise(setImmediate);
      turns.push(answered());
    }
    expect(turns).toEqual([16, 32, 40]);
    expect(calls[1]).toMatchObject({ ids: [50] });
    expect(seen.map(({ value }) => value?.id[0])).toEqual(seen.map((_, nth) => nth));
  });

  test("large rows → statements of at most 4 MiB; a larger row alone", async () => {
    const { batched, calls } = setUp({ ...LANES, maxBatch: 64 });
    void batched.insert(rowOf(9)); // holds the lane
    const large = (nth: number, mebibytes: number): SessionRow => ({
      ...rowOf(nth),
      data: new Uint8Array(mebibytes * 2 ** 20),
    });
    for (const [nth, mebibytes] of [1, 2, 2, 6, 1].entries()) watch(batched.insert(large(nth, mebibytes)));
    for (let call = 0; call < 4; call++) await calls[call]?.answer();
    expect(calls.map(({ ids }) => ids)).toEqual([[9], [0, 1], [2], [3], [4]]);
    for (const nth of [6, 7]) {
      const loaded = rowOf(nth);
      watch(batched.update(loaded, { ...large(nth, 3), version: 4 }));
    }
    for (let call = 4; call < 7; call++) await calls[call]?.answer();
    expect(calls.slice(5).map(({ ids }) => ids)).toEqual([[6], [7]]);
  });

  test("onBatch: every batch → called", async () => {
    const batches: unknown[] = [];
    const { batched, calls } = setUp(LANES, { onBatch: (...batch) => batches.push(batch) });
    for (const nth of [1, 2, 3]) void batched.read(idOf(nth));
    await calls[0]?.answer();
    expect(batches).toEqual([
      ["read", 1],
      ["read", 2],
    ]);
  });

  test("an id that is not bytes → only that call is rejected", async () => {
    const { batched, calls } = setUp();
    await expect(batched.read("x" as unknown as Uint8Array)).rejects.toThrow(TypeError);
    await expect(batched.delete([1] as unknown as Uint8Array)).rejects.toThrow(TypeError);
    expect(calls).toEqual([]);
  });
});

describe("failures", () => {
  test("a batch that one row may have failed → members are retried individually, and the others succeed", async () => {
    const { batched, calls } = setUp();
    void batched.insert(rowOf(9));
    const seen = [1, 2, 3].map((nth) => watch(batched.insert(rowOf(nth))));
    await calls[0]?.answer();
    const poisoned = new StoreError("row 2 is not liked");
    await calls[1]?.answer(poisoned);
    await calls[2]?.answer();
    await calls[3]?.answer(poisoned);
    await calls[4]?.answer();
    expect(calls.slice(1).map(({ ids }) => ids)).toEqual([[1, 2, 3], [1], [2], [3]]);
    expect(seen).toMatchObject([{ state: "kept" }, { state: "broken", error: poisoned }, { state: "kept" }]);
  });

  const locked = () => new StoreTimeoutError("somebody has locked a row", { mayBeOneRow: true });

  test("a locked row → delays neither the others of its batch nor later operations", async () => {
    const { batched, calls } = setUp({ ...LANES, write: 2 });
    for (const nth of [8, 9]) void batched.insert(rowOf(nth));
    const seen = [1, 2, 3].map((nth) => watch(batched.insert(rowOf(nth))));
    await calls[0]?.answer();
    expect(calls[2]?.ids).toEqual([1, 2, 3]);
    const later = [4, 5].map((nth) => watch(batched.insert(rowOf(nth))));
    await calls[2]?.answer(locked());
    expect(calls.slice(3).map(({ ids }) => ids)).toEqual([[1]]);
    await calls[1]?.answer();
    for (let call = 4; call < 7; call++) await calls[call]?.answer();
    expect(calls.slice(3).map(({ ids }) => ids)).toEqual([[1], [2], [3], [4, 5]]);
    expect(seen.map(({ state }) => state)).toEqual(["pending", "kept", "kept"]);
    expect(later.map(({ state }) => state)).toEqual(["kept", "kept"]);
    await calls[3]?.answer(locked());
    expect(seen[0]?.error).toMatchObject({ outcome: "none", code: "ERR_STORED_SESSION_STORE_TIMEOUT" });
  });

  test("writes of one id sent without a batch → one in flight at a time", async () => {
    const { batched, calls } = setUp();
    void batched.delete(idOf(9));
    const seen = [1, 2].map((nth) => watch(batched.delete(idOf(nth))));
    const next = watch(batched.delete(idOf(1)));
    await calls[0]?.answer();
    await calls[1]?.answer(locked());
    for (let call = 2; call < 5; call++) await calls[call]?.answer();
    expect(calls.slice(1).map(({ ids }) => ids)).toEqual([[1, 2], [1], [2], [1]]);
    expect([...seen, next].map(({ state }) => state)).toEqual(["kept", "kept", "kept"]);
  });

  test("a read that timed out at the server → not repeated", async () => {
    const { batched, calls } = setUp();
    void batched.read(idOf(9));
    const seen = [1, 2].map((nth) => watch(batched.read(idOf(nth))));
    await calls[0]?.answer();
    await calls[1]?.answer(locked());
    expect(calls).toHaveLength(2);
    expect(seen.map(({ state }) => state)).toEqual(["broken", "broken"]);
  });

  test.each([
    new StoreUnavailableError("gone"),
    new StoreTimeoutError("slow"),
    new NotMigratedError("missing"),
    new StoreError("lost", { outcome: "unknown" }),
  ])("a batch fails with $name and outcome $outcome → it is not repeated", async (error) => {
    const { batched, calls } = setUp();
    void batched.touch(touchOf(9));
    const seen = [1, 2].map((nth) => watch(batched.touch(touchOf(nth))));
    await calls[0]?.answer();
    await calls[1]?.answer(error);
    expect(calls).toHaveLength(2);
    expect(seen).toMatchObject([{ error }, { error }]);
  });

  test("a failure → the next operation is not affected (promise 8)", async () => {
    const { batched, calls } = setUp();
    const seen = watch(batched.read(idOf(1)));
    await calls[0]?.answer(new StoreUnavailableError("gone"));
    expect(seen.state).toBe("broken");
    const again = batched.read(idOf(1));
    await calls[1]?.answer();
    expect(await again).not.toBeNull();
  });

  test("more than maxQueue waiting → StoreOverloadedError, and the others go on (promise 10)", async () => {
    const { batched, calls } = setUp(LANES, { maxQueue: 2 });
    const seen = [1, 2, 3].map((nth) => watch(batched.read(idOf(nth))));
    await expect(batched.read(idOf(4))).rejects.toThrow(StoreOverloadedError);
    await calls[0]?.answer();
    await calls[1]?.answer();
    expect(seen.map(({ state }) => state)).toEqual(["kept", "kept", "kept"]);
    void batched.read(idOf(5));
    expect(calls).toHaveLength(3);
  });

  test("operations without a lane: maxQueue → applies too (promise 10)", async () => {
    const { batched, calls } = setUp(LANES, { maxQueue: 2 });
    const seen = [1, 2].map(() => watch(batched.listByUser([], 1)));
    await expect(batched.listByUser([], 1)).rejects.toThrow(StoreOverloadedError);
    await calls[0]?.answer();
    await calls[1]?.answer();
    expect(seen.map(({ state }) => state)).toEqual(["kept", "kept"]);
    await Promise.all([batched.listByUser([], 1), calls[2]?.answer()]);
  });

  test("maxQueue operations → each can time out individually", async () => {
    const { batched, calls } = setUp({ ...LANES, maxBatch: 1 }, { storeTimeout: 1, maxQueue: 50_000 });
    const seen = Array.from({ length: 30_000 }, () => watch(batched.read(idOf(1))));
    await new Promise((resolve) => setTimeout(resolve, 20));
    while (seen.some(({ state }) => state === "pending"))
      await new Promise((resolve) => setTimeout(resolve, 5));
    await calls[0]?.answer();
    expect(seen.every(({ state }) => state === "broken")).toBe(true);
  });

  test("touches fill half of the queue → the rest is reserved for requests (promise 10)", async () => {
    const { batched } = setUp(LANES, { maxQueue: 4 });
    void watch(batched.touch(touchOf(1))); // sent
    const waiting = [2, 3].map((nth): { state: string } => watch(batched.touch(touchOf(nth))));
    await expect(batched.touch(touchOf(4))).rejects.toThrow(StoreOverloadedError);
    waiting.push(...[1, 2, 3].map((nth) => watch(batched.read(idOf(nth)))));
    expect(waiting.map(({ state }) => state)).toEqual(waiting.map(() => "pending"));
  });
});

describe("time limits", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("no response in time: a sent write → outcome unknown; a read → none; the lane is free again", async () => {
    const { batched, calls } = setUp(LANES, { storeTimeout: 100 });
    const write = watch(batched.touch(touchOf(1)));
    const read = watch(batched.read(idOf(1)));
    await vi.advanceTimersByTimeAsync(99);
    expect([write.state, read.state]).toEqual(["pending", "pending"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(write.error).toBeInstanceOf(StoreTimeoutError);
    expect(write.error).toMatchObject({ outcome: "unknown", status: 503 });
    expect(read.error).toMatchObject({ outcome: "none" });

    const next = batched.touch(touchOf(1));
    expect(calls).toHaveLength(3);
    await calls[0]?.answer();
    await calls[2]?.answer();
    await next;
    void batched.touch(touchOf(2));
    void batched.touch(touchOf(3));
    expect(calls, "the late answer freed no second lane").toHaveLength(4);
  });

  test("a timeout while waiting → outcome none, never sent", async () => {
    const { batched, calls } = setUp(LANES, { storeTimeout: 100 });
    const first = watch(batched.delete(idOf(1)));
    await vi.advanceTimersByTimeAsync(50);
    const second = watch(batched.delete(idOf(2)));
    await vi.advanceTimersByTimeAsync(50);
    expect(first.error).toMatchObject({ outcome: "unknown" });
    expect(calls.map(({ ids }) => ids)).toEqual([[1], [2]]);
    const third = watch(batched.insert(rowOf(3)));
    await vi.advanceTimersByTimeAsync(50);
    expect(second.error).toMatchObject({ outcome: "unknown" });
    expect(third.state).toBe("pending");

    const stuck = setUp({ ...LANES, write: 0 }, { storeTimeout: 100 });
    const never = watch(stuck.batched.insert(rowOf(1)));
    const chained = watch(stuck.batched.delete(idOf(1)));
    await vi.advanceTimersByTimeAsync(100);
    expect([never.error, chained.error]).toMatchObject([{ outcome: "none" }, { outcome: "none" }]);
    expect(stuck.calls).toEqual([]);
  });

  test("waited for half of its deadline → not sent, and the error says how long (promise 10)", async () => {
    const { batched, calls } = setUp({ ...LANES, maxBatch: 2 }, { storeTimeout: 100 });
    void batched.read(idOf(9)); // holds the lane
    const late = [1, 2].map((nth): { state: string; error?: unknown } => watch(batched.read(idOf(nth))));
    await vi.advanceTimersByTimeAsync(40);
    const inTime = watch(batched.read(idOf(3)));
    await vi.advanceTimersByTimeAsync(20);
    await calls[0]?.answer();
    expect(calls.slice(1).map(({ ids }) => ids)).toEqual([[3]]);
    for (const { error } of late) {
      expect(error).toBeInstanceOf(StoreTimeoutError);
      expect(error).toMatchObject({ outcome: "none", message: expect.stringContaining("waited 60 ms") });
    }
    await calls[1]?.answer();
    expect(inTime.state).toBe("kept");

    void batched.delete(idOf(9)); // the same for writes of one id that wait for each other
    const chained = watch(batched.delete(idOf(9)));
    await vi.advanceTimersByTimeAsync(60);
    const after = watch(batched.delete(idOf(9)));
    await calls[2]?.answer();
    expect(chained.error).toMatchObject({ outcome: "none" });
    expect(calls).toHaveLength(4);
    await calls[3]?.answer();
    expect(after.state).toBe("kept");
  });

  test("a batch failed → no member waits past its deadline, and members not retried have outcome none", async () => {
    const { batched, calls } = setUp(LANES, { storeTimeout: 100 });
    void batched.touch(touchOf(9)); // holds the lane
    const seen = [1, 2, 3].map((nth) => watch(batched.touch(touchOf(nth))));
    await calls[0]?.answer();
    await vi.advanceTimersByTimeAsync(40);
    await calls[1]?.answer(new StoreTimeoutError("somebody has locked a row", { mayBeOneRow: true }));
    expect(calls[2]?.ids).toEqual([1]);
    await vi.advanceTimersByTimeAsync(59);
    expect(seen.map(({ state }) => state)).toEqual(["pending", "pending", "pending"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.map(({ error }) => error)).toMatchObject([
      { outcome: "unknown" },
      { outcome: "none", message: expect.stringContaining("not retried individually") },
      { outcome: "none" },
    ]);
    expect(calls).toHaveLength(3);
    const next = watch(batched.touch(touchOf(2)));
    await calls[3]?.answer();
    expect(next.state).toBe("kept");
  });

  test("load shedding → the lane goes to the other kinds of operations (promise 10)", async () => {
    const { batched, calls } = setUp(LANES, { storeTimeout: 100 });
    void batched.insert(rowOf(9)); // holds the lane
    const late = watch(batched.insert(rowOf(1)));
    const ofTheSame = watch(batched.delete(idOf(1)));
    await vi.advanceTimersByTimeAsync(40);
    const inTime = watch(batched.touch(touchOf(2)));
    const next = watch(batched.delete(idOf(1)));
    await vi.advanceTimersByTimeAsync(20);
    await calls[0]?.answer();
    await calls[1]?.answer();
    await calls[2]?.answer();
    expect([late.state, ofTheSame.state, inTime.state, next.state]).toEqual([
      "broken",
      "broken",
      "kept",
      "kept",
    ]);
  });

  test("an overloaded store → serves as many as it can, none with an unknown outcome (promise 10)", async () => {
    // 1 ms an operation in the order of arrival, and 13 come in 10 ms
    let free = 0;
    const serve = (count: number) =>
      new Promise<void>((resolve) => {
        free = Math.max(free, performance.now()) + count;
        setTimeout(resolve, free - performance.now());
      });
    const store = {
      lanes: { read: 1, write: 2, maxBatch: 16 },
      delete: async (ids: Uint8Array[]) => {
        await serve(ids.length);
        return ids.map(() => true);
      },
    } as unknown as SessionStore;
    const batched = new BatchingStore(store, { storeTimeout: 200 });
    let nth = 0;
    const seen: { state: string; error?: unknown }[] = [];
    const kept: number[] = [];
    for (let step = 0; step < 300; step++) {
      for (let n = 0; n < 13; n++) {
        const id = new Uint8Array(32);
        new DataView(id.buffer).setUint32(0, nth++);
        seen.push(watch(batched.delete(id)));
      }
      await vi.advanceTimersByTimeAsync(10);
      if (step % 100 === 99) kept.push(seen.filter(({ state }) => state === "kept").length);
    }
    expect(kept[2]! - kept[1]!).toBeGreaterThan(900); // of 1,000 that the store can
    expect(seen.filter(({ state, error }) => state === "broken" && !/not sent/.test(String(error)))).toEqual(
      [],
    );
  });

  test("event-loop lag: results that arrived meanwhile → count", async () => {
    vi.useRealTimers();
    const file = new URL("batching-store.test.ts", import.meta.url);
    const store = {
      lanes: LANES,
      read: async (ids: Uint8Array[]) => {
        await stat(file); // one answer of the system
        return ids.map(() => null);
      },
    } as unknown as SessionStore;
    const batched = new BatchingStore(store, { storeTimeout: 20 });
    const reading = watch(batched.read(idOf(1)));
    for (const began = performance.now(); performance.now() < began + 500;);
    await vi.waitFor(() => expect(reading.state).toBe("kept"));
  });

  test("count → 12 times the time limit", async () => {
    const store = { lanes: LANES, count: () => new Promise(() => {}) } as unknown as SessionStore;
    const counting = watch(new BatchingStore(store, { storeTimeout: 100 }).count(0));
    await vi.advanceTimersByTimeAsync(1_199);
    expect(counting.state).toBe("pending");
    await vi.advanceTimersByTimeAsync(1);
    expect(counting.error).toBeInstanceOf(StoreTimeoutError);
    expect(String(counting.error)).toContain("within 1200 ms");
  });

  test("close during a count → does not wait for it; other operations during a count → sent at once", async () => {
    const { batched, calls, isClosed } = setUp({ ...LANES, gather: "busy" }, { storeTimeout: 100 });
    (batched.store as { count: unknown }).count = () => new Promise(() => {});
    watch(batched.count(0));
    const reading = watch(batched.read(idOf(1)));
    expect(calls).toHaveLength(1);
    await calls[0]?.answer();
    expect(reading.state).toBe("kept");
    await batched.close();
    expect(isClosed()).toBe(true);
  });

  test("writes of one id: the first times out → the next one is sent", async () => {
    const { batched, calls } = setUp({ ...LANES, write: 2 }, { storeTimeout: 100 });
    watch(batched.delete(idOf(1)));
    await vi.advanceTimersByTimeAsync(60);
    const next = watch(batched.delete(idOf(1)));
    expect(calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(40);
    expect(calls[1]).toMatchObject({ kind: "delete", ids: [1] });
    await calls[1]?.answer();
    expect(next.state).toBe("kept");
  });

  test("a batch: one member times out → the ids of the others stay reserved", async () => {
    const { batched, calls } = setUp({ ...LANES, write: 1 }, { storeTimeout: 100 });
    watch(batched.delete(idOf(9))); // holds the lane
    const first = watch(batched.delete(idOf(1)));
    await vi.advanceTimersByTimeAsync(50);
    const second = watch(batched.delete(idOf(2)));
    await calls[0]?.answer();
    expect(calls[1]).toMatchObject({ ids: [1, 2] });
    await vi.advanceTimersByTimeAsync(50);
    expect([first.state, second.state]).toEqual(["broken", "pending"]);
    const later = watch(batched.delete(idOf(2)));
    void batched.delete(idOf(3)); // the lane is free again
    expect(calls.slice(2).map(({ ids }) => ids)).toEqual([[3]]);
    await calls[2]?.answer();
    await calls[1]?.answer(new StoreError("one row spoilt it"));
    expect(calls.slice(3).map(({ ids }) => ids)).toEqual([[2]]); // the second again, alone
    await calls[3]?.answer();
    expect([second.state, later.state]).toEqual(["kept", "pending"]);
    await calls[4]?.answer();
    expect(later.state).toBe("kept");
  });

  test("all operations done → no timer keeps the process alive", async () => {
    const { batched, calls } = setUp(LANES, { storeTimeout: 100 });
    const answer = batched.read(idOf(1));
    await calls[0]?.answer();
    await answer;
    await vi.advanceTimersByTimeAsync(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("operations by user: storeTimeout → applies too", async () => {
    const { batched } = setUp(LANES, { storeTimeout: 100 });
    const seen = watch(batched.listByUser([idOf(1)], 5));
    await vi.advanceTimersByTimeAsync(100);
    expect(seen.error).toMatchObject({ outcome: "none", code: "ERR_STORED_SESSION_STORE_TIMEOUT" });
  });
});

describe("closing", () => {
  test("close: the store does not close → rejects after the deadline", async () => {
    const { batched } = setUp(LANES, { storeTimeout: 5 });
    batched.store.close = () => new Promise(() => {});
    await expect(batched.close()).rejects.toThrow(StoreTimeoutError);
    await expect(batched.close()).rejects.toThrow(/did not close within 5 ms/);
  });

  test("close → waits for queued operations and those in flight; later calls reject", async () => {
    const { batched, calls, isClosed } = setUp();
    const answers = [1, 2].map((nth) => batched.read(idOf(nth)));
    const closing = batched.close();
    await expect(batched.read(idOf(3))).rejects.toThrow(ClosedError);
    await expect(batched.count(0)).rejects.toThrow(ClosedError);
    await expect(batched.listByUser([], 1)).rejects.toThrow(ClosedError);
    await calls[0]?.answer();
    expect(isClosed()).toBe(false);
    await calls[1]?.answer();
    await closing;
    expect(isClosed()).toBe(true);
    expect(await Promise.all(answers)).toHaveLength(2);
    await batched.close();
  });
});

test("a slow store: 1,000 increments of 10 rows by 50 callers → none is lost (promise 2)", async () => {
  const memory = memoryStore();
  const late = new Proxy(memory, {
    get(target, name) {
      if (name === "lanes") return { read: 2, write: 2, maxBatch: 8 } satisfies Lanes;
      const method = Reflect.get(target, name, target) as (...values: unknown[]) => Promise<unknown>;
      if (method === undefined) return undefined;
      return async (...values: unknown[]) => {
        await new Promise((resolve) => setImmediate(resolve));
        return await method.apply(target, values);
      };
    },
  });
  const batched = new BatchingStore(late);
  const ids = Array.from({ length: 10 }, (_, nth) => idOf(nth));
  await Promise.all(ids.map((_, nth) => batched.insert(rowOf(nth, 0))));
  let left = 1_000;
  const work = async (caller: number): Promise<void> => {
    while (left-- > 0) {
      for (;;) {
        const loaded = (await batched.read(ids[(caller + left + 1_000) % 10] as Uint8Array)) as SessionRow;
        if (await batched.update(loaded, { ...loaded, version: loaded.version + 1 })) break;
      }
    }
  };
  await Promise.all(Array.from({ length: 50 }, (_, caller) => work(caller)));
  const rows = await memory.scan(null, 100);
  expect(rows.reduce((sum, { version }) => sum + version, 0)).toBe(1_000);
});
