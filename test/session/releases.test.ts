import assert from "node:assert/strict";
import * as v from "valibot";
import { z } from "zod";
import { afterEach, beforeEach, describe, test } from "vitest";
import {
  createSessionManager,
  StoreUnavailableError,
  type SessionManager,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { around, cookieOf, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;

/** Two releases of an application: the older one's schema ignores keys that it does not know. */
const libraries: Record<string, { older: unknown; newer: unknown }> = {
  zod: {
    older: z.object({
      cart: z.array(z.string()).default([]),
      profile: z.object({ name: z.string() }).optional(),
    }),
    newer: z.object({
      cart: z.array(z.string()).default([]),
      profile: z.object({ name: z.string(), locale: z.string().optional() }).optional(),
      mfa: z.boolean().default(false),
    }),
  },
  valibot: {
    older: v.object({
      cart: v.optional(v.array(v.string()), []),
      profile: v.optional(v.object({ name: v.string() })),
    }),
    newer: v.object({
      cart: v.optional(v.array(v.string()), []),
      profile: v.optional(v.object({ name: v.string(), locale: v.optional(v.string()) })),
      mfa: v.optional(v.boolean(), false),
    }),
  },
};

eachStore((_name, create) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(async () => held.drop());

  function release(schema: unknown, rest: Partial<SessionManagerOptions<Data>> = {}): Sessions {
    return createSessionManager<Data>({
      store: held.store,
      keys: testKeys,
      schema: schema as never,
      ...rest,
    });
  }

  async function visit(
    sessions: Sessions,
    cookie: string | null,
    act: (data: Data) => void,
  ): Promise<string> {
    const session = await sessions.load(cookie);
    act(session.data);
    const setCookie = await sessions.commit(session);
    return setCookie === null ? cookie! : cookieOf(setCookie);
  }

  async function stored(cookie: string): Promise<Data> {
    return (await createSessionManager<Data>({ store: held.store, keys: testKeys }).load(cookie)).data;
  }

  for (const [library, { older, newer }] of Object.entries(libraries)) {
    for (const upgrade of [undefined, (old: unknown) => ({ ...(old as Data), upgraded: true })]) {
      describe(`promise 2, ${library}, ${upgrade ? "with" : "without"} upgrade`, () => {
        let before: Sessions;
        let after: Sessions;
        let cookie: string;
        beforeEach(async () => {
          before = release(older, upgrade && { upgrade });
          after = release(newer, upgrade && { upgrade });
          cookie = await visit(after, null, (data) => {
            data["mfa"] = true;
            data["profile"] = { name: "Ada", locale: "en" };
          });
        });

        test("two releases: the older one saves another key → what only the newer one knows stays", async () => {
          await visit(before, cookie, (data) => {
            assert.deepEqual({ ...data }, { cart: [], profile: { name: "Ada" } });
            data["cart"] = ["tea"];
          });
          const expected = { cart: ["tea"], profile: { name: "Ada", locale: "en" }, mfa: true };
          assert.deepEqual((await after.load(cookie)).data, expected);
          assert.deepEqual(await stored(cookie), expected);
        });

        test("two releases: the older one updates → what only the newer one knows stays", async () => {
          const session = await before.load(cookie);
          await before.update(session, (data) => void (data["cart"] = ["tea"]));
          await before.update(session, (data) => void data["cart"].push("milk"));
          session.data["cart"].push("bread");
          await before.commit(session);
          assert.deepEqual((await after.load(cookie)).data, {
            cart: ["tea", "milk", "bread"],
            profile: { name: "Ada", locale: "en" },
            mfa: true,
          });
        });

        test("two releases: the older one changes a value within an object → its unknown keys stay", async () => {
          await visit(before, cookie, (data) => void (data["profile"].name = "Grace"));
          assert.deepEqual((await stored(cookie))["profile"], { name: "Grace", locale: "en" });
        });

        test("two releases: the older one deletes a key that it knows → it is gone, the others stay", async () => {
          await visit(before, cookie, (data) => void delete data["profile"]);
          const { profile, mfa } = await stored(cookie);
          assert.deepEqual([profile, mfa], [undefined, true]);
        });

        test("two releases: both change the session at once → both changes are kept", async () => {
          const slow = await before.load(cookie);
          slow.data["cart"] = ["tea"];
          await visit(after, cookie, (data) => {
            data["mfa"] = false;
            data["profile"].locale = "fr";
          });
          await before.commit(slow);
          assert.deepEqual((await after.load(cookie)).data, {
            cart: ["tea"],
            profile: { name: "Ada", locale: "fr" },
            mfa: false,
          });
        });

        test("two releases: the older one gives the session a new id → the newer one's keys go along", async () => {
          const session = await before.load(cookie);
          session.regenerate();
          const next = cookieOf(await before.commit(session));
          assert.equal((await after.load(next)).data["mfa"], true);
          const login = await before.load(next);
          login.login("42");
          assert.equal((await after.load(cookieOf(await before.commit(login)))).data["mfa"], true);
        });

        test("R42: the older one logs another user in → nothing that it does not know goes along", async () => {
          const session = await before.load(cookie);
          session.login("42");
          const second = await before.load(cookieOf(await before.commit(session)));
          second.login("43");
          second.data["cart"] = ["tea"];
          assert.deepEqual(await stored(cookieOf(await before.commit(second))), { cart: ["tea"] });
        });

        test("R42: the older one resets the session → nothing that it does not know goes along", async () => {
          const session = await before.load(cookie);
          session.reset();
          session.data["cart"] = ["tea"];
          assert.deepEqual(await stored(cookieOf(await before.commit(session))), { cart: ["tea"] });
        });

        test("two releases: the answer of the older one's save is lost, and it saves again → nothing is lost", async () => {
          let lose = true;
          const store = around(held.store, async (operation, call) => {
            const answer = await call();
            if (operation !== "update" || !lose) return answer;
            lose = false;
            throw new StoreUnavailableError("lost", { outcome: "unknown" });
          });
          const losing = release(older, { store, ...(upgrade && { upgrade }) });
          const session = await losing.load(cookie);
          session.data["cart"] = ["tea"];
          await assert.rejects(losing.commit(session), StoreUnavailableError);
          session.data["cart"] = ["tea", "milk"];
          await losing.commit(session);
          assert.deepEqual(await stored(cookie), {
            cart: ["tea", "milk"],
            profile: { name: "Ada", locale: "en" },
            mfa: true,
          });
        });

        test("two releases: reading → nothing is written", async () => {
          const [row] = await held.store.scan(null, 1);
          await visit(before, cookie, (data) => void data["cart"]);
          await visit(after, cookie, (data) => void data["cart"]);
          assert.equal((await held.store.scan(null, 1))[0]!.version, row!.version);
        });
      });
    }
  }

  test("upgrade: keys that it returns and the schema ignores → stay; keys that it leaves out → gone", async () => {
    const plain = createSessionManager<Data>({ store: held.store, keys: testKeys });
    const cookie = await visit(plain, null, (data) => Object.assign(data, { name: "Ada", mfa: true }));
    const today = release(z.object({ first: z.string() }), {
      upgrade: (old) => {
        const { name, ...rest } = old as Data;
        return { ...rest, first: name };
      },
    });
    await visit(today, cookie, (data) => void (data["first"] = "Grace"));
    assert.deepEqual(await stored(cookie), { mfa: true, first: "Grace" });
    assert.deepEqual((await today.load(cookie)).data, { first: "Grace" });
  });

  test("upgrade: what it returns can be stored only after the schema transforms it → it is saved as the schema gives it", async () => {
    const plain = createSessionManager<Data>({ store: held.store, keys: testKeys });
    const cookie = await visit(plain, null, (data) => void (data["when"] = 5));
    class Moment {
      readonly at: number;
      constructor(at: number) {
        this.at = at;
      }
    }
    const today = release(
      z.object({ when: z.union([z.string(), z.instanceof(Moment).transform(({ at }) => `at ${at}`)]) }),
      { upgrade: (old) => ({ when: new Moment((old as Data)["when"]) }) },
    );
    await visit(today, cookie, (data) => void (data["when"] += "!"));
    assert.deepEqual(await stored(cookie), { when: "at 5!" });
  });
});
