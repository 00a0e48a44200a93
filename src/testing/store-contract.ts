import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ClosedError } from "../errors.ts";
import { loginContract } from "./login-contract.ts";
import type { ExpireQuery, RowInfo, SessionRow } from "../store/row.ts";
import type { SessionStore } from "../store/contract.ts";
import type { LinkStore } from "../store/links.ts";

export interface StoreContractOptions {
  /** Creates a migrated, empty store, once per test. The test closes it. */
  readonly create: () => Promise<SessionStore>;
  /** `test` or `it` of any runner. */
  readonly test: (name: string, body: () => Promise<void>) => unknown;
  /** The largest data that a row may have, in bytes; 3 MB unless given. D1 takes 2 MB for the whole row. */
  readonly maxRowBytes?: number;
  /** Called after each test, after the store is closed. */
  readonly destroy?: () => Promise<void>;
}

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 0, 1);

/**
 * Registers the tests that every {@link SessionStore} must pass, one for each sentence of its contract. Works with any
 * test runner and asserts with `node:assert`:
 *
 * ```ts
 * import { test } from "node:test"; // or from "vitest"
 * import { storeContract } from "stored-session/testing";
 *
 * storeContract("my store", { test, create: async () => myStore(await emptyDatabase()) });
 * ```
 */
export function storeContract(name: string, options: StoreContractOptions): void {
  const check = (sentence: string, body: (store: SessionStore) => Promise<void>): void => {
    options.test(`${name}: ${sentence}`, async () => {
      const store = await options.create();
      try {
        await body(store);
      } finally {
        await store.close();
        await options.destroy?.();
      }
    });
  };

  reading(check, options.maxRowBytes ?? 3_000_000);
  inserting(check);
  updating(check);
  replacing(check);
  loginContract(check);
  touching(check);
  deleting(check);
  users(check);
  expiring(check);
  walking(check);
  leasing(check);
  takingOver(check);
  linking(check);
  living(check);
}

type Check = (sentence: string, body: (store: SessionStore) => Promise<void>) => void;

function reading(check: Check, maxRowBytes: number): void {
  check("read: several ids → rows in the requested order, null for an id without a row", async (store) => {
    const [a, b, c] = rows(3);
    await store.insert([a, b, c]);
    same(await store.read([c.id, idOf("nobody"), a.id, b.id]), [c, null, a, b]);
    same(await store.read([idOf("nobody")]), [null]);
    same(await store.read([b.id]), [b]);
    same(await store.read([]), []);
  });

  check("read: rows of any size in one batch → complete rows, in the requested order", async (store) => {
    const sizes = [1, 32_768, 32_769, 300_000, 100, 1_500_000, 70_000, 2_900_000, 10].filter(
      (size) => size <= maxRowBytes,
    );
    const batch = sizes.map((size, nth) => rowOf(`size ${nth}`, { data: bytesOf(size, nth) }));
    for (const row of batch) await store.insert([row]);
    same(await store.read([...batch.map(({ id }) => id), idOf("nobody")]), [...batch, null]);
    for (const row of batch) same(await store.read([row.id]), [row]);
    const infos = await store.scanInfo(null, 100);
    same(infos, batch.toSorted(byId).map(infoOf));
    for (const { head } of infos)
      assert.ok(head.buffer.byteLength < 100_000, "the head does not retain the data");
  });

  check("read: known rows → the answer is what is stored, as without them (promise 6)", async (store) => {
    const sizes = [1, 100, 1_024, 1_025, 5_000, 32_769, 300_000];
    const batch = sizes.map((size, nth) =>
      rowOf(`size ${nth}`, { data: bytesOf(size, nth), client: bytesOf(9) }),
    );
    await store.insert(batch);
    const ids = batch.map(({ id }) => id);
    same(await store.read(ids, batch), batch);
    same(await store.read([...ids, idOf("nobody")], [...batch.map(() => null), null]), [...batch, null]);
    for (const row of batch) same(await store.read([row.id], [row]), [row]);

    // Edited in the table: the version is the same.
    const edited = batch.map((row, nth) => ({
      ...row,
      data: bytesOf(row.data.length, nth + 100),
      client: null,
    }));
    await store.update(batch.map((loaded, nth) => ({ loaded, next: edited[nth]! })));
    same(await store.read(ids, batch), edited);
    for (const [nth, row] of batch.entries()) same(await store.read([row.id], [row]), [edited[nth]!]);

    // Moved from one known row to another.
    const moved = edited.map((row, nth) => ({ ...row, data: edited[(nth + 1) % edited.length]!.data }));
    await store.update(edited.map((loaded, nth) => ({ loaded, next: moved[nth]! })));
    same(await store.read(ids, edited), moved);

    // Written again: only the data is the same.
    const written = moved.map((row) => ({
      ...row,
      version: row.version + 1,
      userRef: idOf("user"),
      updatedAt: NOW + 1,
    }));
    await store.update(moved.map((loaded, nth) => ({ loaded, next: written[nth]! })));
    same(await store.read(ids, moved), written);
    await store.delete([ids[4]!]);
    same(
      await store.read(ids, written),
      written.map((row, nth) => (nth === 4 ? null : row)),
    );
    same(await store.read([ids[4]!], [written[4]!]), [null]);
  });

  check("read: an expired row → returned like any other", async (store) => {
    const row = rowOf("old", { expiresAt: 1, updatedAt: 0, createdAt: 0, absoluteExpiresAt: 1 });
    await store.insert([row]);
    same(await store.read([row.id]), [row]);
  });

  check("read: the returned bytes are changed → the stored row is not (R42)", async (store) => {
    const row = rowOf("a", { data: bytesOf(40, 7) });
    const given = copy(row);
    await store.insert([given]);
    given.data.fill(0);
    given.id.fill(0);
    const [first] = await store.read([row.id]);
    same([first], [row]);
    (first as SessionRow).data.fill(1);
    same(await store.read([row.id]), [row]);
  });

  check("read: any column → bytes are a plain Uint8Array, numbers are numbers", async (store) => {
    const row = rowOf("a", { userRef: idOf("user"), client: bytesOf(5) });
    await store.insert([row]);
    const [read] = await store.read([row.id]);
    assert.ok(read);
    for (const value of [read.id, read.data, read.userRef, read.client]) {
      assert.equal(Object.getPrototypeOf(value), Uint8Array.prototype);
    }
    for (const value of [
      read.version,
      read.createdAt,
      read.updatedAt,
      read.expiresAt,
      read.absoluteExpiresAt,
    ]) {
      assert.equal(typeof value, "number");
    }
  });

  check("every operation: a malformed id → a miss (R31)", async (store) => {
    const row = rowOf("a");
    await store.insert([row]);
    const shapes: unknown[] = [
      new Uint8Array(0),
      row.id.subarray(0, 31),
      Uint8Array.of(...row.id, 0),
      Buffer.from(row.id).toString("hex"),
      "' OR 1=1 --",
      `x'${Buffer.from(row.id).toString("hex")}' OR '1'='1`,
      { toString: () => "1" },
      { id: row.id },
      [row.id],
      [1, 2, 3],
      0,
      true,
      null,
      undefined,
      Symbol("id"),
    ];
    for (const shape of shapes as Uint8Array[]) {
      same(await store.read([shape]), [null]);
      same(await store.read([shape, row.id]), [null, row]);
      same(await store.delete([shape]), [false]);
      same(await store.update([{ loaded: { ...row, id: shape }, next: { ...row, version: 9 } }]), [false]);
      assert.equal(await store.replace({ ...row, id: shape }, rowOf("b")), false);
      await store.touch([{ id: shape, updatedAt: NOW, expiresAt: NOW }]);
    }
    await assert.rejects(store.insert([{ ...row, id: new Uint8Array(31) }]), TypeError);
    same(await all(store), [row]);
  });

  check("read: an id in another case → a miss (R32)", async (store) => {
    const lower = ascii("abcdefghijklmnopqrstuvwxyzabcdef");
    const upper = ascii("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF");
    const spaces = ascii("abcdefghijklmnopqrstuvwxyz      ");
    const zeros = ascii("abcdefghijklmnopqrstuvwxyz\0\0\0\0\0\0");
    await store.insert([rowOf("a", { id: lower }), rowOf("b", { id: zeros })]);
    same(await store.read([upper, spaces]), [null, null]);
    same(await store.delete([upper]), [false]);
    same(await store.insert([rowOf("c", { id: upper }), rowOf("d", { id: spaces })]), [true, true]);
    assert.equal(await store.count(NOW), 4);
  });

  check("insert: ids of any bytes → stored unchanged", async (store) => {
    const ids = [new Uint8Array(32), new Uint8Array(32).fill(0xff), bytesOf(32, 0x5c), bytesOf(32, 0x80)];
    const given = ids.map((id, index) => rowOf(`r${index}`, { id }));
    same(
      await store.insert(given),
      given.map(() => true),
    );
    same(await store.read(ids), given);
  });
}

