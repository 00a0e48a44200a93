import assert from "node:assert/strict";
import { test } from "vitest";
import { storedSessionStorage, type StoredSecondaryStorage } from "../../src/adapters/better-auth.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { eachStore } from "../session/stores.ts";
import { application, email, HeldStorage, plainStorage } from "./better-auth-app.ts";

const token = "abcdefghijklmnopqrstuvwxyzABCDEF";
const sessionText = (userId = "u-42", more: object = {}) =>
  JSON.stringify({
    session: { userId, token, expiresAt: "2030-01-01T00:00:00Z", ...more },
    user: { id: userId },
  });

function managed(store: SessionStore = memoryStore(), keys: string = generateKey()) {
  const clock = fakeClock();
  const sessions = createSessionManager({
    store,
    keys,
    clock: clock.now,
    absoluteTimeout: "400 days",
    idleTimeout: "400 days",
  });
  return { clock, sessions, storage: storedSessionStorage(sessions), store, keys };
}

eachStore((_name, create) => {
  const check = (name: string, body: (store: SessionStore) => Promise<void>) =>
    test(`better-auth: ${name}`, { timeout: 60_000 }, async () => {
      const { store, drop } = await create();
      try {
        await body(store);
      } finally {
        await drop();
      }
    });

  check("set, get and delete → as better-auth expects, until the time to live has passed", async (store) => {
    const { storage, clock } = managed(store);
    for (const key of ["verification:ada@example.com", token]) {
      assert.equal(await storage.get(key), null);
      await storage.set(key, "one", 60);
      await storage.set(key, "two", 60);
      assert.equal(await storage.get(key), "two");
      clock.advance(59_000);
      assert.equal(await storage.get(key), "two");
      clock.advance(1_000);
      assert.equal(await storage.get(key), null);
      await storage.set("forever", "x");
      clock.advance(86_400_000);
      assert.equal(await storage.get("forever"), "x");
      await storage.delete("forever");
      await storage.delete("forever");
      assert.equal(await storage.get("forever"), null);
    }
    await storage.set("verification:ada@example.com", "again", 60);
    assert.equal(await storage.get("verification:ada@example.com"), "again");
  });

  check("getAndDelete: 20 at once, in two processes → one gets the value", async (store) => {
    const first = managed(store);
    const second = managed(store, first.keys);
    for (const key of ["verification:reset", token]) {
      await first.storage.set(key, "once", 60);
      const taken = await Promise.all(
        Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? first : second).storage.getAndDelete(key)),
      );
      assert.deepEqual(
        taken.filter((value) => value !== null),
        ["once"],
      );
      assert.equal(await second.storage.get(key), null);
    }
  });

  check(
    "increment: 40 at once, in two processes → every number once, and a window that does not move",
    async (store) => {
      const first = managed(store);
      const second = managed(store, first.keys);
      const key = "10.0.0.9|/sign-in/email";
      const { increment } = first.storage; // as better-auth calls it
      const counts = await Promise.all(
        Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? increment : second.storage.increment)(key, 60)),
      );
      assert.deepEqual(
        counts.toSorted((a, b) => a - b),
        Array.from({ length: 40 }, (_, n) => n + 1),
      );
      for (const { clock } of [first, second]) clock.advance(59_000);
      assert.equal(await increment(key, 60), 41);
      first.clock.advance(1_000);
      assert.equal(await increment(key, 60), 1, "the window began with the first increment");
    },
  );

  check("what is stored → no key, no user id and no value in clear (promise 6)", async (store) => {
    const { storage } = managed(store);
    await storage.set(token, sessionText("user-nobody-may-read"), 60);
    await storage.set("verification:ada@example.com", "a secret value", 60);
    await storage.increment("10.0.0.9|/sign-in/email", 60);
    const rows = await store.scan(null, 10);
    assert.equal(rows.length, 3);
    for (const row of rows) {
      for (const bytes of [row.id, row.data, row.userRef, row.client]) {
        const text = Buffer.from(bytes ?? []).toString("latin1");
        for (const secret of [
          token,
          "user-nobody",
          "ada@",
          "a secret",
          "10.0.0.9",
          "sign-in",
          "verification",
        ])
          assert.ok(!text.includes(secret), secret);
      }
    }
  });

  check("sessions belong to their user → listed, and ended by forUser (promise 3)", async (store) => {
    const { storage, sessions } = managed(store);
    await storage.set(token, sessionText(), 60);
    const list = JSON.parse((await storage.get("active-sessions-u-42"))!) as object[];
    assert.deepEqual(list, [{ token, expiresAt: Date.parse("2030-01-01T00:00:00Z") }]);
    await storage.set("active-sessions-u-42", "[]", 60);
    await storage.delete("active-sessions-u-42");
    assert.deepEqual(JSON.parse((await storage.get("active-sessions-u-42"))!), list, "it is no index");
    assert.equal(await storage.get("active-sessions-u-43"), null);
    assert.equal((await sessions.forUser("u-42").list()).length, 1);
    assert.equal(await sessions.forUser("u-42").revokeAll(), 1);
    assert.equal(await storage.get(token), null);
    assert.equal(await storage.get("active-sessions-u-42"), null);
  });

  check(
    "a session that was deleted, taken or revoked → a late set does not revive it (promise 3)",
    async (store) => {
      const ends: ((first: ReturnType<typeof managed>) => Promise<unknown>)[] = [
        ({ storage }) => storage.delete(token),
        ({ storage }) => storage.getAndDelete(token),
        ({ sessions }) => sessions.forUser("u-42").revokeAll(),
      ];
      for (const [n, end] of ends.entries()) {
        const first = managed(store);
        const second = managed(store, first.keys);
        const key = `${token}${n}`;
        await first.storage.set(key, sessionText(), 60);
        assert.notEqual(await second.storage.get(key), null); // a refresh begins
        await end({ ...first, storage: rekeyed(first.storage, key) });
        await second.storage.set(key, sessionText("u-42", { updatedAt: "later" }), 3_600);
        assert.equal(await second.storage.get(key), null);
        assert.equal(await first.storage.get(key), null);
        assert.equal(await first.storage.get("active-sessions-u-42"), null);
      }
    },
  );

  check("a session is refreshed and deleted at once, 50 times → it is gone (promise 3)", async (store) => {
    const first = managed(store);
    const second = managed(store, first.keys);
    for (let n = 0; n < 50; n++) {
      const key = `${token}round${n}`;
      await first.storage.set(key, sessionText(), 60);
      await Promise.all([
        second.storage.get(key).then(() => second.storage.set(key, sessionText(), 3_600)),
        first.storage.delete(key),
        first.storage.get(key).then(async (found) => {
          if (found !== null) await first.storage.set(key, sessionText(), 3_600);
        }),
      ]);
      assert.deepEqual([await first.storage.get(key), await second.storage.get(key)], [null, null]);
    }
  });

  check("revoked-sessions-before-… → never moves back", async (store) => {
    const { storage } = managed(store);
    await storage.set("revoked-sessions-before-u-42", "200", 60);
    await storage.set("revoked-sessions-before-u-42", "100", 60);
    assert.equal(await storage.get("revoked-sessions-before-u-42"), "200");
  });

  check(
    "a new key in front of the ring → every entry is found, and changed where it is (promise 9)",
    async (store) => {
      const { storage, keys } = managed(store);
      await storage.set(token, sessionText(), 60);
      await storage.set("verification:a", "one", 60);
      await storage.increment("10.0.0.9|/", 60);
      const rotated = managed(store, `${generateKey()},${keys}`).storage;
      assert.equal(await rotated.get("verification:a"), "one");
      await rotated.set("verification:a", "two", 60);
      assert.equal(await rotated.getAndDelete("verification:a"), "two");
      assert.equal(await rotated.increment("10.0.0.9|/", 60), 2);
      assert.equal(await rotated.get(token), sessionText());
      assert.equal((JSON.parse((await rotated.get("active-sessions-u-42"))!) as object[]).length, 1);
      assert.equal((await store.scan(null, 10)).length, 2);
    },
  );
});

