/** The store of AdonisJS on every database, called as `Session` of @adonisjs/session does it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "vitest";
import { adonisSessionStore, taggedId } from "../../src/adapters/drop-in/adonisjs.ts";
import { generateKey, memoryStore } from "../../src/index.ts";
import { handleOf } from "../../src/session/handle.ts";
import { rowIdOf } from "../../src/session/token.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { eachStore } from "../session/stores.ts";

const config = { age: "2h", cookieName: "adonis_session" };
const hour = 3_600_000;

function opened(store: SessionStore = memoryStore(), options: object = {}) {
  const clock = fakeClock();
  const factory = adonisSessionStore({ store, keys: generateKey(), clock: clock.now, ...options });
  return {
    clock,
    factory,
    /** The store of a request that has this id in its cookie. */
    request: (cookie?: string) =>
      factory({ request: { cookie: (_name, missing) => cookie ?? missing } }, config),
    collection: () => factory(null, config),
  };
}

type Opened = ReturnType<typeof opened>;

/** A stored session; its id. */
async function visit({ request }: Opened, data: object, user?: string): Promise<string> {
  const id = randomUUID();
  const store = request();
  await store.read(id);
  if (user !== undefined) await store.tag(id, user);
  await store.write(id, data);
  return id;
}

eachStore((_name, create) => {
  const check = (name: string, body: (store: SessionStore) => Promise<void>) =>
    test(`AdonisJS: ${name}`, { timeout: 60_000 }, async () => {
      const { store, drop } = await create();
      try {
        await body(store);
      } finally {
        await drop();
      }
    });

  check(
    "write, read, touch and destroy → as AdonisJS expects, until `age` has passed (promise 5)",
    async (store) => {
      const app = opened(store);
      const data = { cart: ["tea"], at: new Date(0), nested: { n: 1 } };
      const id = await visit(app, data);
      assert.deepEqual(await app.request(id).read(id), data);
      app.clock.advance(2 * hour - 1);
      const store2 = app.request(id);
      assert.deepEqual(await store2.read(id), data);
      await store2.touch(id);
      const touched = async () =>
        (await store.read([rowIdOf(Buffer.from(id))]))[0]!.expiresAt > app.clock.now() + hour;
      while (!(await touched())) await turn(); // it is sent behind the answer
      app.clock.advance(hour);
      assert.deepEqual(await app.request(id).read(id), data);
      app.clock.advance(hour);
      assert.equal(await app.request(id).read(id), null);
      const other = await visit(app, data);
      await app.request(other).destroy(other);
      await app.request(other).destroy(other);
      assert.equal(await app.request(other).read(other), null);
    },
  );

  check(
    "parallel requests change other keys → all are kept; an untouched session is not written (promise 2)",
    async (store) => {
      const app = opened(store);
      const id = await visit(app, { kept: 1 });
      const names = ["a", "b", "c", "d", "e"];
      const requests = names.map(() => app.request(id));
      const loaded = await Promise.all(requests.map((one) => one.read(id)));
      await Promise.all(requests.map((one, n) => one.write(id, { ...loaded[n], [names[n]!]: n })));
      assert.deepEqual(await app.request(id).read(id), { kept: 1, a: 0, b: 1, c: 2, d: 3, e: 4 });
    },
  );

  check(
    "a session that ended while a request ran → its write, touch and tag restore nothing (promise 3, R38)",
    async (store) => {
      const app = opened(store);
      const ends: ((id: string) => Promise<unknown>)[] = [
        (id) => app.request(id).destroy(id),
        () => app.factory.sessions.forUser("u-42").revokeAll(),
        (id) => app.collection().destroy(taggedId(id)),
      ];
      for (const end of ends) {
        const id = await visit(app, { n: 1 }, "u-42");
        const late = app.request(id);
        await late.read(id);
        await end(id);
        await late.write(id, { n: 2 });
        await late.touch(id);
        await late.tag(id, "u-43").catch(() => {});
        await late.write(id, { n: 3 });
        assert.equal(await app.request(id).read(id), null);
        assert.deepEqual(await app.request().tagged("u-42"), []);
        assert.equal(await app.factory.sessions.count(), 0);
      }
    },
  );

  check("tag, untag and tagged → by users; the ids open nothing, and end a session (R2)", async (store) => {
    const app = opened(store);
    const [one, two] = [await visit(app, { n: 1 }, "u-42"), await visit(app, { n: 2 }, "u-42")];
    const other = await visit(app, { n: 3 });
    await app.request(other).tag(other, 7);
    const tagged = await app.request(one).tagged("u-42");
    assert.deepEqual(
      tagged.map(({ id, data }) => `${id} ${data["n"]}`).toSorted(),
      [`${taggedId(one)} 1`, `${taggedId(two)} 2`].toSorted(),
    );
    assert.deepEqual(await app.collection().tagged(7), [{ id: taggedId(other), data: { n: 3 } }]);
    assert.deepEqual((await app.factory.sessions.forUser("u-42").list()).length, 2);
    for (const reader of [app.request(taggedId(one)), app.collection()])
      assert.equal(await reader.read(taggedId(one)), null);
    await app.request(taggedId(one)).destroy(taggedId(one));
    assert.deepEqual(await app.request(one).read(one), { n: 1 }, "only a collection takes it");

    await app.collection().destroy(taggedId(one));
    assert.equal(await app.request(one).read(one), null);
    await app.request(two).untag(two, "u-42");
    assert.deepEqual(await app.collection().tagged("u-42"), []);
    assert.deepEqual(await app.request(two).read(two), { n: 2 }, "AdonisJS clears the data, or keeps it");
    await app.collection().tag(two, "u-43");
    await app.collection().tag(two, "u-44");
    assert.deepEqual(await app.collection().tagged("u-44"), [{ id: taggedId(two), data: { n: 2 } }]);
    assert.equal((await app.collection().tagged("u-44")).length, 1);
  });

  check(
    "regenerate, as AdonisJS does it → a new id, the same user, and the old id opens nothing (R17)",
    async (store) => {
      const app = opened(store);
      const old = await visit(app, { n: 1 }, "u-42");
      const request = app.request(old);
      const data = await request.read(old);
      const next = randomUUID();
      await request.destroy(old);
      await request.write(next, data!);
      assert.equal(await app.request(old).read(old), null);
      assert.deepEqual(await app.request(next).read(next), { n: 1 });
      assert.deepEqual(
        (await app.collection().tagged("u-42")).map(({ id }) => id),
        [taggedId(next)],
      );

      // A login as another user.
      const login = app.request(next);
      await login.read(next);
      const last = randomUUID();
      await login.tag(last, "u-43");
      await login.destroy(next);
      await login.write(last, { n: 2 });
      assert.deepEqual(await app.collection().tagged("u-42"), []);
      assert.equal((await app.collection().tagged("u-43")).length, 1);
    },
  );

  check("what is stored → no id, no user and no value in clear (promise 6)", async (store) => {
    const app = opened(store);
    const id = await visit(app, { secret: "a secret value" }, "user-nobody-may-read");
    const rows = await store.scan(null, 10);
    assert.equal(rows.length, 1);
    for (const bytes of [rows[0]!.id, rows[0]!.data, rows[0]!.userRef]) {
      const text = Buffer.from(bytes ?? []).toString("latin1");
      for (const hidden of [id, "a secret", "user-nobody"]) assert.ok(!text.includes(hidden));
    }
  });
});

