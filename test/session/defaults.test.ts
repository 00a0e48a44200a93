import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import * as v from "valibot";
import { afterEach, beforeEach, describe, test } from "vitest";
import { z } from "zod";
import {
  createSessionManager,
  type Complete,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { commitInRequest, loadInRequest, withinRequest } from "../../src/adapters/request-scope.ts";
import { stateOf } from "../../src/session/session.ts";
import { settledWithoutStore } from "../../src/session/settled.ts";
import { cookieOf, counted, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

interface Basket {
  cart: string[];
  prefs: { seen: string[] };
  since: Date;
  visit: string;
  name?: string | undefined;
}
type Sessions = SessionManager<Complete<Basket>>;
type Schema = NonNullable<SessionManagerOptions<Basket>["schema"]>;

/** Defaults that are another value each time, and one with an object that the schema gives to everybody. */
const shared = { seen: [] as string[] };
const zodSchema = z.object({
  cart: z.array(z.string()).default([]),
  prefs: z.object({ seen: z.array(z.string()) }).default(shared),
  since: z.date().default(() => new Date()),
  visit: z.string().default(() => randomUUID()),
  name: z.string().optional(),
});
const valibotSchema = v.object({
  cart: v.optional(v.array(v.string()), []),
  prefs: v.optional(
    v.custom<Basket["prefs"]>((value) => typeof value === "object"),
    shared,
  ),
  since: v.optional(v.date(), () => new Date()),
  visit: v.optional(v.string(), () => randomUUID()),
  name: v.optional(v.string()),
});
const schemas: Record<string, Schema> = {
  zod: zodSchema,
  valibot: valibotSchema,
  "zod, with a promise": zodSchema.refine(async () => true),
};

eachStore((_name, create) => {
  let held: TestStore;
  let store: ReturnType<typeof counted>;
  beforeEach(async () => {
    held = await create();
    store = counted(held.store);
  });
  afterEach(async () => held.drop());

  const manager = (schema: Schema, options: Partial<SessionManagerOptions<Basket>> = {}): Sessions =>
    createSessionManager({ store: store.store, keys: testKeys, schema, ...options }) as Sessions;

  const without = () => createSessionManager<Record<string, unknown>>({ store: held.store, keys: testKeys });

  const isFresh = ({ data }: Session<Complete<Basket>>) => {
    assert.deepEqual([data.cart, data.prefs, data.name], [[], { seen: [] }, undefined]);
    assert.ok(data.since instanceof Date);
    assert.match(data.visit, /^[0-9a-f-]{36}$/);
  };

  describe.each(Object.entries(schemas))("defaults, %s", (_library, schema) => {
    let sessions: Sessions;
    beforeEach(() => void (sessions = manager(schema)));

    async function begin(act: (session: Session<Complete<Basket>>) => void): Promise<string> {
      const session = await sessions.load(null);
      act(session);
      return cookieOf(await sessions.commit(session));
    }

    test("a new session → begins with them", async () => isFresh(await sessions.load(null)));

    test("promise 1: a new session that is only read, or put back as it was → no statement, no cookie", async () => {
      const reads: ((session: Session<Complete<Basket>>) => unknown)[] = [
        ({ data }) => [data.cart.length, data.since, data.visit],
        (session) => (session.data = { ...session.data }),
        (session) => {
          session.data.cart.push("tea");
          session.data.cart.pop();
        },
        (session) => {
          const { cart, ...rest } = session.data;
          session.data = { ...rest, cart };
        },
        (session) => session.reset(),
        (session) => {
          session.flash("notice", 1);
          session.takeFlash("notice");
        },
      ];
      for (const read of reads) {
        const session = await sessions.load(null);
        read(session);
        const isSettled = settledWithoutStore(stateOf(session as Session<never>));
        assert.equal(isSettled, stateOf(session as Session<never>).intent === "save");
        assert.equal(await sessions.commit(session), null);
        await sessions.update(session, () => {});
        assert.equal(await sessions.commit(session), null);
        assert.equal(session.isNew, true);
      }
      assert.equal(store.total(), 0);
    });

    test("one of them changed → saved with the others, as this session was given them", async () => {
      const first = await sessions.load(null);
      const { since, visit } = first.data;
      first.data.cart.push("tea");
      const cookie = cookieOf(await sessions.commit(first));
      const again = await sessions.load(cookie);
      assert.deepEqual(again.data, { cart: ["tea"], prefs: { seen: [] }, since, visit });
      store.counts.clear();
      assert.equal(await sessions.commit(again), null);
      assert.deepEqual([...store.counts.keys()], []);
    });

    test("`update` of a new session → its draft has them", async () => {
      const session = await sessions.load(null);
      const { visit } = session.data;
      await sessions.update(session, (data) => void data.cart.push("tea"));
      const again = await sessions.load(cookieOf(await sessions.commit(session)));
      assert.deepEqual([again.data.cart, again.data.visit], [["tea"], visit]);
    });

    test("a key deleted in a new session → given back, and nothing is saved", async () => {
      const sessionsOfOne = manager(z.object({ cart: z.array(z.string()).default([]) }) as never);
      const session = await sessionsOfOne.load(null);
      (session.data as Partial<Basket>).name = "x"; // unknown to the schema
      delete (session.data as Partial<Basket>).cart;
      assert.equal(await sessionsOfOne.commit(session), null);
      assert.deepEqual([session.data, store.total()], [{ cart: [] }, 0]);
    });

    test("a flash or a login alone → saved, and they are there afterwards", async () => {
      const flashed = await sessions.load(await begin((session) => session.flash("notice", "hello")));
      isFresh(flashed);
      assert.equal(flashed.takeFlash("notice"), "hello");
      const loggedIn = await sessions.load(await begin((session) => session.login("42")));
      isFresh(loggedIn);
      assert.equal(loggedIn.user, "42");
    });

    test("stored without data, by a release without a schema → the defaults; reading writes nothing", async () => {
      const older = without();
      const before = await older.load(null);
      before.login("42");
      const cookie = cookieOf(await older.commit(before));
      const stored = await sessions.load(cookie);
      isFresh(stored);
      store.counts.clear();
      assert.equal(await sessions.commit(stored), null);
      assert.equal(store.counts.get("update"), undefined);
      stored.data.cart.push("tea");
      await sessions.commit(stored);
      assert.deepEqual((await sessions.load(cookie)).data.cart, ["tea"]);
    });

    const startOvers: Record<string, (session: Session<Complete<Basket>>) => void> = {
      reset: (session) => session.reset(),
      "the login of another user": (session) => session.login("43"),
    };
    for (const [name, startOver] of Object.entries(startOvers)) {
      test(`${name} → begins with defaults of its own (R42)`, async () => {
        const cookie = await begin((session) => {
          session.login("42");
          session.data.name = "Ann";
          session.data.cart.push("tea");
          session.data.prefs.seen.push("ann's");
        });
        const session = await sessions.load(cookie);
        const { visit } = session.data;
        startOver(session);
        isFresh(session);
        assert.notEqual(session.data.visit, visit);
        const again = await sessions.load(cookieOf(await sessions.commit(session)));
        isFresh(again);
        assert.equal(again.data.visit, session.data.visit);
      });
    }

    test("destroy → defaults in hand, no row, and no cookie but the cleared one", async () => {
      const cookie = await begin((session) => session.data.cart.push("tea"));
      const session = await sessions.load(cookie);
      session.destroy();
      isFresh(session);
      assert.match((await sessions.commit(session))!, /Max-Age=0/);
      assert.equal((await held.store.scan(null, 10)).length, 0);
    });

    test("a row that does not fit → a fresh session with them, which is not saved for being read", async () => {
      const older = without();
      const before = await older.load(null);
      before.data["cart"] = 5;
      const session = await sessions.load(cookieOf(await older.commit(before)));
      isFresh(session);
      store.counts.clear();
      assert.equal(await sessions.commit(session), null);
      assert.equal(store.counts.get("insert"), undefined);
    });

    test("promise 3: a login after the session ended elsewhere → what this request set, over them", async () => {
      const cookie = await begin((session) => {
        session.data.name = "Ann";
        session.data.cart.push("tea");
      });
      const session = await sessions.load(cookie);
      const other = await sessions.load(cookie);
      other.destroy();
      await sessions.commit(other);
      session.data.cart.push("cup");
      session.login("42");
      const again = await sessions.load(cookieOf(await sessions.commit(session)));
      const { cart, name, prefs } = again.data;
      assert.deepEqual([cart, name, prefs], [["tea", "cup"], undefined, { seen: [] }]);
    });

    test("a user whom `userOf` finds changes, by commit and by `update` → what was set, over them", async () => {
      const named = manager(schema, { userOf: ({ name }) => name });
      const first = await named.load(null);
      Object.assign(first.data, { name: "ann", cart: ["tea"] });
      const cookie = cookieOf(await named.commit(first));
      const switched = await named.load(cookie);
      switched.data.name = "bob";
      const next = cookieOf(await named.commit(switched));
      assert.deepEqual((await named.load(next)).data.cart, []);
      const updated = await named.load(next);
      await named.update(updated, (data) => void (data.name = "eve"));
      assert.deepEqual([updated.data.cart, updated.data.prefs], [[], { seen: [] }]);
      isFresh({ data: { ...updated.data, name: undefined } } as Session<Complete<Basket>>);
    });

    test("R42: an object that a schema gives as a default time and again → each session has its own", async () => {
      const older = without();
      const before = await older.load(null);
      before.data["cart"] = ["tea"];
      const stale = cookieOf(await older.commit(before));
      for (const cookie of [null, stale]) {
        const first = await sessions.load(cookie);
        first.data.prefs.seen.push("the first visitor's");
        first.data.cart.push("cup");
        const second = await sessions.load(cookie);
        assert.deepEqual(second.data.prefs, { seen: [] });
      }
      const given = await sessions.load(stale);
      (given.data as Partial<Basket>).prefs = undefined as never;
      given.data.cart.push("pot");
      await sessions.commit(given);
      given.data.prefs.seen.push("the first visitor's");
      assert.deepEqual([shared, (await sessions.load(null)).data.prefs], [{ seen: [] }, { seen: [] }]);
    });

    test("promise 2: a loader and an action that begin one session each in one request → no default overrides a change", async () => {
      await withinRequest(async () => {
        const [loader, action] = [
          await loadInRequest(sessions as SessionManager<never>, null),
          await loadInRequest(sessions as SessionManager<never>, null),
        ] as unknown as Session<Complete<Basket>>[];
        action!.data.cart.push("tea");
        await commitInRequest(sessions as SessionManager<never>, action as Session<never>);
        loader!.data.name = "Ann";
        const { setCookie } = await commitInRequest(
          sessions as SessionManager<never>,
          loader as Session<never>,
        );
        const { data } = await sessions.load(cookieOf(setCookie));
        assert.deepEqual([data.cart, data.name, data.visit], [["tea"], "Ann", action!.data.visit]);
      });
    });
  });

  test("defaults in which `userOf` finds somebody → nobody logged in: no row for being read (promise 1)", async () => {
    const schema = z.object({ user: z.string().default("guest"), seen: z.number().default(0) });
    const sessions = createSessionManager({
      store: store.store,
      keys: testKeys,
      schema,
      userOf: ({ user }) => user,
    });
    const session = await sessions.load(null);
    assert.equal(session.data.user, "guest");
    assert.equal(await sessions.commit(session), null);
    assert.equal(await sessions.commit(session), null);
    assert.equal(store.total(), 0);
    session.login("guest");
    assert.notEqual(await sessions.commit(session), null);
  });

  const noDefaults: Record<string, () => unknown> = {
    "a key is required": () => z.object({ cart: z.array(z.string()).default([]), id: z.string() }),
    "the schema throws": () => z.object({}).transform(() => assert.fail("no")),
    "the schema rejects": () => ({
      "~standard": { version: 1, vendor: "test", validate: () => Promise.reject(new Error("no")) },
    }),
    "what it answers is no object": () => z.object({}).transform(() => [1]),
    "what it answers cannot be stored": () => z.object({ at: z.any().default(() => () => 1) }),
    "all keys are optional": () => z.object({ name: z.string().optional() }),
  };
  test.each(Object.entries(noDefaults))("no defaults: %s → a new session is empty", async (_why, schema) => {
    const sessions = manager(schema() as never);
    const session = await sessions.load(null);
    assert.deepEqual(session.data, {});
    assert.equal(await sessions.commit(session), null);
    session.reset();
    assert.deepEqual(session.data, {});
    assert.equal(store.total(), 0);
  });
});