function inserting(check: Check): void {
  check("insert: batches of 1, 2 and 100 → rows are added", async (store) => {
    for (const size of [1, 2, 100]) {
      const batch = rows(size, `batch of ${size}, `);
      same(
        await store.insert(batch),
        batch.map(() => true),
      );
      same(await store.read(batch.map(({ id }) => id)), batch);
    }
    assert.equal(await store.count(NOW), 103);
    same(await store.insert([]), []);
  });

  check("insert: one id exists → its row is unchanged, the others are added", async (store) => {
    const [a, b, c] = rows(3);
    await store.insert([b]);
    const other = { ...b, data: bytesOf(3), version: b.version + 1 };
    same(await store.insert([a, other, c]), [true, false, true]);
    same(await store.insert([other]), [false]);
    same(await store.read([a.id, b.id, c.id]), [a, b, c]);
    same(await store.insert([{ ...b, version: b.version }]), [false]);
  });

  check("insert: extreme values (2^53-1, 0, empty, 1 MiB, null) → returned unchanged", async (store) => {
    const given = [
      rowOf("most", { version: Number.MAX_SAFE_INTEGER }),
      rowOf("least", { version: 0 }),
      rowOf("empty", { data: new Uint8Array(0), client: new Uint8Array(0) }),
      rowOf("large", { data: bytesOf(1_048_576, 1) }),
      rowOf("every byte", { data: Uint8Array.from({ length: 256 }, (_, byte) => byte) }),
      rowOf("user", { userRef: idOf("user"), client: bytesOf(200, 3) }),
      rowOf("times", { createdAt: 0, updatedAt: 1, expiresAt: 2, absoluteExpiresAt: 8.64e15 }),
    ];
    await store.insert(given);
    same(await store.read(given.map(({ id }) => id)), given);
    for (const row of given) same(await store.read([row.id]), [row]);
  });
}

