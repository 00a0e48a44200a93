import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import { createSessionManager, type SessionManager } from "../../src/index.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import { nativeFormat } from "../../src/session/native-format.ts";
import { counted, cookieOf, olderKey, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, unknown>;
type Sessions = SessionManager<Data>;
type Mode = "keys" | "cookie";
interface Options {
  sealTo?: Mode;
  client?: boolean;
  keys?: string;
}

const device = { address: "192.0.2.1" };
const handles = (found: readonly { handle: string }[]) => found.map(({ handle }) => handle).toSorted();

eachStore((_name, create) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(async () => held.drop());

  function application(app: string, options: Options = {}): Sessions {
    return createSessionManager<Data>({ store: held.store, keys: testKeys, app, ...options });
  }

  /** The same application before its name was bound into the references of its users. */
  function earlier(app: string, { sealTo = "keys", client = true, keys = testKeys }: Options = {}): Sessions {
    const ring = KeyRing.from(keys);
    const format = nativeFormat({ keys: ring, app, sealTo, compressAbove: 1024, maxBytes: 2 ** 20 });
    const userRef = (user: string | undefined) => (user === undefined ? null : ring.userRef(user));
    const { formerUserRefs: _, ...rest } = format;
    return createSessionManager<Data>({
      store: held.store,
      format: { ...rest, userRef, userRefs: (user) => ring.userRefs(user) },
      client,
    });
  }

  async function login(sessions: Sessions, user = "42"): Promise<{ cookie: string; handle: string }> {
    const session = await sessions.load(null, device);
    session.login(user);
    session.data["of"] = user;
    const cookie = cookieOf(await sessions.commit(session));
    return { cookie, handle: session.handle };
  }

  const isIn = async (sessions: Sessions, cookie: string) => (await sessions.load(cookie)).user === "42";

  for (const sealTo of ["keys", "cookie"] as const) {
    for (const others of ["", "blog"]) {
      test(`app: two applications share keys and table (sealed to ${sealTo}, the other named '${others}') → each lists and ends its own sessions alone`, async () => {
        const [shop, blog] = [application("shop", { sealTo }), application(others, { sealTo })];
        const [ours, theirs] = [await login(shop), await login(blog)];
        assert.deepEqual(handles(await shop.forUser("42").list()), [ours.handle]);
        assert.deepEqual(handles(await blog.forUser("42").list()), [theirs.handle]);
        assert.deepEqual(handles(await shop.exportUser("42")), [ours.handle]);
        assert.equal(await shop.forUser("42").revoke(theirs.handle), false);
        assert.equal(await blog.forUser("42").revoke(ours.handle), false);
        assert.equal(await shop.forUser("42").revokeAll(), 1);
        assert.equal(await shop.eraseUser("42"), 0);
        assert.equal(await isIn(blog, theirs.cookie), true);
        assert.equal(await isIn(shop, ours.cookie), false);
        assert.equal(await shop.find(theirs.handle), null);
      });

      test(`app: rows of an earlier version (sealed to ${sealTo}, the other named '${others}') → are found, and no other application's are`, async () => {
        const before = earlier("shop", { sealTo });
        const [one, two, three] = [await login(before), await login(before), await login(before)];
        const theirs = await login(earlier(others, { sealTo }));
        const shop = application("shop", { sealTo });
        const now = await login(shop);
        const all = [one, two, three, now].map(({ handle }) => handle).toSorted();
        assert.deepEqual(handles(await shop.forUser("42").list()), all);
        assert.deepEqual(handles(await shop.exportUser("42")), all);
        assert.equal(await shop.forUser("42").revoke(theirs.handle), false);
        assert.equal(await shop.forUser("42").revoke(one.handle), true);
        const kept = await shop.load(two.cookie);
        assert.equal(await shop.forUser("42").revokeAll({ except: kept }), 2);
        assert.equal(await isIn(shop, two.cookie), true);
        assert.equal(await shop.eraseUser("42"), 1);
        assert.equal(await isIn(application(others, { sealTo }), theirs.cookie), true);
        assert.equal((await held.store.scan(null, 10)).length, 1);
      });
    }
  }

  test("app: a row of an earlier version without an address → is found by its data", async () => {
    const ours = await login(earlier("shop", { client: false }));
    const theirs = await login(earlier("blog", { client: false }));
    const shop = application("shop");
    assert.deepEqual(handles(await shop.forUser("42").list()), [ours.handle]);
    assert.equal(await shop.forUser("42").revokeAll(), 1);
    assert.equal(await isIn(application("blog"), theirs.cookie), true);
  });

  test("app: a row of an earlier version that only its cookie opens, without an address → is left alone, with a warning, until its next due touch", async () => {
    const options = { sealTo: "cookie", client: false } as const;
    const ours = await login(earlier("shop", options));
    const warnings: unknown[] = [];
    const listen = (warning: Error & { code?: string }) => warnings.push(warning.code);
    process.on("warning", listen);
    let now = Date.now();
    const shop = createSessionManager<Data>({
      store: held.store,
      keys: testKeys,
      app: "shop",
      ...options,
      clock: () => now,
    });
    assert.equal(await shop.forUser("42").revokeAll(), 0);
    await shop.forUser("42").list();
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", listen);
    assert.deepEqual(
      warnings.filter((code) => code === "STORED_SESSION_UNKNOWN_APPLICATION"),
      ["STORED_SESSION_UNKNOWN_APPLICATION"],
    );
    now += 3_600_000;
    const session = await shop.load(ours.cookie);
    assert.equal(session.user, "42");
    await shop.commit(session);
    assert.equal(await shop.forUser("42").revokeAll(), 1);
  });

  test("app: rows of many other applications' users come first → ours are listed all the same", async () => {
    const ours = await login(earlier("shop"));
    const rows = await held.store.scan(null, 1);
    const others = Array.from({ length: 1_000 }, (_, index) => {
      const id = Buffer.alloc(32);
      id.writeUInt32BE(index + 1);
      return { ...rows[0]!, id: new Uint8Array(id), createdAt: rows[0]!.createdAt + 1 };
    });
    for (let at = 0; at < others.length; at += 100) await held.store.insert(others.slice(at, at + 100));
    const shop = application("shop");
    assert.deepEqual(handles(await shop.forUser("42").list()), [ours.handle]);
    assert.equal(await shop.forUser("42").revokeAll(), 1);
    assert.equal((await held.store.scan(null, 2_000)).length, 1_000);
  });

  test("app: reseal → rows of an earlier version get references of this application; others stay as they are", async () => {
    const ours = await login(earlier("shop"));
    const older = await login(earlier("shop", { keys: olderKey }));
    const theirs = await login(earlier("blog"));
    const keys = `${testKeys},${olderKey}`;
    const shop = application("shop", { keys });
    const result = await shop.reseal();
    assert.deepEqual([result.resealed, result.current, result.refused], [2, 1, 0]);
    assert.equal((await shop.reseal()).resealed, 0);
    const refs = KeyRing.from(testKeys).userRefs("42", "shop");
    assert.deepEqual(handles(await shop.forUser("42").list()), [ours.handle, older.handle].toSorted());
    assert.equal((await held.store.listByUser(refs, 10)).length, 2);
    assert.equal(await isIn(application("blog"), theirs.cookie), true);
  });

  test("app: no name → listing and ending send the same statements as before", async () => {
    const { store, counts } = counted(held.store);
    const sessions = createSessionManager<Data>({ store, keys: testKeys });
    const { handle } = await login(sessions);
    await login(sessions);
    counts.clear();
    await sessions.forUser("42").list();
    await sessions.forUser("42").revoke(handle);
    await sessions.forUser("42").revokeAll();
    assert.deepEqual(Object.fromEntries(counts), { listByUser: 2, deleteByUser: 2 });
  });

  describe("a cookie of another application", () => {
    for (const act of ["destroy", "reset", "login"] as const) {
      for (const looked of [true, false]) {
        test(`app: ${act} with it (data looked at: ${looked}) → that application's session stays`, async () => {
          const [shop, blog] = [application("shop"), application("blog")];
          const theirs = await login(blog);
          const session = await shop.load(theirs.cookie);
          if (looked) assert.deepEqual(session.data, {});
          if (act === "login") session.login("43");
          else session[act]();
          const setCookie = await shop.commit(session);
          if (act === "destroy") assert.match(setCookie!, /Max-Age=0/);
          assert.equal(await isIn(blog, theirs.cookie), true);
        });
      }
    }
  });

  describe("drop-in stores", () => {
    const options = (app: string) => ({
      store: held.store,
      keys: testKeys,
      app,
      userOf: ({ user }: Data) => user as string | undefined,
    });
    const cookie = { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000) };

    test("app: express-session destroys, sets or clears → another application's sessions stay", async () => {
      const [shop, blog] = [new StoredSessionStore(options("shop")), new StoredSessionStore(options("blog"))];
      const call = (work: (done: (error?: unknown, value?: unknown) => void) => void) =>
        new Promise<unknown>((resolve, reject) =>
          work((error, value) => (error ? reject(error as Error) : resolve(value))),
        );
      await call((done) => blog.set("theirs", { cookie, user: "42" } as never, done));
      await call((done) => shop.set("ours", { cookie, user: "42" } as never, done));
      await call((done) => shop.destroy("theirs", done));
      await assert.rejects(
        call((done) => shop.set("theirs", { cookie, user: "42" } as never, done)),
        /cannot be decrypted/,
      );
      assert.equal((await shop.sessions.forUser("42").list()).length, 1);
      assert.equal(await shop.sessions.forUser("42").revokeAll(), 1);
      await call((done) => shop.set("ours too", { cookie } as never, done));
      await call((done) => shop.clear(done));
      assert.equal(((await call((done) => blog.get("theirs", done as never))) as Data)["user"], "42");
      assert.equal((await held.store.scan(null, 10)).length, 1);
    });

    test("app: koa-session destroys → another application's session stays", async () => {
      const [shop, blog] = [
        new StoredSessionKoaStore(options("shop")),
        new StoredSessionKoaStore(options("blog")),
      ];
      await blog.set("theirs", { user: "42" }, 60_000);
      await shop.destroy("theirs");
      assert.equal((await blog.get("theirs"))!["user"], "42");
    });

    test("app: sessions sealed to their cookies are cleared → a TypeError that says what to do", async () => {
      const shop = new StoredSessionStore({ ...options("shop"), sealTo: "cookie" });
      await assert.rejects(
        new Promise<void>((resolve, reject) =>
          shop.clear((error?: unknown) => (error ? reject(error as Error) : resolve())),
        ),
        /revoke --all/,
      );
    });
  });
});
