/** What a drop-in store does after a save whose answer was lost, and when a hook throws while the user changes. */
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import {
  StoredSessionStore,
  type StoredSessionStoreOptions,
} from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import { memoryStore, StoreUnavailableError } from "../../src/index.ts";
import { around, Gate, testKeys, type Fate } from "../session/doubles.ts";

type Values = Record<string, any>;
const userOf = (data: Values) => data["user"] as string | undefined;

/** A store whose next call of one operation fails with an unknown outcome: applied if `lost`, not applied if `failed`. */
function opened(options: Partial<StoredSessionStoreOptions> = {}) {
  const below = memoryStore();
  let next: { operation: string; fate: "lost" | "failed" } | null = null;
  const store = around(below, async (operation, call) => {
    if (operation !== next?.operation) return call();
    const { fate } = next;
    next = null;
    if (fate === "lost") await call();
    throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
  });
  const dropIn = new StoredSessionStore({ store, keys: testKeys, userOf, ...options });
  return {
    dropIn,
    below,
    fail: (operation: string, fate: "lost" | "failed") => void (next = { operation, fate }),
    held: async (id = "id"): Promise<Values | null> => {
      const session = (await dropIn.get(id)) as Values | null;
      if (session === null) return null;
      const { cookie: _cookie, ...data } = session;
      return data;
    },
  };
}

const isUnknown = { outcome: "unknown" };

describe.each(["lost", "failed"] as const)("a save whose answer is lost, and that was %s", (fate) => {
  test("promise 2: the request removes the value and saves again → the value stays removed", async () => {
    const { dropIn, fail, held } = opened();
    await dropIn.set("id", { a: 1, cookie: {} });
    const session = await dropIn.get("id");
    session.draft = true;
    fail("update", fate);
    await assert.rejects(dropIn.set("id", session), isUnknown);
    delete session.draft;
    session.b = 2;
    await dropIn.set("id", session);
    assert.deepEqual(await held(), { a: 1, b: 2 });
  });

  test("promise 2: the request restores the loaded value and saves again → the loaded value is stored", async () => {
    const { dropIn, fail, held } = opened();
    await dropIn.set("id", { a: 1, cookie: {} });
    const session = await dropIn.get("id");
    session.a = 2;
    fail("update", fate);
    await assert.rejects(dropIn.set("id", session), isUnknown);
    session.a = 1;
    await dropIn.set("id", session);
    assert.deepEqual(await held(), { a: 1 });
  });

  test("promise 2: another request saves in between → its changes stay, next to those of the repeated save", async () => {
    const { dropIn, fail, held } = opened();
    await dropIn.set("id", { a: 1, cookie: {} });
    const session = await dropIn.get("id");
    session.a = 2;
    fail("update", fate);
    await assert.rejects(dropIn.set("id", session), isUnknown);
    const other = await dropIn.get("id");
    other.b = 1;
    await dropIn.set("id", other);
    await dropIn.set("id", session);
    assert.deepEqual(await held(), { a: 2, b: 1 });
  });

  test("promise 2: the request saves another value → onConflict is not asked about its own write", async () => {
    const conflicts: unknown[] = [];
    const { dropIn, fail, held } = opened({ onConflict: (conflict) => conflicts.push(conflict) });
    await dropIn.set("id", { a: 1, cookie: {} });
    const session = await dropIn.get("id");
    session.a = 2;
    fail("update", fate);
    await assert.rejects(dropIn.set("id", session), isUnknown);
    session.a = 3;
    await dropIn.set("id", session);
    assert.deepEqual([await held(), conflicts], [{ a: 3 }, []]);
  });

  test("promise 3: a login in place, and the same request logs out again → nobody is logged in", async () => {
    const { dropIn, fail, held } = opened();
    await dropIn.set("id", { basket: 1, cookie: {} });
    const session = await dropIn.get("id");
    session.user = "ada";
    fail("replace", fate);
    await assert.rejects(dropIn.set("id", session), isUnknown);
    delete session.user;
    await dropIn.set("id", session);
    assert.equal((await held())?.["user"], undefined);
    assert.deepEqual(await dropIn.sessions.forUser("ada").list(), []);
  });

  test("R42: another user logs in in place, and the request saves again → nothing of the first user's", async () => {
    const { dropIn, fail, held } = opened();
    await dropIn.set("id", { user: "ada", diary: "hers", cookie: {} });
    const session = await dropIn.get("id");
    session.user = "ben";
    fail("replace", fate);
    await assert.rejects(dropIn.set("id", session), isUnknown);
    session.more = true;
    await dropIn.set("id", session);
    assert.deepEqual(await held(), { user: "ben", more: true });
    await dropIn.set("id", session);
    assert.deepEqual(await held(), { user: "ben", more: true });
  });
});