function rekeyed(storage: StoredSecondaryStorage, key: string): StoredSecondaryStorage {
  return { ...storage, delete: () => storage.delete(key), getAndDelete: () => storage.getAndDelete(key) };
}

test('better-auth: sealTo: "cookie" → a TypeError says why', () => {
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey(), sealTo: "cookie" });
  assert.throws(() => storedSessionStorage(sessions), { name: "TypeError", message: /sealTo/ });
});

test("better-auth: the store is down → every call fails (promise 8)", async () => {
  const watched = new WatchedStore(memoryStore());
  const { storage } = managed(watched.store);
  await storage.set(token, sessionText(), 60);
  watched.down("all");
  const calls = [
    () => storage.get(token),
    () => storage.get("active-sessions-u-42"),
    () => storage.set(token, "x", 60),
    () => storage.delete(token),
    () => storage.getAndDelete("verification:a"),
    () => storage.increment("10.0.0.9|/", 60),
  ];
  for (const call of calls) await assert.rejects(call, { status: 503 });
  watched.up();
  assert.equal(await storage.get(token), sessionText());
});

test("better-auth: sessions of the application in the same table → neither sees the other's", async () => {
  const { storage, sessions } = managed();
  const own = await sessions.load(null);
  own.login("u-42");
  await sessions.commit(own);
  assert.equal(await storage.get("active-sessions-u-42"), null);
  await storage.set(token, sessionText(), 60);
  assert.equal((JSON.parse((await storage.get("active-sessions-u-42"))!) as object[]).length, 1);
  assert.equal((await sessions.forUser("u-42").list()).length, 2);
});

