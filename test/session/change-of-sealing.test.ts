import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import { createSessionManager, OptionsError, type SessionManager } from "../../src/index.ts";
import { Sealer } from "../../src/sealing/sealer.ts";
import { fakeClock, type FakeClock } from "../../src/testing/clock.ts";
import { cookieOf, olderKey, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;
type Mode = "keys" | "cookie";

eachStore((_name, create) => {
  let held: TestStore;
  let clock: FakeClock;
  beforeEach(async () => {
    held = await create();
    clock = fakeClock();
  });
  afterEach(async () => held.drop());

  function process(sealTo: Mode, alsoOpens?: Mode, keys: string = testKeys): Sessions {
    return createSessionManager<Data>({ store: held.store, keys, sealTo, alsoOpens, clock: clock.now });
  }

  /** One request; answers the cookie that the browser has then. */
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

  async function modes(): Promise<Mode[]> {
    const rows = await held.store.scan(null, 100);
    return rows.map(({ data }) => (Sealer.isToCookie(data) ? "cookie" : "keys"));
  }

  for (const [from, to] of [
    ["keys", "cookie"],
    ["cookie", "keys"],
  ] as const) {
    test(`sealTo changes from ${from} to ${to} in the documented steps, each with the one before it still running → one row, nobody logged out`, async () => {
      const steps = [process(from), process(from, to), process(to, from), process(to)];
      let cookie = await visit(steps[0]!, null, (data) => void (data["n"] = 0));
      const login = await steps[0]!.load(cookie);
      login.login("42");
      cookie = cookieOf(await steps[0]!.commit(login));
      let n = 0;
      for (let step = 1; step < steps.length; step++) {
        for (let request = 0; request < 6; request++) {
          const sessions = steps[request % 2 === 0 ? step : step - 1]!;
          const session = await sessions.load(cookie);
          assert.equal(session.user, "42", `step ${step}, request ${request}`);
          assert.equal(session.data["n"], n);
          session.data["n"] = ++n;
          assert.equal(await sessions.commit(session), null);
        }
        // ends with a request to the newer process, as every deploy does
        await visit(steps[step]!, cookie, (data) => void (data["n"] = ++n));
      }
      assert.deepEqual(await modes(), [to]);
    });

    test(`alsoOpens ${from}: a session that is only read → its row is sealed to ${to} once a touch is due`, async () => {
      const cookie = await visit(process(from), null, (data) => void (data["n"] = 1));
      const changing = process(to, from);
      await visit(changing, cookie, (data) => assert.equal(data["n"], 1));
      assert.deepEqual(await modes(), [from]);
      clock.advance(3_600_000);
      await visit(changing, cookie, (data) => assert.equal(data["n"], 1));
      assert.deepEqual(await modes(), [to]);
      await visit(process(to), cookie, (data) => assert.equal(data["n"], 1));
    });

    test(`alsoOpens ${from}: two requests change the session at once, the row of the other kind → both changes are kept`, async () => {
      const cookie = await visit(process(from), null, (data) => void (data["n"] = 1));
      const changing = process(to, from);
      const [one, two] = [await changing.load(cookie), await changing.load(cookie)];
      one.data["a"] = 1;
      two.data["b"] = 2;
      await changing.commit(one);
      await changing.commit(two);
      assert.deepEqual((await process(to).load(cookie)).data, { n: 1, a: 1, b: 2 });
    });
  }

  test("promise 6: a row sealed the other way, without alsoOpens → refused, whatever its flag says", async () => {
    for (const [from, to] of [
      ["keys", "cookie"],
      ["cookie", "keys"],
    ] as const) {
      const cookie = await visit(process(from), null, (data) => void (data["n"] = 1));
      assert.equal((await process(to).load(cookie)).isNew, true);
    }
  });

  test("alsoOpens keys: reseal → rows under the keys go to the newest key as they are, those of the cookie wait", async () => {
    const first = await visit(process("keys", undefined, olderKey), null, (data) => void (data["n"] = 1));
    const second = await visit(process("cookie", "keys", olderKey), null, (data) => void (data["n"] = 2));
    const changing = process("cookie", "keys", `${testKeys},${olderKey}`);
    const result = await changing.reseal();
    assert.deepEqual([result.resealed, result.waiting, result.refused], [1, 1, 0]);
    assert.deepEqual((await modes()).toSorted(), ["cookie", "keys"]);
    assert.equal((await changing.reseal()).current, 1);
    for (const [cookie, n] of [
      [first, 1],
      [second, 2],
    ] as const)
      await visit(changing, cookie, (data) => assert.equal(data["n"], n));
  });

  test("alsoOpens keys: the user's data is exported → rows under the keys with it, those of the cookie said to be sealed", async () => {
    for (const sealTo of ["keys", "cookie"] as const) {
      const sessions = process(sealTo, sealTo === "keys" ? "cookie" : "keys");
      const session = await sessions.load(null);
      session.login("42");
      session.data["from"] = sealTo;
      await sessions.commit(session);
    }
    const found = await process("cookie", "keys").exportUser("42");
    assert.deepEqual(found.map(({ data, unreadable }) => data?.["from"] ?? unreadable).toSorted(), [
      "keys",
      "sealed to the cookie",
    ]);
  });
});

test("alsoOpens: another value than the other way of sealing → the options are refused", () => {
  const start = (options: object) => () =>
    createSessionManager({ store: {} as never, keys: testKeys, ...options } as never);
  const says = (text: RegExp) => (error: unknown) =>
    error instanceof OptionsError && error.problems.some((problem) => text.test(problem));
  assert.throws(start({ alsoOpens: "keys" }), says(/`alsoOpens` and `sealTo` are both "keys"/));
  assert.throws(
    start({ sealTo: "cookie", alsoOpens: "cookie" }),
    says(/`alsoOpens` and `sealTo` are both "cookie"/),
  );
  assert.throws(start({ alsoOpens: ["cookie"] }), says(/`alsoOpens` is \["cookie"\]: use/));
});