function updating(check: Check): void {
  check("update: the version matches, batches of 1, 2 and 100 → rows are written", async (store) => {
    for (const size of [1, 2, 100]) {
      const batch = rows(size, `batch of ${size}, `);
      await store.insert(batch);
      const updates = batch.map((loaded, index) => ({
        loaded,
        next: nextOf(loaded, { data: bytesOf(index) }),
      }));
      same(
        await store.update(updates),
        batch.map(() => true),
      );
      same(
        await store.read(batch.map(({ id }) => id)),
        updates.map(({ next }) => next),
      );
    }
    same(await store.update([]), []);
  });

  check(
    "update: another version, a missing row and a match → reports which rows were applied (promise 2)",
    async (store) => {
      const batch = rows(9);
      await store.insert(batch);
      const meanwhile = batch.slice(0, 3).map((loaded) => nextOf(loaded, { data: bytesOf(4, 4) }));
      await store.update(meanwhile.map((next, index) => ({ loaded: batch[index] as SessionRow, next })));
      await store.delete(batch.slice(3, 6).map(({ id }) => id));

      // No two writes of a row share a version, because a store may use it to identify a write.
      const updates = batch.map((loaded) => ({
        loaded,
        next: nextOf(loaded, { version: loaded.version + 2_000 }),
      }));
      same(await store.update(updates), [false, false, false, false, false, false, true, true, true]);
      same(await store.read(batch.map(({ id }) => id)), [
        ...meanwhile,
        null,
        null,
        null,
        ...updates.slice(6).map(({ next }) => next),
      ]);
      same(await store.update(updates.slice(0, 1)), [false]);
      same(await store.update(updates.slice(3, 4)), [false]);
    },
  );

  check("update: a missing row → nothing is inserted (promise 3)", async (store) => {
    const row = rowOf("a");
    same(await store.update([{ loaded: row, next: nextOf(row) }]), [false]);
    const more = rows(5);
    same(
      await store.update(more.map((loaded) => ({ loaded, next: nextOf(loaded) }))),
      more.map(() => false),
    );
    assert.equal(await store.count(0), 0);
  });

  check(
    "update: two updates of the same version → the second reports that it was not applied",
    async (store) => {
      const row = rowOf("a");
      await store.insert([row]);
      const answers = await Promise.all(
        [1, 2, 3, 4].map((nth) =>
          store.update([{ loaded: row, next: nextOf(row, { version: 1_000 + nth }) }]),
        ),
      );
      assert.equal(answers.flat().filter(Boolean).length, 1);
    },
  );

  check("update: user, client and times change → createdAt and the absolute limit stay", async (store) => {
    const row = rowOf("a", { userRef: idOf("x"), client: bytesOf(9) });
    await store.insert([row]);
    const next = { ...nextOf(row), userRef: null, client: null, updatedAt: NOW + 5, expiresAt: NOW + 6 };
    await store.update([
      { loaded: row, next: { ...next, createdAt: 1, absoluteExpiresAt: NOW + DAY * 900 } },
    ]);
    same(await store.read([row.id]), [next]);
    const back = nextOf(next, { userRef: idOf("y"), version: Number.MAX_SAFE_INTEGER });
    same(await store.update([{ loaded: next, next: back }]), [true]);
    same(await store.read([row.id]), [back]);
  });

  check("update: versions up to 2^53-1 → compared exactly", async (store) => {
    const row = rowOf("a", { version: Number.MAX_SAFE_INTEGER });
    await store.insert([row]);
    const wrong = { ...row, version: Number.MAX_SAFE_INTEGER - 1 };
    same(await store.update([{ loaded: wrong, next: nextOf(row, { version: 1 }) }]), [false]);
    same(await store.update([{ loaded: row, next: nextOf(row, { version: 1 }) }]), [true]);
  });
}

function replacing(check: Check): void {
  check("replace: the version matches → the old row ends and the new one is added (R40)", async (store) => {
    const [old, next, other] = rows(3);
    await store.insert([old, other]);
    assert.equal(await store.replace(old, next), true);
    same(await store.read([old.id, next.id, other.id]), [null, next, other]);
  });

  check("replace: the row is gone or has another version → nothing changes (promise 3)", async (store) => {
    const [old, next] = rows(2);
    assert.equal(await store.replace(old, next), false);
    assert.equal(await store.count(0), 0);
    const newer = nextOf(old);
    await store.insert([newer]);
    assert.equal(await store.replace(old, next), false);
    same(await store.read([old.id, next.id]), [newer, null]);
  });

  check("replace: the new id exists → nothing changes", async (store) => {
    const [old, next] = rows(2);
    await store.insert([old, next]);
    assert.equal(await store.replace(old, { ...next, data: bytesOf(2) }), false);
    same(await store.read([old.id, next.id]), [old, next]);
  });

  check("replace: the same id → the row starts over, times included", async (store) => {
    const [old, other] = rows(2);
    await store.insert([old, other]);
    const anew = {
      ...nextOf(old),
      createdAt: old.createdAt + 5_000,
      absoluteExpiresAt: old.absoluteExpiresAt + 5_000,
    };
    assert.equal(await store.replace(old, anew), true);
    same(await store.read([old.id, other.id]), [anew, other]);
    assert.equal(await store.replace(old, { ...anew, version: old.version + 7 }), false);
    same(await store.read([old.id]), [anew]);
  });

  check("replace: several at once for one row → exactly one is applied", async (store) => {
    const [old, ...next] = rows(5);
    await store.insert([old]);
    const answers = await Promise.all(next.map((row) => store.replace(old, row)));
    assert.equal(answers.filter(Boolean).length, 1);
    assert.equal(await store.count(0), 1);
  });
}

