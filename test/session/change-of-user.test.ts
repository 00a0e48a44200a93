import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SessionEndedError, StoreUnavailableError, type Session } from "../../src/index.ts";
import { commitForResponse, recordsOf } from "../../src/manager.ts";
import { stateOf } from "../../src/session/session.ts";
import { around, cookieOf, testRing } from "./doubles.ts";
import { requestOn, type Act, type Data, type Sessions } from "./requests.ts";
import { eachStoreAndBinding, type TestStore } from "./stores.ts";

const minute = 60_000;
const passport = (data: Data): string | undefined => data["passport"]?.user;
const logInAs =
  (user: string, more: Data = {}): Act =>
  (session) =>
    Object.assign(session.data, { passport: { user }, ...more });
const logOut: Act = (session) => delete session.data["passport"];

eachStoreAndBinding((_name, create, { createSessionManager }) => {
  let held: TestStore;
  let now: number;
  let sessions: Sessions;
  beforeEach(async () => {
    held = await create();
    now = 1_700_000_000_000;
    sessions = manager();
  });
  afterEach(async () => held.drop());

  function manager(options: Partial<Parameters<typeof createSessionManager<Data>>[0]> = {}): Sessions {
    return createSessionManager<Data>({
      store: held.store,
      keys: testRing,
      clock: () => now,
      idleTimeout: "1 h",
      absoluteTimeout: "1 day",
      userOf: passport,
      ...options,
    });
  }

  const request = (cookie: string | null, act: Act, by = sessions) => requestOn(by, cookie, act);

  const begin = async (act: Act, by = sessions): Promise<string> => cookieOf(await request(null, act, by));

  async function seen(cookie: string | null): Promise<{ user: string | undefined; data: Data } | null> {
    const { isNew, user, data } = await sessions.load(cookie);
    return isNew ? null : { user, data };
  }

  describe("userOf: a user changed by way of the data is a login (R17, R42)", () => {
    test("nobody → a user: new id, both clocks restart, data and flash are kept, the old cookie is dead", async () => {
      const planted = await begin(
        (session) => (session.flash("notice", "hi"), (session.data["cart"] = ["tea"])),
      );
      now += 50 * minute;
      const cookie = cookieOf(await request(planted, logInAs("7")));
      assert.equal(await seen(planted), null, "session fixation");
      assert.deepEqual(await seen(cookie), { user: "7", data: { cart: ["tea"], passport: { user: "7" } } });
      const session = await sessions.load(cookie);
      assert.equal(session.takeFlash("notice"), "hi");
      assert.equal(session.createdAt.getTime(), now);
      assert.equal(session.expiresAt.getTime(), now + 60 * minute);
      assert.equal((await sessions.forUser("7").list()).length, 1);
    });

    test("one user → another: new id, and nothing but what this request set or changed", async () => {
      const old = await begin(logInAs("7", { cart: ["tea"], theme: "dark", seen: 1 }));
      await request(old, (session) => session.flash("notice", "for 7"));
      const cookie = cookieOf(
        await request(old, (session) => {
          logInAs("8", { theme: "dark", seen: 2 })(session);
          session.flash("alert", "for 8");
        }),
      );
      assert.equal(await seen(old), null);
      assert.deepEqual(await seen(cookie), { user: "8", data: { passport: { user: "8" }, seen: 2 } });
      const session = await sessions.load(cookie);
      assert.deepEqual([session.takeFlash("notice"), session.takeFlash("alert")], [undefined, "for 8"]);
      assert.equal(await held.store.count(now), 1);
    });

    test("a user → nobody: new id, and nothing but what this request set or changed", async () => {
      const old = await begin(logInAs("7", { cart: ["tea"] }));
      const cookie = cookieOf(
        await request(old, (session) => {
          logOut(session);
          session.data["bye"] = true;
        }),
      );
      assert.equal(await seen(old), null);
      assert.deepEqual(await seen(cookie), { user: undefined, data: { bye: true } });
      assert.equal((await sessions.forUser("7").list()).length, 0);
    });

    test("session.data in hand → the same object shows what was kept", async () => {
      const old = await begin(logInAs("7", { cart: ["tea"] }));
      const session = await sessions.load(old);
      const data: Data = session.data;
      data["passport"] = { user: "8" };
      await sessions.commit(session);
      assert.deepEqual({ ...data }, { passport: { user: "8" } });
      data["cart"] = ["cup"];
      assert.equal(await sessions.commit(session), null, "the cookie was sent");
      const [info] = await sessions.forUser("8").list();
      assert.equal(info!.handle, session.handle);
    });

    test("with regenerate, as Passport logs in → both clocks restart", async () => {
      const old = await begin((session) => (session.data["cart"] = 1));
      now += 50 * minute;
      const cookie = cookieOf(
        await request(old, (session) => {
          session.regenerate();
          logInAs("7")(session);
        }),
      );
      assert.equal((await sessions.load(cookie)).createdAt.getTime(), now);
    });

    test("the same user → no new id", async () => {
      const cookie = await begin(logInAs("7"));
      assert.equal(await request(cookie, logInAs("7", { n: 1 })), null);
      assert.deepEqual(await seen(cookie), { user: "7", data: { passport: { user: "7" }, n: 1 } });
    });

    test("a userOf that came with a new release → sessions keep their id, and their user is noted", async () => {
      const cookie = await begin(logInAs("7", { n: 0 }), manager({ userOf: undefined as never }));
      assert.equal(await request(cookie, (session) => (session.data["n"] = 1)), null);
      assert.equal((await seen(cookie))!.user, "7");
      const byMail = manager({ userOf: (data) => `${passport(data)}@example.org` });
      assert.equal(await request(cookie, (session) => (session.data["n"] = 2), byMail), null);
      assert.equal((await byMail.forUser("7@example.org").list()).length, 1);
    });

    test.each<[string, Act | "update"]>([
      ["reads", (session) => void session.data],
      ["changes its data", (session) => (session.data["n"] = 1)],
      ["gets a new id", (session) => session.regenerate()],
      ["is updated", "update"],
    ])(
      "a userOf that came with a new release finds nobody where login named the user, who %s → stays logged in",
      async (_what, act) => {
        const byLogin = manager({ userOf: undefined as never });
        const before = await begin((session) => (session.login("7"), (session.data["cart"] = 1)), byLogin);
        const change: Act =
          act === "update" ? (session) => sessions.update(session, (data) => void (data["n"] = 1)) : act;
        const cookie = (await request(before, change)) ?? before;
        const session = await sessions.load(cookie);
        assert.equal(session.user, "7");
        assert.equal(session.data["cart"], 1);
        assert.equal((await sessions.forUser("7").list()).length, 1);
        // and who logs in over it, or out of it, is noticed
        const other = cookieOf(await request(cookie, logInAs("8")));
        assert.deepEqual(await seen(other), { user: "8", data: { passport: { user: "8" } } });
        assert.equal(await seen(cookie), null);
      },
    );

    test("parallel changes of a session whose userOf finds nobody → all kept, under its user", async () => {
      const byLogin = manager({ userOf: undefined as never });
      const cookie = await begin((session) => session.login("7"), byLogin);
      const keys = Array.from({ length: 20 }, (_, index) => `key${index}`);
      await Promise.all(keys.map((key) => request(cookie, (session) => (session.data[key] = 1))));
      const { user, data } = (await seen(cookie))!;
      assert.equal(user, "7");
      assert.deepEqual(Object.keys(data).toSorted(), keys.toSorted());
    });

    test("what is left names somebody else → TypeError, and the session of before ended (R43)", async () => {
      const tenants = manager({ userOf: ({ tenant, id }) => id && `${tenant}:${id}` });
      const old = await begin((session) => Object.assign(session.data, { tenant: "a", id: "7" }), tenants);
      const session = await tenants.load(old);
      session.data["id"] = "8";
      await assert.rejects(tenants.commit(session), /Set every key that `userOf` reads/);
      assert.equal(await seen(old), null);
    });

    test("a schema that drops what userOf reads → stored under the user who is in it", async () => {
      const validate = (value: unknown) => {
        const { passport: _passport, ...rest } = value as Data;
        return { value: rest };
      };
      const schema = { "~standard": { version: 1, vendor: "test", validate } };
      const strict = manager({ schema: schema as never });
      const cookie = await begin(logInAs("7", { n: 1 }), strict);
      const [row] = await held.store.scan(null, 1);
      const { user, data } = await sessions.load(cookie);
      assert.equal(row!.userRef === null, passport(data) === undefined);
      assert.equal(user, passport(data));
    });
  });

  describe("R42: what a schema hides of one user's session", () => {
    const validate = (value: unknown) => {
      const { hidden: _hidden, ...rest } = value as Data;
      return { value: rest };
    };
    const acts: Record<string, (by: Sessions, session: Session<Data>) => unknown> = {
      "a commit": (_by, session) => logInAs("8")(session),
      "sessions.update": (by, session) =>
        by.update(session, (data) => void (data["passport"] = { user: "8" })),
    };
    test.each(Object.entries(acts))("%s logs another user in → stays behind", async (_by, act) => {
      const schema = { "~standard": { version: 1, vendor: "test", validate } };
      const strict = manager({ schema: schema as never });
      const old = await begin(logInAs("7", { hidden: "of 7" }));
      const cookie = cookieOf(await request(old, (session) => act(strict, session), strict));
      assert.deepEqual(await seen(cookie), { user: "8", data: { passport: { user: "8" } } });
    });
  });

  describe("concurrent requests of one session: data is never merged across users (R42)", () => {
    const both = async (first: Act, second: Act, old: string, order: "one by one" | "at once") => {
      const by = [manager(), manager()] as const;
      const loaded = await Promise.all(by.map((one) => one.load(old)));
      await first(loaded[0]!);
      await second(loaded[1]!);
      const commit = (at: 0 | 1) => commitForResponse(by[at] as never, loaded[at] as never);
      if (order === "at once") return Promise.all([commit(0), commit(1)]);
      return [await commit(0), await commit(1)];
    };

    for (const order of ["one by one", "at once"] as const) {
      test(`two users log in ${order} → two sessions, each with its own data only`, async () => {
        const old = await begin((session) => (session.data["visits"] = 1));
        const answers = await both(
          logInAs("7", { secret: "of 7" }),
          logInAs("8", { secret: "of 8" }),
          old,
          order,
        );
        const found = await Promise.all(answers.map((one) => seen(cookieOf(one))));
        for (const [at, user] of ["7", "8"].entries()) {
          const { visits: _kept, ...data } = found[at]!.data;
          assert.deepEqual(data, { passport: { user }, secret: `of ${user}` });
        }
        assert.equal(
          found.filter((one) => "visits" in one!.data).length,
          1,
          "the winner takes along what was there",
        );
        assert.equal(await held.store.count(now), 2);
        assert.equal(await seen(old), null);
      });

      test(`the same user logs in twice ${order} → two sessions of that user`, async () => {
        const old = await begin((session) => (session.data["visits"] = 1));
        const answers = await both(logInAs("7", { a: 1 }), logInAs("7", { b: 1 }), old, order);
        assert.deepEqual(
          (await Promise.all(answers.map((one) => seen(cookieOf(one))))).map((one) => one!.user),
          ["7", "7"],
        );
        assert.equal((await sessions.forUser("7").list()).length, 2);
      });
    }

    test("a login, then a change of the session before it → the change is not saved (promise 3)", async () => {
      const old = await begin((session) => (session.data["visits"] = 1));
      const [login, change] = await both(
        logInAs("7"),
        (session) => (session.data["x"] = 1),
        old,
        "one by one",
      );
      assert.equal(change, null, "R41");
      assert.deepEqual((await seen(cookieOf(login!)))!.data, { visits: 1, passport: { user: "7" } });
    });

    test("a change, then a login → the login takes it along (promise 2)", async () => {
      const old = await begin((session) => (session.data["visits"] = 1));
      const [, login] = await both((session) => (session.data["x"] = 1), logInAs("7"), old, "one by one");
      assert.deepEqual((await seen(cookieOf(login!)))!.data, { visits: 1, x: 1, passport: { user: "7" } });
    });

    test("a change as one user, then another logs in → the other has nothing of it", async () => {
      const old = await begin(logInAs("7", { cart: 1 }));
      const [, login] = await both((session) => (session.data["x"] = 1), logInAs("8"), old, "one by one");
      assert.deepEqual(await seen(cookieOf(login!)), { user: "8", data: { passport: { user: "8" } } });
    });

    test("two changes that name a user together → a login when they are merged", async () => {
      const two = { userOf: ({ realm, id }: Data) => (realm && id ? `${realm}:${id}` : undefined) };
      sessions = manager(two);
      const old = await begin((session) => (session.data["n"] = 1));
      const [first, second] = [await sessions.load(old), await sessions.load(old)];
      first.data["realm"] = "a";
      second.data["id"] = "7";
      assert.equal(await sessions.commit(first), null);
      const cookie = cookieOf(await sessions.commit(second));
      assert.equal(await seen(old), null);
      assert.deepEqual(await seen(cookie), { user: "a:7", data: { n: 1, realm: "a", id: "7" } });
    });

    test.each([
      ["7", undefined],
      ["7", "8"],
      [undefined, "8"],
    ])(
      "another release changed the user in place from %s to %s → a request of before saves nothing into it",
      async (before, after) => {
        const old = await begin(
          before === undefined ? (session) => (session.data["n"] = 1) : logInAs(before),
        );
        const session = await sessions.load(old);
        logInAs(before ?? "9", { mine: 1 })(session);
        const { row, token } = stateOf(session as never).stored!;
        const records = recordsOf(sessions as never);
        const data = { theirs: 1, ...(after !== undefined && { passport: { user: after } }) };
        const plaintext = records.settings.format.encode({ data, user: after, flash: {} }, null);
        assert.equal(await records.update(row, records.next(token, plaintext, after, row), "save"), true);
        const answer = await sessions.commit(session);
        assert.deepEqual(await seen(old), { user: after, data });
        if (before === undefined) {
          assert.deepEqual(await seen(cookieOf(answer)), {
            user: "9",
            data: { passport: { user: "9" }, mine: 1 },
          });
        } else {
          assert.equal(answer, null);
        }
      },
    );
  });

  describe("sessions.update: a change of user is a login (R17)", () => {
    const update = async (old: string, change: (data: Data) => void, before: Act = () => {}) => {
      const session = await sessions.load(old);
      await before(session);
      await sessions.update(session, change);
      const { data, user } = session;
      return { data: { ...data }, user, cookie: cookieOf(await sessions.commit(session)) };
    };

    test("nobody → a user: new id, clocks restart, data is kept", async () => {
      const old = await begin((session) => (session.data["n"] = 1));
      now += 50 * minute;
      const { cookie, data } = await update(old, (draft) => void (draft["passport"] = { user: "7" }));
      assert.equal(await seen(old), null);
      assert.deepEqual(await seen(cookie), { user: "7", data: { n: 1, passport: { user: "7" } } });
      assert.deepEqual(data, { n: 1, passport: { user: "7" } });
      assert.equal((await sessions.load(cookie)).createdAt.getTime(), now);
    });

    test("one user → another: what the change set, and what this request set besides", async () => {
      const old = await begin(logInAs("7", { cart: 1 }));
      const { cookie } = await update(
        old,
        (draft) => void Object.assign(draft, { passport: { user: "8" }, x: 1 }),
        (session) => (session.data["y"] = 1),
      );
      assert.equal(await seen(old), null);
      assert.deepEqual(await seen(cookie), { user: "8", data: { passport: { user: "8" }, x: 1, y: 1 } });
    });

    test("a user → nobody: new id, and nothing of before", async () => {
      const old = await begin(logInAs("7", { cart: 1 }));
      const { cookie, user } = await update(old, (draft) => void delete draft["passport"]);
      assert.equal(user, undefined);
      assert.equal(await seen(old), null);
      assert.deepEqual(await seen(cookie), { user: undefined, data: {} });
    });

    test("after a login in the data that is not saved yet → the login is saved first", async () => {
      const old = await begin((session) => (session.data["n"] = 1));
      const { cookie } = await update(old, (draft) => void (draft["n"] += 1), logInAs("7"));
      assert.equal(await seen(old), null);
      assert.deepEqual(await seen(cookie), { user: "7", data: { n: 2, passport: { user: "7" } } });
    });

    test("of a session that another user's login replaced → SessionEndedError, nothing is merged", async () => {
      const old = await begin((session) => (session.data["n"] = 1));
      const session = await sessions.load(old);
      await request(old, logInAs("8"));
      await assert.rejects(
        sessions.update(session, (draft) => void (draft["passport"] = { user: "7" })),
        SessionEndedError,
      );
      assert.equal((await sessions.forUser("7").list()).length, 0);
    });
  });

  describe("sessions.update: a change of user whose answer is lost (R42)", () => {
    const losing = () => {
      let lose = true;
      const store = around(held.store, async (operation, call) => {
        const answer = await call();
        if (operation !== "replace" || !lose) return answer;
        lose = false;
        throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
      });
      return manager({ store });
    };
    const switchTo = (user: string | undefined) => (draft: Data) => {
      if (user === undefined) delete draft["passport"];
      else draft["passport"] = { user };
    };

    test.each(["8", undefined])(
      "to %s: changes before the update → go along; changes after it, for the former user → do not",
      async (user) => {
        const old = await begin(logInAs("7", { cart: 1 }));
        const by = losing();
        const session = await by.load(old);
        session.data["before"] = 1;
        await assert.rejects(by.update(session, switchTo(user)), StoreUnavailableError);
        assert.equal(session.user, "7");
        session.data["after"] = "of 7";
        const cookie = cookieOf(await by.commit(session));
        const data = { before: 1, ...(user && { passport: { user } }) };
        assert.deepEqual(await seen(cookie), { user, data });
        assert.deepEqual([session.user, { ...session.data }], [user, data]);
      },
    );

    test("a value that cannot be stored was set before → only what the change set goes along", async () => {
      const old = await begin(logInAs("7", { cart: 1 }));
      const by = losing();
      const session = await by.load(old);
      session.data["before"] = () => 1;
      await assert.rejects(by.update(session, switchTo("8")), StoreUnavailableError);
      const cookie = cookieOf(await by.commit(session));
      assert.deepEqual(await seen(cookie), { user: "8", data: { passport: { user: "8" } } });
    });

    test("a reset follows → nothing of either user's", async () => {
      const old = await begin(logInAs("7", { cart: 1 }));
      const by = losing();
      const session = await by.load(old);
      await assert.rejects(by.update(session, switchTo("8")), StoreUnavailableError);
      session.reset();
      session.data["fresh"] = 1;
      const cookie = cookieOf(await by.commit(session));
      assert.deepEqual(await seen(cookie), { user: undefined, data: { fresh: 1 } });
    });
  });

  describe("sessions.update of a new session after session.login (R17)", () => {
    test("userOf finds nobody in the data → a TypeError, as from commit, and nothing is stored", async () => {
      const session = await sessions.load(null);
      session.login("7");
      await expect(sessions.update(session, (draft) => void (draft["n"] = 1))).rejects.toThrow(
        /session\.login and `userOf` name different users/,
      );
      assert.equal(await held.store.count(now), 0);
      logInAs("7")(session);
      await sessions.update(session, (draft) => void (draft["n"] = 1));
      const cookie = cookieOf(await sessions.commit(session));
      assert.deepEqual(await seen(cookie), { user: "7", data: { n: 1, passport: { user: "7" } } });
    });

    test("the change sets another user → a TypeError, and nothing is stored", async () => {
      const session = await sessions.load(null);
      session.login("7");
      await expect(
        sessions.update(session, (draft) => void (draft["passport"] = { user: "8" })),
      ).rejects.toThrow(/name different users/);
      assert.equal(await held.store.count(now), 0);
    });

    test("the change sets what userOf reads → the login is stored", async () => {
      const session = await sessions.load(null);
      session.login("7");
      await sessions.update(session, (draft) => void (draft["passport"] = { user: "7" }));
      assert.equal((await sessions.forUser("7").list()).length, 1);
    });
  });

  describe("a login whose session ended meanwhile starts with what this request set (promise 3)", () => {
    const ends: Record<string, (cookie: string) => Promise<unknown>> = {
      destroyed: (cookie) => request(cookie, (session) => session.destroy()),
      erased: () => sessions.eraseUser("7"),
      "given a new id": (cookie) => request(cookie, (session) => session.regenerate()),
      expired: async () => void (now += 61 * minute),
    };
    const logins: Record<string, Act> = {
      "session.login": (session) => {
        session.login("7");
        logInAs("7")(session);
      },
      "session.login of another user": (session) => {
        session.login("8");
        logInAs("8")(session);
      },
      userOf: logInAs("8"),
    };
    for (const [how, end] of Object.entries(ends)) {
      for (const [name, logIn] of Object.entries(logins)) {
        test(`${how}, and ${name} → nothing of before`, async () => {
          const user = name === "session.login" ? "7" : "8";
          const old = await begin((session) => {
            session.data["secret"] = "of before";
            // `userOf` finds no other in what is kept
            if (name !== "session.login") logInAs("7")(session);
            else session.data["passport"] = { user: "7", since: 1 };
          });
          const session = await sessions.load(old);
          await logIn(session);
          session.data["fresh"] = 1;
          await end(old);
          const cookie = cookieOf(await sessions.commit(session));
          assert.deepEqual(await seen(cookie), { user, data: { passport: { user }, fresh: 1 } });
          assert.deepEqual(session.data, { passport: { user }, fresh: 1 });
        });
      }
    }

    test("found ended by a commit, and then logged in → nothing of before", async () => {
      const byLogin = manager({ userOf: undefined as never });
      const old = await begin((session) => (session.data["secret"] = 1), byLogin);
      const session = await byLogin.load(old);
      session.data["x"] = 1;
      await request(old, (other) => other.destroy(), byLogin);
      assert.equal(await byLogin.commit(session), null);
      session.login("7");
      const cookie = cookieOf(await byLogin.commit(session));
      const { user, data } = await byLogin.load(cookie);
      assert.deepEqual([user, data], ["7", { x: 1 }]);
    });

    test("its user logs in once more and userOf finds nobody in what is left → SessionEndedError", async () => {
      const old = await begin(logInAs("7"));
      const session = await sessions.load(old);
      session.login("7");
      await request(old, (other) => other.destroy());
      await assert.rejects(sessions.commit(session), SessionEndedError);
      assert.equal(await held.store.count(now), 0);
    });
  });

  describe("R41: a destroy whose answer was lost", () => {
    const losing = () => {
      let lose = true;
      const store = around(held.store, async (operation, call) => {
        if (operation !== "delete" || !lose) return call();
        lose = false;
        throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
      });
      return manager({ store });
    };

    test.each(["7", undefined])("and a concurrent regenerate of %s won → clears no cookie", async (user) => {
      const old = await begin(user === undefined ? (session) => (session.data["n"] = 1) : logInAs(user));
      const by = losing();
      const session = await by.load(old);
      session.destroy();
      await assert.rejects(by.commit(session), StoreUnavailableError);
      now += 1000;
      await request(old, (other) => other.regenerate());
      assert.equal(await by.commit(session), null);
      assert.equal(await held.store.count(now), 1);
    });
  });
});