test("promise 2: a save that another request wrote along, its answer lost → found by its version as well", async () => {
  const gate = new Gate();
  const below = memoryStore();
  let updates = 0;
  const store = around(gate.over(below), async (operation, call) => {
    const answer = await call();
    if (operation === "update" && ++updates === 2)
      throw new StoreUnavailableError("Lost.", { outcome: "unknown" });
    return answer;
  });
  const dropIn = new StoredSessionStore({ store, keys: testKeys });
  await dropIn.set("id", { cookie: {} });
  const [first, writer, joined] = [await dropIn.get("id"), await dropIn.get("id"), await dropIn.get("id")];
  gate.stop("update", "sent" satisfies Fate);
  [first.a, writer.b, joined.c] = [1, 1, 1];
  const saves = [first, writer, joined].map((session) => dropIn.set("id", session));
  await gate.reached;
  gate.open();
  await saves[0];
  await assert.rejects(saves[1]!, isUnknown);
  await assert.rejects(saves[2]!, isUnknown);
  assert.equal(updates, 2);
  delete joined.c;
  await dropIn.set("id", joined);
  const { cookie: _cookie, ...data } = await dropIn.get("id");
  assert.deepEqual(data, { a: 1, b: 1 });
});

test("koa-session, promise 2: a lost save, and the request removes the value → it stays removed", async () => {
  const below = memoryStore();
  let lose = false;
  const store = around(below, async (operation, call) => {
    const answer = await call();
    if (operation === "update" && lose) {
      lose = false;
      throw new StoreUnavailableError("Lost.", { outcome: "unknown" });
    }
    return answer;
  });
  const dropIn = new StoredSessionKoaStore({ store, keys: testKeys });
  const ctx = {};
  const save = (session: Values) => dropIn.set("id", session, 86_400_000, { ctx });
  await save({ a: 1, _expire: Date.now() + 86_400_000, _maxAge: 86_400_000 });
  const session = (await dropIn.get("id", 86_400_000, { ctx }))!;
  lose = true;
  await assert.rejects(save({ ...session, draft: true }), isUnknown);
  await save({ ...session, b: 1 });
  const { a, b, draft } = (await dropIn.get("id", 86_400_000, { ctx: {} }))!;
  assert.deepEqual({ a, b, draft }, { a: 1, b: 1, draft: undefined });
});

describe("R43: a hook throws while a save changes the user", () => {
  const thrown = new RangeError("No.");

  test("onConflict, at a login in place → the session ends", async () => {
    const onConflict = () => {
      throw thrown;
    };
    const { dropIn, held } = opened({ onConflict });
    await dropIn.set("id", { k: 0, cookie: {} });
    const [login, other] = [await dropIn.get("id"), await dropIn.get("id")];
    other.k = 1;
    await dropIn.set("id", other);
    Object.assign(login, { k: 2, user: "ada" });
    await assert.rejects(dropIn.set("id", login), thrown);
    assert.equal(await held(), null);
  });

  test("onConflict, without a change of user → the save fails, and the session stays", async () => {
    const onConflict = () => {
      throw thrown;
    };
    const { dropIn, held } = opened({ onConflict });
    await dropIn.set("id", { k: 0, cookie: {} });
    const [mine, other] = [await dropIn.get("id"), await dropIn.get("id")];
    other.k = 1;
    await dropIn.set("id", other);
    mine.k = 2;
    await assert.rejects(dropIn.set("id", mine), thrown);
    assert.deepEqual(await held(), { k: 1 });
  });

  test("userOf, about what is left for another user → the session ends", async () => {
    const { dropIn, held } = opened({
      userOf: (data) => {
        if (data["user"] === "ben" && data["tenant"] === undefined) throw thrown;
        return userOf(data);
      },
    });
    await dropIn.set("id", { user: "ada", tenant: "t", cookie: {} });
    const session = await dropIn.get("id");
    session.user = "ben";
    await assert.rejects(dropIn.set("id", session), thrown);
    assert.equal(await held(), null);
  });

  test("the database fails instead → the session stays, so that the save can be repeated", async () => {
    const { dropIn, fail, held } = opened();
    await dropIn.set("id", { user: "ada", cookie: {} });
    const session = await dropIn.get("id");
    session.user = "ben";
    fail("replace", "failed");
    await assert.rejects(dropIn.set("id", session), isUnknown);
    assert.deepEqual(await held(), { user: "ada" });
    await dropIn.set("id", session);
    assert.deepEqual(await held(), { user: "ben" });
  });
});

test("R42: what is left for another user belongs to somebody else by `userOf` → a TypeError, and the session ends", async () => {
  const { dropIn, held } = opened({ userOf: (data) => (data["acting"] ?? data["user"]) as string });
  await dropIn.set("id", { acting: "ada", user: "ben", diary: "hers", cookie: {} });
  const session = await dropIn.get("id");
  delete session.acting; // ben, by a key that an earlier request set
  await expect(dropIn.set("id", session)).rejects.toThrow(/Set every key that `userOf` reads/);
  assert.equal(await held(), null);
});