function touching(check: Check): void {
  check("touch: batches of 1, 2 and 100 → updatedAt and expiresAt move, the version stays", async (store) => {
    for (const size of [1, 2, 100]) {
      const batch = rows(size, `batch of ${size}, `);
      await store.insert(batch);
      const times = { updatedAt: NOW + 1_000, expiresAt: NOW + 1_000 + DAY };
      await store.touch(batch.map(({ id }) => ({ id, ...times })));
      same(
        await store.read(batch.map(({ id }) => id)),
        batch.map((row) => ({ ...row, ...times })),
      );
    }
    await store.touch([]);
  });

  check("touch: a time past the absolute limit → capped at that limit (R16)", async (store) => {
    const [a, b] = [rowOf("a", { absoluteExpiresAt: NOW + 2 * DAY }), rowOf("b")];
    await store.insert([a, b]);
    const times = { updatedAt: NOW + DAY, expiresAt: NOW + 3 * DAY };
    await store.touch([
      { id: a.id, ...times },
      { id: b.id, ...times },
    ]);
    same(await store.read([a.id, b.id]), [
      { ...a, updatedAt: NOW + DAY, expiresAt: NOW + 2 * DAY },
      { ...b, ...times },
    ]);
  });

  check("touch: a missing row → skipped, and not recreated (promise 3)", async (store) => {
    const [a, b] = rows(2);
    await store.insert([a]);
    const times = { updatedAt: NOW + 1, expiresAt: NOW + DAY };
    await store.touch([
      { id: b.id, ...times },
      { id: a.id, ...times },
    ]);
    same(await all(store), [{ ...a, ...times }]);
  });

  check("touch: the row was saved or touched later → its times stay", async (store) => {
    const batch = rows(3);
    await store.insert(batch);
    const later = batch.map((row) => ({ ...nextOf(row), updatedAt: NOW + 500, expiresAt: NOW + 20 * DAY }));
    await store.update(batch.slice(0, 2).map((loaded, index) => ({ loaded, next: later[index]! })));
    const late = { updatedAt: NOW + 400, expiresAt: NOW + DAY };
    // Once with the same difference between the two times in the whole batch, and once with different ones.
    await store.touch(batch.map(({ id }) => ({ id, ...late })));
    await store.touch(batch.map(({ id }, index) => ({ id, ...late, expiresAt: NOW + DAY + index })));
    same(await store.read(batch.map(({ id }) => id)), [
      later[0],
      later[1],
      { ...batch[2], ...late, expiresAt: NOW + DAY + 2 },
    ]);
    await store.touch([{ id: batch[0]!.id, updatedAt: NOW + 500, expiresAt: NOW + 25 * DAY }]);
    same(await store.read([batch[0]!.id]), [{ ...later[0], expiresAt: NOW + 25 * DAY }]);
  });

  check("touch: a new time → the row expires by it", async (store) => {
    const [row] = rows(1);
    await store.insert([row]);
    await store.touch([{ id: row.id, updatedAt: NOW, expiresAt: NOW + 20 * DAY }]);
    assert.equal(await expireAll(store, { before: NOW + 20 * DAY - 1 }), 0);
    assert.equal(await expireAll(store, { before: NOW + 20 * DAY }), 1);
  });
}

function deleting(check: Check): void {
  check("delete: batches of 1, 2 and 100 → reports which rows existed", async (store) => {
    for (const size of [1, 2, 100]) {
      const batch = rows(size, `batch of ${size}, `);
      const kept = rowOf(`kept ${size}`);
      await store.insert([...batch, kept]);
      const ids = batch.map(({ id }) => id);
      same(
        await store.delete(ids),
        batch.map(() => true),
      );
      same(
        await store.delete(ids),
        batch.map(() => false),
      );
      same(await store.read([kept.id]), [kept]);
    }
    same(await store.delete([]), []);
  });

  check("delete: some rows exist, some do not → reports each", async (store) => {
    const [a, b, c, d] = rows(4);
    await store.insert([a, c]);
    same(await store.delete([a.id, b.id, c.id, d.id]), [true, false, true, false]);
    assert.equal(await store.count(0), 0);
  });

  check("delete: any version → the row is deleted", async (store) => {
    const [row] = rows(1);
    await store.insert([row]);
    await store.update([{ loaded: row, next: nextOf(row) }]);
    same(await store.delete([row.id]), [true]);
  });
}

