/** The sentences of the store contract about `login`, for stores that have it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { SessionRow } from "../store/row.ts";
import type { SessionLimit } from "../store/session-limit.ts";
import type { SessionStore } from "../store/contract.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 0, 1);
const USER = idOf("user");

type Check = (sentence: string, body: (store: SessionStore) => Promise<void>) => void;

export function loginContract(check: Check): void {
  const limited = (sentence: string, body: (store: SessionStore) => Promise<void>): void =>
    check(`login: ${sentence}`, async (store) => {
      if (store.login !== undefined) await body(store);
    });

  limited("fewer sessions than allowed → the row is inserted, and none ends", async (store) => {
    await store.insert([rowOf(1), rowOf(2)]);
    const next = rowOf(3);
    const result = await store.login!({ loaded: null, next, limit: limitOf(3) });
    assert.deepEqual([result.applied, result.ended, result.refused ?? false], [true, [], false]);
    assert.deepStrictEqual(await store.read([next.id]), [next]);
    assert.deepEqual(await left(store), [1, 2, 3]);
  });

  limited("more sessions than allowed → the oldest end, those of others stay", async (store) => {
    const other = { ...rowOf(0), id: idOf("another user's"), userRef: idOf("another user"), version: 1 };
    const anonymous = { ...rowOf(0), id: idOf("anonymous"), userRef: null };
    await store.insert([4, 2, 5, 1, 3].map((nth) => rowOf(nth)));
    await store.insert([other, anonymous]);
    const result = await store.login!({ loaded: null, next: rowOf(6), limit: limitOf(3) });
    assert.equal(result.applied, true);
    assert.deepStrictEqual(
      result.ended.map(({ id, userRef, createdAt }) => ({ id, userRef, createdAt })).toSorted(byCreation),
      [1, 2, 3].map((nth) => ({ id: rowOf(nth).id, userRef: USER, createdAt: rowOf(nth).createdAt })),
    );
    assert.deepEqual(await left(store), [4, 5, 6]);
    assert.deepStrictEqual(await store.read([other.id, anonymous.id]), [other, anonymous]);
  });

  limited("over a session of the same user → it does not count twice", async (store) => {
    await store.insert([1, 2, 3].map((nth) => rowOf(nth)));
    const result = await store.login!({ loaded: rowOf(2), next: rowOf(4), limit: limitOf(3) });
    assert.deepEqual([result.applied, result.ended], [true, []]);
    assert.deepEqual(await left(store), [1, 3, 4]);
    const refusing = limitOf(3, "refuse");
    assert.equal((await store.login!({ loaded: rowOf(1), next: rowOf(5), limit: refusing })).applied, true);
    assert.deepEqual(await left(store), [3, 4, 5]);
  });

  limited("over an anonymous session → that one ends, and the oldest of the user", async (store) => {
    const anonymous = { ...rowOf(9), userRef: null };
    await store.insert([rowOf(1), rowOf(2), anonymous]);
    const result = await store.login!({ loaded: anonymous, next: rowOf(3), limit: limitOf(2) });
    assert.deepStrictEqual([result.applied, result.ended.map(({ id }) => id)], [true, [rowOf(1).id]]);
    assert.deepEqual(await left(store), [2, 3]);
  });

  limited("sessions that have expired → they do not count, and do not end", async (store) => {
    const expired = [
      rowOf(1, { expiresAt: NOW, updatedAt: NOW - DAY }),
      rowOf(2, { updatedAt: NOW - 11 * DAY }),
      rowOf(3, { createdAt: NOW - 31 * DAY }),
    ];
    await store.insert([...expired, rowOf(4), rowOf(5)]);
    for (const onLimit of ["endOldest", "refuse"] as const) {
      const next = rowOf(onLimit === "refuse" ? 7 : 6);
      const result = await store.login!({ loaded: null, next, limit: limitOf(4, onLimit) });
      assert.deepEqual([result.applied, result.ended], [true, []]);
    }
    assert.deepEqual(await left(store), [1, 2, 3, 4, 5, 6, 7]);
  });

  limited("refuse, and as many sessions as allowed → nothing changes", async (store) => {
    const anonymous = { ...rowOf(9), userRef: null };
    await store.insert([rowOf(1), rowOf(2), anonymous]);
    for (const loaded of [null, anonymous]) {
      const result = await store.login!({ loaded, next: rowOf(3), limit: limitOf(2, "refuse") });
      assert.deepEqual([result.applied, result.ended, result.refused], [false, [], true]);
    }
    assert.deepStrictEqual(await store.read([anonymous.id, rowOf(3).id]), [anonymous, null]);
    assert.deepEqual(await left(store), [1, 2]);
    const below = await store.login!({ loaded: null, next: rowOf(3), limit: limitOf(3, "refuse") });
    assert.equal(below.applied, true);
  });

  limited("the row is there already → nothing ends, and it is not refused", async (store) => {
    await store.insert([1, 2, 3].map((nth) => rowOf(nth)));
    for (const onLimit of ["endOldest", "refuse"] as const) {
      const login = { loaded: null, next: rowOf(3), limit: limitOf(2, onLimit) };
      const result = await store.login!(login);
      assert.deepEqual([result.applied, result.ended, result.refused ?? false], [false, [], false]);
    }
    assert.deepEqual(await left(store), [1, 2, 3]);
  });

  limited("the loaded row was written meanwhile, or is gone → nothing ends", async (store) => {
    const [loaded, gone] = [
      { ...rowOf(9), userRef: null },
      { ...rowOf(8), userRef: null },
    ];
    await store.insert([rowOf(1), rowOf(2), { ...loaded, version: loaded.version + 1 }]);
    for (const one of [loaded, gone]) {
      const result = await store.login!({ loaded: one, next: rowOf(3), limit: limitOf(2) });
      assert.deepEqual([result.applied, result.ended], [false, []]);
    }
    assert.deepEqual(await left(store), [1, 2]);
  });

  limited("rows under several references of the user → all count", async (store) => {
    const older = idOf("the reference under an older key");
    await store.insert([rowOf(1, { userRef: older }), rowOf(2), rowOf(3, { userRef: older })]);
    const limit = { ...limitOf(3), userRefs: [USER, older] };
    const result = await store.login!({ loaded: null, next: rowOf(4), limit });
    assert.deepStrictEqual(
      result.ended.map(({ id }) => id),
      [rowOf(1).id],
    );
    assert.deepEqual(await left(store), [2, 3, 4]);
  });

  limited(
    "64 at once → exactly as many sessions as allowed, and each other one ended once",
    async (store) => {
      const logins = Array.from({ length: 64 }, (_, nth) => nth + 1);
      const login = (nth: number) => store.login!({ loaded: null, next: rowOf(nth), limit: limitOf(3) });
      const results = await Promise.all(logins.map(login));
      assert.ok(results.every(({ applied }) => applied));
      const ended = results.flatMap((result) =>
        result.ended.map(({ id }) => Buffer.from(id).toString("hex")),
      );
      assert.equal(new Set(ended).size, 61);
      assert.equal(ended.length, 61);
      assert.equal((await left(store)).length, 3);
    },
  );

  limited("refuse, 64 at once → exactly as many as allowed are logged in", async (store) => {
    const login = (nth: number) =>
      store.login!({ loaded: null, next: rowOf(nth), limit: limitOf(3, "refuse") });
    const results = await Promise.all(Array.from({ length: 64 }, (_, nth) => login(nth + 1)));
    assert.equal(results.filter(({ applied }) => applied).length, 3);
    assert.equal(results.filter(({ refused }) => refused === true).length, 61);
    assert.equal((await left(store)).length, 3);
  });
}

function limitOf(count: number, onLimit: SessionLimit["onLimit"] = "endOldest"): SessionLimit {
  return { count, onLimit, userRefs: [USER], now: NOW, idleTimeout: 10 * DAY, absoluteTimeout: 30 * DAY };
}

/** The numbers of the rows with a user that are there. */
async function left(store: SessionStore): Promise<number[]> {
  const all = await store.scan(null, 1_000);
  return all
    .filter(({ userRef, version }) => userRef !== null && version > 7_000_000 && version < 7_000_100)
    .map(({ version }) => version - 7_000_000)
    .toSorted((a, b) => a - b);
}

/** The session of a user that was the nth to begin. */
function rowOf(nth: number, columns: Partial<SessionRow> = {}): SessionRow {
  return {
    id: idOf(`login ${nth}`),
    data: new Uint8Array([nth, 2, 3]),
    version: 7_000_000 + nth,
    userRef: USER,
    createdAt: NOW - 100_000 + nth,
    updatedAt: NOW - 1_000,
    absoluteExpiresAt: NOW + 30 * DAY,
    expiresAt: NOW + 10 * DAY,
    client: null,
    ...columns,
  };
}

function byCreation(a: Pick<SessionRow, "createdAt">, b: Pick<SessionRow, "createdAt">): number {
  return a.createdAt - b.createdAt;
}

function idOf(name: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(name).digest());
}