test("AdonisJS: a visitor without a cookie → no statement, although AdonisJS asks for the id that it made up (promise 1, R35)", async () => {
  const watched = new WatchedStore(memoryStore());
  const { request } = opened(watched.store);
  watched.down("all");
  assert.equal(await request().read(randomUUID()), null);
  assert.equal(await request("of-another-session").read(randomUUID()), null);
});

test("AdonisJS: the store is down → every method fails (promise 8)", async () => {
  const watched = new WatchedStore(memoryStore());
  const app = opened(watched.store);
  const id = await visit(app, { n: 1 }, "u-42");
  const loaded = app.request(id);
  await loaded.read(id);
  watched.down("all");
  const calls = [
    () => app.request(id).read(id),
    () => loaded.write(id, { n: 2 }),
    () => app.request(id).destroy(id),
    () => app.request(id).tag(id, "u-43"),
    () => app.request(id).tagged("u-42"),
    () => app.collection().destroy(taggedId(id)),
  ];
  for (const call of calls) await assert.rejects(call, { status: 503 });
  watched.up();
  assert.deepEqual(await app.request(id).read(id), { n: 1 });
});

test("AdonisJS: userOf → sessions belong to their user without a tag; a tag comes first", async () => {
  const app = opened(memoryStore(), { userOf: (data: Record<string, unknown>) => data["auth_web"] });
  const id = await visit(app, { auth_web: "u-1" });
  assert.equal((await app.collection().tagged("u-1")).length, 1);
  await app.request(id).tag(id, "u-2");
  assert.deepEqual(
    [(await app.collection().tagged("u-1")).length, (await app.collection().tagged("u-2")).length],
    [0, 1],
  );
});

test('AdonisJS: sealTo: "cookie" → sessions work, and tagged lists them without their data', async () => {
  const app = opened(memoryStore(), { sealTo: "cookie" });
  const id = await visit(app, { n: 1 }, "u-42");
  assert.deepEqual(await app.request(id).read(id), { n: 1 });
  assert.deepEqual(await app.collection().tagged("u-42"), [{ id: taggedId(id), data: {} }]);
  assert.equal(taggedId(id), `handle:${handleOf(rowIdOf(Buffer.from(id)))}`);
});

test("AdonisJS: `age` → seconds, or a length of time; anything else is a TypeError", async () => {
  const { factory, clock } = opened();
  for (const age of [7_200, "2h", "2 hours", "2 Hours", "120min"]) {
    const id = randomUUID();
    await factory(null, { ...config, age }).write(id, { n: 1 });
    const [row] = (await factory.sessions.count()) === 0 ? [] : [await factory(null, config).read(id)];
    assert.deepEqual(row, { n: 1 }, String(age));
  }
  const read = factory(null, { ...config, age: "1y", cookie: { maxAge: 7_200 } });
  await read.write(randomUUID(), { n: 1 });
  assert.equal(await factory.sessions.count(), 6);
  clock.advance(2 * hour);
  assert.equal(await factory.sessions.count(), 0);
  for (const age of ["soon", "", 0, NaN, -1])
    assert.throws(() => factory(null, { ...config, age }), { name: "TypeError", message: /`age`/ });
});