function users(check: Check): void {
  const ann = idOf("ann");
  const older = idOf("ann under an older key");
  const bob = idOf("bob");
  const some = (): [SessionRow, SessionRow, SessionRow, SessionRow, SessionRow] => [
    rowOf("a1", { userRef: ann, createdAt: NOW - 3 }),
    rowOf("a2", { userRef: older, createdAt: NOW - 1 }),
    rowOf("a3", { userRef: ann, createdAt: NOW - 2, expiresAt: NOW - 1 }),
    rowOf("b1", { userRef: bob, createdAt: NOW }),
    rowOf("nobody's", { createdAt: NOW }),
  ];

  check("listByUser: several references → the rows of any of them, newest first (R36)", async (store) => {
    const [a1, a2, a3, b1, none] = some();
    await store.insert([a1, a2, a3, b1, none]);
    same(await store.listByUser([ann, older], 10), [a2, a3, a1].map(infoOf));
    same(await store.listByUser([older, ann], 2), [a2, a3].map(infoOf));
    same(await store.listByUser([bob], 10), [infoOf(b1)]);
    same(await store.listByUser([idOf("nobody")], 10), []);
    same(await store.listByUser([], 10), []);
  });

  check("deleteByUser: a user → all rows of that user and no others are deleted", async (store) => {
    const [a1, a2, a3, b1, none] = some();
    await store.insert([a1, a2, a3, b1, none]);
    assert.equal(await store.deleteByUser([ann, older]), 3);
    assert.equal(await store.deleteByUser([ann, older]), 0);
    assert.equal(await store.deleteByUser([]), 0);
    same(await all(store), [b1, none].toSorted(byId));
  });

  check("deleteByUser: `only` → one row is deleted, if it belongs to that user", async (store) => {
    const [a1, a2, a3, b1, none] = some();
    await store.insert([a1, a2, a3, b1, none]);
    assert.equal(await store.deleteByUser([ann, older], { only: b1.id }), 0);
    assert.equal(await store.deleteByUser([ann, older], { only: new Uint8Array(3) }), 0);
    assert.equal(await store.deleteByUser([ann, older], { only: a2.id }), 1);
    same(await store.read([a1.id, a2.id, a3.id, b1.id]), [a1, null, a3, b1]);
  });

  check("deleteByUser with `except` → keeps those", async (store) => {
    const [a1, a2, a3, b1, none] = some();
    await store.insert([a1, a2, a3, b1, none]);
    assert.equal(
      await store.deleteByUser([ann, older], { except: [a2.id, idOf("x"), new Uint8Array(1)] }),
      2,
    );
    same(await store.listByUser([ann, older], 10), [infoOf(a2)]);
    assert.equal(await store.deleteByUser([ann, older], { only: a2.id, except: [a2.id] }), 0);
    assert.equal(await store.deleteByUser([ann, older], { except: [] }), 1);
    assert.equal(await store.count(0), 2);
  });
}

function expiring(check: Check): void {
  check(
    "deleteExpired: at expiresAt and one millisecond before → deleted at that time only (promise 5)",
    async (store) => {
      await store.insert([
        rowOf("gone", { expiresAt: NOW }),
        rowOf("long gone", { expiresAt: NOW - 40 * DAY }),
        rowOf("alive", { expiresAt: NOW + 1 }),
      ]);
      assert.equal(await expireAll(store, { before: NOW }), 2);
      same(await all(store), [rowOf("alive", { expiresAt: NOW + 1 })]);
    },
  );

  check("deleteFuture: rows created in the future → deleted in bounded steps (R20)", async (store) => {
    if (store.deleteFuture === undefined) return;
    const ahead = { createdAt: NOW + 900 * DAY, updatedAt: NOW + 900 * DAY };
    const end = { expiresAt: NOW + 930 * DAY, absoluteExpiresAt: NOW + 930 * DAY };
    const left = Array.from({ length: 5 }, (_, index) => rowOf(`left ${index}`, { ...ahead, ...end }));
    const kept = [
      rowOf("live"),
      rowOf("long", { expiresAt: NOW + 930 * DAY, absoluteExpiresAt: NOW + 930 * DAY }),
      rowOf("soon", { ...ahead, expiresAt: NOW + DAY, absoluteExpiresAt: NOW + DAY }),
    ];
    await store.insert([...left, ...kept]);
    const query = { createdAfter: NOW + DAY, expiresAfter: NOW + 400 * DAY, limit: 2 };
    const steps: number[] = [];
    do steps.push(await store.deleteFuture(query));
    while (steps.at(-1)! > 0);
    same(steps, [2, 2, 1, 0]);
    same(
      (await store.read([...left, ...kept].map(({ id }) => id))).map((row) => row !== null),
      [false, false, false, false, false, true, true, true],
    );
  });

  check(
    "deleteExpired: more rows than the limit → bounded steps with a cursor to the end (R34)",
    async (store) => {
      const batch = Array.from({ length: 230 }, (_, nth) =>
        rowOf(`r${nth}`, { expiresAt: nth % 3 === 0 ? NOW + 1 + nth : NOW - (nth % 7) * DAY - nth }),
      );
      await store.insert(batch);
      const due = batch.filter(({ expiresAt }) => expiresAt <= NOW).length;
      let cursor: ExpireQuery["cursor"] = null;
      let deleted = 0;
      let steps = 0;
      let told = 0;
      do {
        const step = await store.deleteExpired(queryOf({ before: NOW, limit: 20, cursor }));
        assert.ok(step.deleted <= 20);
        const { fraction = told } = step;
        assert.ok(fraction >= told && fraction <= 1, "reported progress never decreases");
        told = fraction;
        deleted += step.deleted;
        cursor = step.cursor;
        assert.ok(++steps < 60, "a run terminates");
      } while (cursor);
      assert.equal(deleted, due);
      assert.ok(steps >= due / 20);
      assert.equal(await store.count(0), batch.length - due);
    },
  );

  check("deleteExpired: a limit of 1, and no expired rows → finishes", async (store) => {
    assert.equal(await expireAll(store, { before: NOW }), 0);
    await store.insert(rows(5).map((row) => ({ ...row, expiresAt: NOW })));
    assert.equal(await expireAll(store, { before: NOW, limit: 1 }), 5);
    assert.equal(await expireAll(store, { before: NOW, limit: 1 }), 0);
  });

  check("deleteExpired: maximum ages of creation and of last use → older rows are deleted", async (store) => {
    const old = rowOf("old", { createdAt: NOW - 10 * DAY, updatedAt: NOW });
    const idle = rowOf("idle", { createdAt: NOW - DAY, updatedAt: NOW - DAY });
    const fresh = rowOf("fresh", { createdAt: NOW, updatedAt: NOW });
    const gone = rowOf("gone", { createdAt: NOW, updatedAt: NOW, expiresAt: NOW });
    await store.insert([old, idle, fresh, gone]);
    assert.equal(await expireAll(store, { before: 0, createdBefore: NOW - 10 * DAY }), 0);
    assert.equal(await expireAll(store, { before: 0, createdBefore: NOW - 10 * DAY + 1 }), 1);
    assert.equal(await expireAll(store, { before: 0, updatedBefore: NOW - DAY }), 0);
    assert.equal(await expireAll(store, { before: NOW, updatedBefore: NOW - DAY + 1, createdBefore: 0 }), 2);
    same(await all(store), [fresh]);
  });

  check("deleteExpired: by age → scans the whole table in bounded steps", async (store) => {
    const batch = rows(500).map((row, nth) => ({ ...row, createdAt: nth % 2 ? NOW : NOW - DAY }));
    for (let from = 0; from < batch.length; from += 100) await store.insert(batch.slice(from, from + 100));
    assert.equal(await expireAll(store, { before: 0, createdBefore: NOW, limit: 30 }), 250);
    assert.equal(await store.count(0), 250);
  });

  check("count: live and expired rows → counts the rows that expire after now", async (store) => {
    assert.equal(await store.count(NOW), 0);
    await store.insert([
      rowOf("a", { expiresAt: NOW }),
      rowOf("b", { expiresAt: NOW + 1 }),
      rowOf("c", { expiresAt: NOW + DAY }),
    ]);
    assert.equal(await store.count(NOW - 1), 3);
    assert.equal(await store.count(NOW), 2);
    assert.equal(await store.count(NOW + DAY), 0);
  });
}