/** The races of better-auth#11073, each told whether it was violated. */
const races: Record<string, (storage: HeldStorage) => Promise<boolean>> = {
  async "three logins at once"(storage) {
    const { browser, userId } = await application(storage);
    const waiting = Promise.withResolvers<void>();
    let arrived = 0;
    storage.before = (operation, key) => {
      if (operation !== "get" || key !== `active-sessions-${userId}`) return;
      if (++arrived === 3) waiting.resolve();
      return waiting.promise; // all three have read the index before one writes it
    };
    const browsers = await Promise.all([browser(), browser(), browser()].map((one) => one.logIn()));
    storage.before = () => {};
    const listed = await browsers[0]!.tokens();
    await browsers[0]!.ask("/revoke-other-sessions", {});
    const users = await Promise.all(browsers.map((one) => one.user()));
    return listed.length !== 3 || users.filter((user) => user !== null).length !== 1;
  },
  async "the index is lost"(storage) {
    const { browser, userId } = await application(storage);
    const browsers = [await browser().logIn(), await browser().logIn()] as const;
    await storage.delete(`active-sessions-${userId}`);
    const listed = await browsers[0].tokens();
    await browsers[0].ask("/revoke-other-sessions", {});
    return listed.length !== 2 || (await browsers[1].user()) !== null;
  },
  async "a refresh while the session is revoked"(storage) {
    const { browser } = await application(storage, { updateAge: 0 });
    const [one, other] = [await browser().logIn(), await browser().logIn()];
    const own = ((await one.ask("/get-session")).json as { session: { token: string } }).session.token;
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    storage.before = (operation, key) => {
      if (operation !== "set" || key !== own) return;
      reached.resolve();
      return released.promise;
    };
    const refresh = one.clone().user();
    await reached.promise;
    storage.before = () => {};
    await other.ask("/revoke-session", { token: own });
    released.resolve();
    await refresh;
    return (await one.user()) !== null;
  },
  async "a login while all sessions are revoked"(storage) {
    const { browser, userId } = await application(storage);
    const one = await browser().logIn();
    const other = browser();
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let isHeld = false;
    storage.before = (operation, key) => {
      if (isHeld || operation === "get" || key !== `active-sessions-${userId}`) return;
      isHeld = true; // the list that the revocation writes
      reached.resolve();
      return released.promise;
    };
    const revoked = one.ask("/revoke-sessions", {});
    await reached.promise;
    await other.logIn();
    released.resolve();
    await revoked;
    storage.before = () => {};
    const isIn = (await other.user()) === email;
    return isIn && (await other.tokens()).length !== 1;
  },
};

for (const [name, race] of Object.entries(races)) {
  test(`better-auth: ${name} → no violation, which a plain map has (better-auth#11073, promise 3)`, async () => {
    assert.equal(await race(new HeldStorage(plainStorage())), true, "the race is a race");
    for (let round = 0; round < 20; round++)
      assert.equal(await race(new HeldStorage(realClock().storage)), false);
  });
}

test("better-auth: revoke-session with rows that are preserved in its database → ended in both (better-auth#5144)", async () => {
  const { storage } = realClock();
  const { browser, database } = await application(storage, {
    storeSessionInDatabase: true,
    preserveSessionInDatabase: true,
  });
  const [one, other] = [await browser().logIn(), await browser().logIn()];
  const own = ((await one.ask("/get-session")).json as { session: { token: string } }).session.token;
  assert.equal((await other.ask("/revoke-session", { token: own })).status, 200);
  assert.equal(await one.user(), null);
  assert.equal(await storage.get(own), null);
  const row = database["session"]!.find((session: { token: string }) => session.token === own) as {
    expiresAt: Date;
  };
  assert.ok(row.expiresAt.getTime() <= Date.now());
  assert.equal(await other.user(), email);
});

function realClock() {
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey() });
  return { sessions, storage: storedSessionStorage(sessions) };
}

test("better-auth: login, list, revoke, rate limit, verification → all over the storage", async () => {
  const { storage, sessions } = realClock();
  const { browser, userId } = await application(storage);
  const [one, other] = [await browser().logIn(), await browser().logIn()];
  assert.equal(await one.user(), email);
  assert.equal((await one.tokens()).length, 2);
  assert.equal((await sessions.forUser(userId).list()).length, 2);
  await sessions.forUser(userId).revokeAll();
  assert.deepEqual([await one.user(), await other.user()], [null, null]);
});
