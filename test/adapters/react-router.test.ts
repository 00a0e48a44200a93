import assert from "node:assert/strict";
import { redirect, type SessionStorage } from "react-router";
import { afterEach, beforeEach, test } from "vitest";
import { createStoredSessionStorage, requireFresh } from "../../src/adapters/react-router.ts";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { applicationOf } from "./react-router-app.ts";
import { eachStore, type TestStore } from "../session/stores.ts";

interface Data {
  userId: string;
  cart: { sku: string; at: Date }[];
}
interface Flash {
  notice: string;
}

eachStore((_, create) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(() => held.drop());

  function managed() {
    const watched = new WatchedStore(held.store);
    const sessions = createSessionManager<Data>({ store: watched.store, keys: generateKey() });
    return { watched, sessions, storage: createStoredSessionStorage<Data, Flash>({ sessions }) };
  }

  const pair = (setCookie: string) => setCookie.split(";")[0]!;

  test("React Router: has, get, set, unset and flash → work with rich types", async () => {
    const { storage } = managed();
    const at = new Date(0);
    const first = await storage.getSession();
    assert.equal(first.id, "");
    first.set("cart", [{ sku: "tea", at }]);
    first.flash("notice", "hello");
    assert.deepEqual(first.data, { cart: [{ sku: "tea", at }], notice: "hello" });
    const cookie = pair(await storage.commitSession(first));

    const second = await storage.getSession(cookie);
    assert.equal(second.id, first.id);
    assert.equal(second.has("notice"), true);
    assert.equal(second.get("notice"), "hello");
    assert.equal(second.has("notice"), false);
    assert.equal(second.get("notice"), undefined);
    assert.deepEqual(second.get("cart"), [{ sku: "tea", at }]);
    second.unset("cart");
    assert.equal(await storage.commitSession(second), "", "the cookie needs no renewal");

    assert.deepEqual((await storage.getSession(cookie)).data, {});
  });

  test("React Router: a session that was never used → not stored, and no cookie (promise 1)", async () => {
    const { storage, watched } = managed();
    assert.equal(await storage.commitSession(await storage.getSession("__Host-session=made-up")), "");
    assert.deepEqual(watched.calls, []);
  });

  test("React Router: login → a new id; logout → the cookie is cleared (R13, R17)", async () => {
    const { storage } = managed();
    const visit = await storage.getSession();
    visit.set("cart", []);
    const anonymous = pair(await storage.commitSession(visit));
    const login = await storage.getSession(anonymous);
    login.stored.login("42");
    const headers = await storage.commitHeaders(login, { location: "/" });
    assert.equal(headers.get("cache-control"), "no-store");
    assert.equal(headers.get("vary"), "Cookie");
    const known = pair(headers.getSetCookie()[0]!);
    assert.equal((await storage.getSession(anonymous)).id, "");
    assert.equal((await storage.getSession(known)).stored.user, "42");
    assert.match(
      await storage.destroySession(await storage.getSession(known)),
      /^__Host-session=; Max-Age=0/,
    );
    assert.equal((await storage.getSession(known)).id, "");
    assert.equal(
      await storage.destroySession(await storage.getSession(known)),
      "",
      "there is nothing to clear",
    );
  });

  test("React Router: parallel actions → no lost update, and a save in flight does not bring an ended session back (promises 2 and 3)", async () => {
    const { storage } = managed();
    const visit = await storage.getSession();
    visit.set("userId", "1");
    const cookie = pair(await storage.commitSession(visit));
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => storage.getSession(cookie)));
    a!.set("cart", []);
    b!.set("userId", "2");
    await Promise.all([storage.commitSession(a!), storage.commitSession(b!)]);
    assert.deepEqual((await storage.getSession(cookie)).data, { userId: "2", cart: [] });
    await storage.destroySession(await storage.getSession(cookie));
    c!.set("userId", "3");
    assert.equal(await storage.commitSession(c!), "");
    assert.equal((await storage.getSession(cookie)).id, "");
  });

  test("React Router: misuse → an error that says what to do", async () => {
    const { storage } = managed();
    const other = managed().storage;
    await assert.rejects(storage.commitSession({} as never), TypeError);
    await assert.rejects(
      storage.commitSession(await other.getSession(), { maxAge: 60 }),
      /createSessionManager/,
    );
    await storage.commitSession(await storage.getSession(), {});
  });

  test("React Router: loaders and actions of a real app → served through it as a SessionStorage", async () => {
    const { storage, watched } = managed();
    // eslint-disable-next-line @typescript-eslint/no-unused-vars -- the assignment is the test
    const typed: SessionStorage<Data, Flash> = storage;
    void typed;
    const route = {
      async loader({ request }: { request: Request }) {
        const session = await storage.getSession(request.headers.get("cookie"));
        const notice = session.get("notice") ?? null;
        // Before 7.9, a route without a page has to return a response.
        return Response.json(
          { notice, userId: session.get("userId") ?? null },
          { headers: await storage.commitHeaders(session) },
        );
      },
      async action({ request }: { request: Request }) {
        const session = await storage.getSession(request.headers.get("cookie"));
        session.set("userId", "42");
        session.flash("notice", "Welcome");
        return redirect("/", { headers: { "Set-Cookie": await storage.commitSession(session) } });
      },
    };
    const handler = applicationOf({ root: { id: "root", path: "/", module: route } });
    const ask = (init?: RequestInit) => handler(new Request("http://localhost/", init));
    const login = await ask({
      method: "POST",
      body: "",
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    assert.equal(login.status, 302);
    const cookie = pair(login.headers.getSetCookie()[0]!);
    const page = await ask({ headers: { cookie } });
    assert.deepEqual(await page.json(), { notice: "Welcome", userId: "42" });
    assert.deepEqual(await (await ask({ headers: { cookie } })).json(), { notice: null, userId: "42" });
    watched.down("all");
    const down = await ask({ headers: { cookie } });
    assert.equal(down.status, 500, "React Router answers what a loader throws");
  });

  test("React Router: committed twice → both return the cookie of the login", async () => {
    const { storage } = managed();
    const session = await storage.getSession();
    session.stored.login("42");
    const first = await storage.commitSession(session);
    assert.notEqual(first, "");
    assert.equal(await storage.commitSession(session), first);
    assert.deepEqual((await storage.commitHeaders(session)).getSetCookie(), [first]);
    assert.match(await storage.destroySession(session), /^__Host-session=; Max-Age=0/);
  });

  test("React Router: requireFresh → throws a redirect that returns the user afterwards, or 401 (R58)", async () => {
    const { sessions, storage } = managed();
    const fresh = requireFresh("5 min", { redirectTo: "/confirm", level: "aal2" });
    const request = new Request("http://localhost/account?tab=2", { headers: { "sec-fetch-mode": "cors" } });
    const visit = await storage.getSession();
    const thrown = (work: () => void): Response => {
      try {
        work();
      } catch (error) {
        return error as Response;
      }
      throw new Error("nothing was thrown");
    };
    const answer = thrown(() => fresh(visit, request));
    assert.equal(answer.status, 303);
    assert.equal(answer.headers.get("location"), "/confirm?return_to=%2Faccount%3Ftab%3D2");
    assert.equal(answer.headers.get("vary"), "Cookie");
    const denied = thrown(() => requireFresh("5 min", { level: ["aal2", "aal3"] })(visit, request));
    assert.equal(denied.status, 401);
    assert.deepEqual(await denied.json(), {
      error: "insufficient_user_authentication",
      max_age: 300,
      acr_values: "aal2 aal3",
    });
    visit.stored.login("42", { level: "aal2" });
    const cookie = pair(await storage.commitSession(visit));
    fresh(await storage.getSession(cookie), request);
    assert.equal((await sessions.load(cookie)).level, "aal2");
  });
});