function walking(check: Check): void {
  check("scan: after an id → rows in ascending order of id", async (store) => {
    const batch = rows(25);
    batch.push(
      rowOf("least", { id: new Uint8Array(32) }),
      rowOf("most", { id: new Uint8Array(32).fill(0xff) }),
    );
    await store.insert(batch);
    const ordered = batch.toSorted(byId);
    same(await store.scan(null, 100), ordered);
    const seen: SessionRow[] = [];
    for (;;) {
      const page = await store.scan(seen.at(-1)?.id ?? null, 10);
      if (page.length === 0) break;
      seen.push(...page);
    }
    same(seen, ordered);
    same(await store.scan(ordered[3]?.id ?? null, 2), ordered.slice(4, 6));
    same(await store.scanInfo(null, 100), ordered.map(infoOf));
    same(await store.scanInfo(ordered[3]?.id ?? null, 2), ordered.slice(4, 6).map(infoOf));
    same(await store.scan(new Uint8Array(32).fill(0xff), 2), []);
  });
}

function leasing(check: Check): void {
  check("lease: held, released, renewed and expired → one holder at a time", async (store) => {
    assert.equal(await store.lease("expire", "a", NOW + 100, NOW), true);
    assert.equal(await store.lease("expire", "b", NOW + 100, NOW), false);
    assert.equal(await store.lease("reseal", "b", NOW + 100, NOW), true, "another name is another lease");
    assert.equal(await store.lease("expire", "a", NOW + 200, NOW + 50), true, "renewed");
    assert.equal(await store.lease("expire", "a", NOW + 200, NOW + 50), true, "renewed to the same time");
    assert.equal(await store.lease("expire", "b", NOW + 300, NOW + 199), false);
    assert.equal(await store.lease("expire", "b", NOW + 300, NOW + 200), true, "expired, so acquired");
    assert.equal(await store.lease("expire", "a", NOW + 300, NOW + 210), false);
    assert.equal(await store.lease("expire", "a", NOW + 210, NOW + 210), false, "released by another holder");
    if (store.leases !== undefined) {
      const held = (await store.leases()).filter(({ name }) => name === "expire" || name === "reseal");
      const shown = held.map(({ name, holder, until }) => [name, holder, until]).toSorted();
      assert.deepEqual(
        shown,
        [
          ["expire", "b", NOW + 300],
          ["reseal", "b", NOW + 100],
        ],
        "leases, as stored",
      );
    }
    assert.equal(await store.lease("expire", "b", NOW + 220, NOW + 220), true, "given back");
    assert.equal(await store.lease("expire", "a", NOW + 300, NOW + 220), true);
    assert.equal(await store.lease("expire", "a", 0, NOW + 230), true, "released with until = 0");
    assert.equal(await store.lease("expire", "b", NOW + 300, NOW + 230), true);
  });

  check("lease: several holders at once → exactly one gets it", async (store) => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, nth) => store.lease("expire", `holder ${nth}`, NOW + 100, NOW)),
    );
    assert.equal(answers.filter(Boolean).length, 1);
  });
}

function takingOver(check: Check): void {
  check(
    "takeOver: the same id twice, if the store has takeOver → imported once only (promise 3)",
    async (store) => {
      if (store.takeOver === undefined) return;
      const [a, b, c, d] = rows(4, "taken over ");
      await store.insert([b]);
      same(await store.takeOver([a, b], { dryRun: true }), ["imported", "present"]);
      same(await all(store), [b]);
      same(await store.takeOver([a, nextOf(b), c]), ["imported", "present", "imported"]);
      same((await all(store)).toSorted(byId), [a, b, c].toSorted(byId));
      await store.delete([a.id, b.id]);
      const left = ["before", "before", "before", "imported"];
      same(await store.takeOver([a, b, c, d], { dryRun: true }), left);
      same(await store.takeOver([a, b, c, d]), left);
      same((await all(store)).toSorted(byId), [c, d].toSorted(byId));
      same(await store.takeOver([]), []);
    },
  );

  check(
    "takeOver: several rows with one id → the first is imported, the others are reported",
    async (store) => {
      if (store.takeOver === undefined) return;
      const [a, b, c] = rows(3, "twice ");
      await store.insert([b]);
      const twice = [a, nextOf(b), nextOf(a), a, c, b];
      const answers = ["imported", "present", "before", "before", "imported", "before"];
      same(await store.takeOver(twice, { dryRun: true }), answers);
      same(await store.takeOver(twice), answers);
      same((await all(store)).toSorted(byId), [a, b, c].toSorted(byId));
    },
  );
}

function linking(check: Check): void {
  const forEach = (sentence: string, body: (store: SessionStore, links: LinkStore) => Promise<void>): void =>
    check(`links, if the store has them: ${sentence}`, async (store) => {
      if (store.links !== undefined) await body(store, store.links);
    });
  /** The rows that are there with one of these links. Entries of rows that are gone may be found as well. */
  const found = async (store: SessionStore, links: readonly Uint8Array[], until = Infinity) => {
    const ids = await store.links!.find(links, until, 100);
    assert.equal(new Set(ids.map(hexOf)).size, ids.length, "each once");
    const there = await store.read(ids);
    return ids.flatMap((id, index) => (there[index] ? hexOf(id) : [])).toSorted();
  };
  const idsOf = (...some: readonly SessionRow[]): string[] => some.map(({ id }) => hexOf(id)).toSorted();
  let serial = 0;
  const link = (name: string): Uint8Array => idOf(`${name} ${process.pid} ${Date.now()} ${serial++}`);
  const linked = (name: string, ...links: readonly Uint8Array[]): SessionRow => rowOf(name, { links });

  forEach("insert → each link finds its rows, and no others", async (store) => {
    const [a, b, c] = [link("a"), link("b"), link("c")];
    const [one, two, three] = [linked("one", a, b), linked("two", a), rowOf("three")];
    same(await store.insert([one, two, three]), [true, true, true]);
    same(await found(store, [a]), idsOf(one, two));
    same(await found(store, [b]), idsOf(one));
    same(await found(store, [c]), []);
    same(await found(store, [a, b, c]), idsOf(one, two));
    same(await found(store, []), []);
    same((await store.links!.find([a], Infinity, 1)).length, 1);
  });

  forEach("read → rows without their links", async (store) => {
    const row = linked("row", link("a"));
    await store.insert([row]);
    const [stored] = await store.read([row.id]);
    same(stored?.links, undefined);
  });

  forEach("insert of an id that exists, twice → its links are found once", async (store) => {
    const a = link("a");
    const row = linked("row", a);
    same(await store.insert([row]), [true]);
    same(await store.insert([row]), [false]);
    same(await found(store, [a]), idsOf(row));
  });

  forEach("find → rows created at the time or before", async (store) => {
    const a = link("a");
    const old = rowOf("old", { links: [a], createdAt: NOW - 2_000 });
    const young = rowOf("young", { links: [a], createdAt: NOW });
    await store.insert([old, young]);
    same(await found(store, [a], NOW - 2_001), []);
    same(await found(store, [a], NOW - 2_000), idsOf(old));
    same(await found(store, [a], NOW), idsOf(old, young));
  });

  forEach("replace → the links of the new row are found, and those of the old row are not", async (store) => {
    const [a, b] = [link("a"), link("b")];
    const old = linked("old", a);
    const next = linked("next", b);
    await store.insert([old]);
    same(await store.replace(old, next), true);
    same(await store.links!.find([a], Infinity, 10), []);
    same(await found(store, [b]), idsOf(next));
    const last = linked("last");
    same(await store.replace(next, last), true);
    same(await store.links!.find([a, b], Infinity, 10), []);
  });

  forEach("replace that loses its race → the links stay as they are", async (store) => {
    const [a, b] = [link("a"), link("b")];
    const old = linked("old", a);
    await store.insert([old]);
    same(await store.replace({ ...old, version: old.version + 1 }, linked("next", b)), false);
    same(await found(store, [a]), idsOf(old));
    same(await store.links!.find([b], Infinity, 10), []);
  });

  forEach("update → its links are found; without links, they stay as they are", async (store) => {
    const [a, b] = [link("a"), link("b")];
    const [one, two] = [linked("one", a), linked("two", a)];
    await store.insert([one, two]);
    const next = nextOf(one, { links: [b] });
    const plain = nextOf(two, { links: undefined });
    const updates = [
      { loaded: one, next },
      { loaded: two, next: plain },
    ];
    same(await store.update(updates), [true, true]);
    same((await found(store, [a])).includes(idsOf(two)[0]!), true);
    same(await found(store, [b]), idsOf(one));
  });

  forEach(
    "forget and sweep → entries of rows that are gone are removed, and others stay",
    async (store, links) => {
      const [a, b] = [link("a"), link("b")];
      const many = Array.from({ length: 300 }, (_, nth) => linked(`row ${nth}`, a, b));
      for (let at = 0; at < 300; at += 100) await store.insert(many.slice(at, at + 100));
      await store.delete(many.slice(0, 4).map(({ id }) => id));
      await links.forget([many[0]!.id]);
      same((await links.find([a], Infinity, 1_000)).map(hexOf).includes(hexOf(many[0]!.id)), false);
      await links.sweep(async () => false);
      await links.sweep();
      same((await links.find([a], Infinity, 1_000)).map(hexOf).toSorted(), idsOf(...many.slice(4)));
      same((await links.find([b], Infinity, 1_000)).length, 296);
      await links.forget([]);
    },
  );

  forEach("a change that the audit trail records → its links change with it", async (store) => {
    if (store.audit === undefined) return;
    const [a, b, c] = [link("a"), link("b"), link("c")];
    const row = linked("row", a);
    const next = linked("next", b);
    await store.audit.commit([{ kind: "insert", row }], () => []);
    same(await found(store, [a]), idsOf(row));
    await store.audit.commit([{ kind: "replace", loaded: row, next }], () => []);
    same(await store.links!.find([a], Infinity, 10), []);
    same(await found(store, [b]), idsOf(next));
    const later = nextOf(next, { links: [c] });
    await store.audit.commit([{ kind: "update", loaded: next, next: later }], () => []);
    same(await found(store, [c]), idsOf(next));
    await assert.rejects(
      store.audit.commit([{ kind: "replace", loaded: later, next: linked("undone", a) }], () => {
        throw new Error("no event");
      }),
    );
    same(await store.links!.find([a], Infinity, 10), []);
    same(await found(store, [c]), idsOf(next));
  });
}

function living(check: Check): void {
  check("lanes: any store → positive numbers", async ({ lanes }) => {
    assert.ok(lanes.read >= 1 && lanes.write >= 1 && lanes.maxBatch >= 1);
  });

  check("migrate: nothing is pending → nothing changes", async (store) => {
    const [row] = rows(1);
    await store.insert([row]);
    await Promise.all([store.migrate(), store.migrate()]);
    same(await all(store), [row]);
  });

  check(
    "close: operations in progress → waits for them; later calls reject; a second close succeeds",
    async (store) => {
      const [row, other] = rows(2);
      const answer = store.insert([row]);
      await store.close();
      same(await answer, [true]);
      await store.close();
      const query = queryOf({ before: 0 });
      const calls = [
        () => store.read([row.id]),
        () => store.insert([row]),
        () => store.update([{ loaded: row, next: nextOf(row) }]),
        () => store.replace(row, other),
        () => store.touch([{ id: row.id, updatedAt: 0, expiresAt: 0 }]),
        () => store.delete([row.id]),
        () => store.listByUser([row.id], 1),
        () => store.deleteByUser([row.id]),
        () => store.deleteExpired(query),
        () => store.count(0),
        () => store.scan(null, 1),
        () => store.scanInfo(null, 1),
        () => store.lease("a", "b", 1, 0),
        () => store.migrate(),
      ];
      for (const call of calls) await assert.rejects(call(), ClosedError);
    },
  );

  check("every operation: many at once → they do not interfere (R42)", async (store) => {
    const batch = rows(60);
    await Promise.all(batch.map((row) => store.insert([row])));
    const next = batch.map((row) => nextOf(row));
    const [updated, read] = await Promise.all([
      Promise.all(batch.map((loaded, nth) => store.update([{ loaded, next: next[nth] as SessionRow }]))),
      Promise.all(batch.map(({ id }) => store.read([id]))),
    ]);
    assert.ok(updated.flat().every(Boolean));
    for (const [nth, [row]] of read.entries()) {
      assert.ok(row);
      same([row], [row.version === batch[nth]?.version ? batch[nth] : next[nth]]);
    }
    same(await store.read(next.map(({ id }) => id)), next);
  });
}

function same(actual: unknown, expected: unknown): void {
  assert.deepStrictEqual(actual, expected);
}

function infoOf({ data, ...rest }: SessionRow): RowInfo {
  return { ...rest, bytes: data.length, head: data.slice(0, 64) };
}

function byId(a: SessionRow, b: SessionRow): number {
  return Buffer.compare(a.id, b.id);
}

async function all(store: SessionStore): Promise<SessionRow[]> {
  return await store.scan(null, 10_000);
}

/** Runs expiry to the end and returns how many rows it deleted. */
async function expireAll(store: SessionStore, query: Partial<ExpireQuery>): Promise<number> {
  let deleted = 0;
  let cursor: ExpireQuery["cursor"] = null;
  do {
    const step = await store.deleteExpired(queryOf({ ...query, cursor }));
    deleted += step.deleted;
    cursor = step.cursor;
  } while (cursor);
  return deleted;
}

function queryOf(query: Partial<ExpireQuery>): ExpireQuery {
  return {
    before: NOW,
    idleTimeout: 30 * DAY,
    absoluteTimeout: 30 * DAY,
    limit: 1_000,
    cursor: null,
    ...query,
  };
}

function idOf(name: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(name).digest());
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function bytesOf(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (seed + index * 31) & 0xff);
}

function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function rowOf(name: string, columns: Partial<SessionRow> = {}): SessionRow {
  return {
    id: idOf(name),
    data: bytesOf(100, name.length),
    version: 1_000_000 + name.length,
    userRef: null,
    createdAt: NOW - 1_000,
    updatedAt: NOW,
    absoluteExpiresAt: NOW + 30 * DAY,
    expiresAt: NOW + 10 * DAY,
    client: null,
    ...columns,
  };
}

/** As many different rows as are taken apart. */
function rows(count: number, prefix = ""): [SessionRow, SessionRow, SessionRow, SessionRow, ...SessionRow[]] {
  const made = Array.from({ length: count }, (_, nth) =>
    rowOf(`${prefix}row ${nth}`, { version: 5_000 + nth }),
  );
  return made as [SessionRow, SessionRow, SessionRow, SessionRow, ...SessionRow[]];
}

function nextOf(row: SessionRow, columns: Partial<SessionRow> = {}): SessionRow {
  return { ...row, data: bytesOf(50, 9), version: row.version + 1_000, updatedAt: NOW + 7, ...columns };
}

function copy(row: SessionRow): SessionRow {
  return structuredClone(row);
}
