import assert from "node:assert/strict";
import { test } from "vitest";
import { takeSharedManager } from "../../src/adapters/next/shared.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { fakeClock, type RunningApp } from "../../src/testing/index.ts";
import { until, Visitor, type Answer } from "../../src/testing/adapter-world.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";
import { formOf } from "./next-server.ts";

const world = globalThis as unknown as {
  managersCreated: string[];
  managerOptions: object;
  seenInAction: unknown;
};

/** What a page of the application prints. */
function printed({ body }: Answer): { user: string | null; data: object; notice: string; theirs: string } {
  const [, json = ""] = /<pre>(.*?)<\/pre>/.exec(body) ?? [];
  assert.notEqual(json, "", body);
  return JSON.parse(json.replaceAll("&quot;", '"')) as never;
}

/** Sends the form of an action, as a browser without JavaScript does. */
async function submit(visitor: Visitor, path: string, id: string): Promise<Answer> {
  const { body } = await visitor.get(path);
  return visitor.get(path, { method: "POST", body: formOf(body, id) });
}

/** What pages, actions and a proxy do around the session. `start` starts a server of test/adapters/next-app. */
export function nextPages(start: () => Promise<RunningApp>): void {
  const check = (
    name: string,
    body: (app: {
      visitor: (cookie?: string) => Visitor;
      watched: WatchedStore;
      clock: ReturnType<typeof fakeClock>;
      url: string;
    }) => Promise<void>,
  ) =>
    test(`next: ${name}`, async () => {
      const watched = new WatchedStore(memoryStore());
      const clock = fakeClock();
      world.managersCreated = [];
      world.managerOptions = { store: watched.store, keys: generateKey(), clock: clock.now };
      const app = await start();
      try {
        await body({ visitor: (cookie) => new Visitor(app.url, cookie), watched, clock, url: app.url });
      } finally {
        await app.close();
        await takeSharedManager("pages")?.manager.close();
      }
    });

  check("page, route handler, proxy and action → one manager between their bundles", async ({ visitor }) => {
    const someone = visitor();
    await submit(someone, "/proxied/page", "stay");
    await someone.get("/config-page");
    const { body } = await someone.get("/config-route");
    assert.deepEqual(JSON.parse(body), { user: null, data: { stayed: true } });
    assert.equal(world.managersCreated.length, 1);
  });

  check(
    "actions, pages and the proxy of a device-bound session → registered, used, refreshed, stolen, logged out (R60)",
    async ({ visitor, clock }) => {
      const path = "/proxied/device";
      Object.assign(world.managerOptions, { deviceBinding: { mode: "offer", path } });
      const owner = visitor();
      const device = new SoftwareDevice();
      const post = (headers: Record<string, string>) => owner.get(path, { method: "POST", headers });
      const login = await submit(owner, "/proxied/page", "login");
      const offered = challengeIn(login.headers.get("secure-session-registration"));
      const registered = await post({ "secure-session-response": device.registration(offered) });
      assert.equal(registered.status, 200, registered.body);
      const { session_identifier: id } = JSON.parse(registered.body) as { session_identifier: string };
      clock.advance(60_000);
      const thief = visitor(owner.cookie.split("; ").find((one) => !one.includes("-device=")));
      assert.equal(printed(await thief.get("/proxied/page")).user, null);
      for (const action of ["stay", "rotate", "stay"]) {
        const page = printed(await submit(owner, "/proxied/page", action));
        assert.deepEqual([page.user, "stayed" in page.data], ["42", true], action);
      }
      clock.advance(20 * 60_000);
      assert.equal(printed(await visitor(owner.cookie).get("/proxied/page")).user, null);
      const asked = await post({ "sec-secure-session-id": id });
      const proof = device.proof(challengeIn(asked.headers.get("secure-session-challenge")));
      const refreshed = await post({ "sec-secure-session-id": id, "secure-session-response": proof });
      assert.equal(refreshed.status, 200, refreshed.body);
      assert.equal(printed(await owner.get("/proxied/page")).user, "42");
      assert.equal(printed(await submit(owner, "/proxied/page", "logout")).user, null);
      assert.equal(owner.cookie, "", "both cookies are cleared");
    },
  );

  check("nobody's page → no statement and no cookie (promise 1)", async ({ visitor, watched }) => {
    const { status, setCookies } = await visitor().get("/proxied/page");
    assert.deepEqual([status, setCookies, watched.calls], [200, [], []]);
  });

  check("layout and page call auth → the page reads the session once", async ({ visitor, watched }) => {
    const someone = visitor();
    await someone.get("/config-route?login");
    watched.calls.length = 0;
    const { body } = await someone.get("/proxied/page");
    assert.match(body, /layout: 42/);
    assert.deepEqual(watched.calls, ["read", "read"], "one by the proxy, one by the page");
  });

  check(
    "a browser's prefetch → takes no flash; what would change the session gets 503, which no cache stores, and is not saved",
    async ({ visitor, watched }) => {
      const prefetch = { headers: { "sec-purpose": "prefetch;prerender" } };
      const someone = visitor();
      await submit(someone, "/proxied/page", "login");
      watched.calls.length = 0;
      assert.equal(printed(await someone.get("/proxied/page", prefetch)).notice, "none");
      for (const path of ["/config-route?login", "/proxied/page?begin"]) {
        const early = await someone.get(path, prefetch);
        assert.deepEqual([early.status, early.body, early.setCookies], [503, "", []], path);
        assert.equal(early.headers.get("cache-control"), "no-store", path);
        assert.match(early.headers.get("cdn-cache-control") ?? "no-store", /no-store/, path);
      }
      assert.deepEqual(
        watched.calls.filter((call) => call !== "read"),
        [],
      );
      assert.equal(printed(await someone.get("/proxied/page")).notice, "Welcome back.");
    },
  );

  check("a visitor only views pages → the idle timeout is extended", async ({ visitor, watched, clock }) => {
    const someone = visitor();
    await someone.get("/config-route?login");
    for (let day = 0; day < 29; day++) {
      clock.advance(86_400_000);
      const touches = watched.calls.filter((call) => call === "touch").length;
      assert.match((await someone.get("/config-page")).body, /page: 42/);
      await until(() => watched.calls.filter((call) => call === "touch").length > touches);
    }
    assert.ok(!watched.calls.includes("update"));
  });

  check(
    "an action logs in, flashes and redirects → saved first; the page shows the flash once (promise 4, R17)",
    async ({ visitor }) => {
      const someone = visitor();
      await someone.get("/proxied/page?begin");
      const before = someone.cookie;
      const answer = await submit(someone, "/proxied/page", "login");
      assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/proxied/page"]);
      assert.match(answer.headers.get("cache-control")!, /no-store/);
      assert.notEqual(someone.cookie, before);
      const page = printed(await someone.get("/proxied/page"));
      assert.deepEqual(page, { user: "42", data: { begun: true }, notice: "Welcome back.", theirs: "no" });
      assert.equal(printed(await someone.get("/proxied/page")).notice, "none");
    },
  );

  for (const [id, status] of [
    ["loginThenNotFound", 404],
    ["loginThenThrow", 500],
  ] as const) {
    check(`${id}: an action → what it changed is saved, and its cookie is sent`, async ({ visitor }) => {
      const someone = visitor();
      const answer = await submit(someone, "/proxied/page", id);
      assert.equal(answer.status, status);
      assert.equal(printed(await someone.get("/proxied/page")).user, "42");
    });
  }

  check("the page that an action renders → shows what the action changed", async ({ visitor }) => {
    const someone = visitor();
    const answer = await submit(someone, "/proxied/page", "stay");
    assert.equal(answer.status, 200);
    assert.deepEqual(printed(answer).data, { stayed: true });
    assert.deepEqual(world.seenInAction, { stayed: true }, "auth() in the action is its session");
  });

  check(
    "proxy begins a session → the page of the same request sees it, whichever way the proxy passes on",
    async ({ visitor }) => {
      for (const how of ["begin", "theirs"]) {
        const someone = visitor();
        await someone.get(`/proxied/page`);
        const page = await someone.get(`/proxied/page?${how}`);
        assert.deepEqual(printed(page).data, { begun: true }, how);
        assert.equal(printed(page).theirs, how === "theirs" ? "yes" : "no");
        assert.equal(page.setCookies.length, 1);
        assert.deepEqual(printed(await someone.get("/proxied/page")).data, { begun: true });
      }
    },
  );

  check("proxy ends the session → the page of the same request sees nobody", async ({ visitor }) => {
    const someone = visitor();
    await someone.get("/config-route?login");
    assert.equal(printed(await someone.get("/proxied/page")).user, "42");
    assert.equal(printed(await someone.get("/proxied/page?logout")).user, null);
    assert.equal(someone.cookie, "");
  });

  check("proxy begins a session, an action sets another cookie → both arrive", async ({ visitor }) => {
    const someone = visitor();
    const { body } = await someone.get("/proxied/page");
    await someone.get("/proxied/page?begin", { method: "POST", body: formOf(body, "themeOfSession") });
    assert.match(someone.cookie, /theme=dark/);
    assert.deepEqual(printed(await someone.get("/proxied/page")).data, { begun: true });
  });

  check(
    "proxy sets a cookie on a prerendered page → no cache stores it (R12)",
    async ({ visitor, watched }) => {
      const anonymous = await visitor().get("/proxied/static");
      assert.match(anonymous.headers.get("cache-control")!, /s-maxage/);
      assert.deepEqual(watched.calls, []);
      const begun = await visitor().get("/proxied/static?begin");
      assert.equal(begun.setCookies.length, 1);
      assert.equal(begun.headers.get("cache-control"), "no-store");
    },
  );

  check(
    "next.config.js makes a route public → a session cookie makes it no-store (R12)",
    async ({ visitor }) => {
      const plain = await visitor().get("/config-route");
      assert.equal(plain.headers.get("cache-control"), "public, max-age=60");
      assert.match(plain.headers.get("vary")!, /\bCookie\b/);
      for (const path of [
        "/config-route?login",
        "/config-route?login&redirect",
        "/config-route?login&missing",
      ]) {
        const { headers, setCookies } = await visitor().get(path);
        assert.equal(setCookies.length, 1, path);
        assert.equal(headers.get("cache-control"), "no-store", path);
        assert.equal(headers.get("cdn-cache-control"), "no-store", path);
      }
    },
  );

  check("next.config.js makes a page public → it varies by cookie (R12)", async ({ visitor }) => {
    const { headers } = await visitor().get("/config-page");
    assert.match(headers.get("vary")!, /\bCookie\b/);
  });

  check(
    "redirect() and notFound() in a route handler → saved first; the location stays relative behind a proxy",
    async ({ visitor }) => {
      const headers = { "x-forwarded-host": "shop.example", "x-forwarded-proto": "https" };
      const someone = visitor();
      const redirected = await someone.get("/config-route?login&redirect", { headers });
      assert.deepEqual(
        [redirected.status, redirected.headers.get("location")],
        [307, "/proxied/page?a=1;b=2"],
      );
      assert.equal(printed(await someone.get("/proxied/page")).user, "42");
      const missing = visitor();
      assert.equal((await missing.get("/config-route?login&missing")).status, 404);
      assert.equal(printed(await missing.get("/proxied/page")).user, "42");
      const proxied = await visitor().get("/proxied/page?redirect", { headers });
      assert.deepEqual([proxied.status, proxied.headers.get("location")], [303, "/proxied/page"]);
      assert.equal(proxied.setCookies.length, 1);
    },
  );

  check(
    "a route handler throws, and there is no onError → 500, and nothing is saved",
    async ({ visitor, watched }) => {
      const answer = await visitor().get("/config-route?login&throw");
      assert.deepEqual([answer.status, answer.setCookies, watched.calls], [500, [], []]);
    },
  );

  check(
    "the store is down → 503 by route handlers and proxy, 500 by pages, never an anonymous page (promise 8)",
    async ({ visitor, watched }) => {
      const someone = visitor();
      await someone.get("/config-route?login");
      watched.down("all");
      for (const path of ["/config-route", "/proxied/page", "/proxied/static"]) {
        const { status, headers, setCookies } = await someone.get(path);
        assert.deepEqual([status, setCookies, headers.get("cache-control")], [503, [], "no-store"], path);
      }
      const page = await someone.get("/config-page");
      assert.equal(page.status, 500);
      assert.doesNotMatch(page.body, /nobody/);
      assert.equal((await visitor().get("/config-page")).status, 200);
      assert.equal((await visitor().get("/proxied/page")).status, 200);
      watched.up();
      assert.match((await someone.get("/config-page")).body, /page: 42/);
    },
  );

  check(
    "the store is down when an action saves → 500, no cookie, and what is stored stays (promise 4)",
    async ({ visitor, watched }) => {
      const someone = visitor();
      const { body } = await someone.get("/proxied/page?begin");
      watched.down("writes");
      const form = formOf(body, "login");
      const answer = await someone.get("/proxied/page", { method: "POST", body: form });
      assert.deepEqual([answer.status, answer.setCookies, answer.headers.get("location")], [500, [], null]);
      watched.up();
      const page = printed(await someone.get("/proxied/page"));
      assert.deepEqual([page.user, page.data], [null, { begun: true }]);
    },
  );

  check("address option → stored with the session that begins", async ({ visitor }) => {
    await visitor().get("/config-route?login", {
      headers: { "x-real-ip": "10.0.0.9", "user-agent": "a browser" },
    });
    const manager = createSessionManager(world.managerOptions as never);
    const [device] = await manager.forUser("42").list();
    assert.deepEqual(device?.client, { address: "10.0.0.9", userAgent: "a browser" });
  });

  check("keys are missing → every request says so, and none is needed to build", async ({ visitor }) => {
    world.managerOptions = { store: memoryStore() };
    assert.equal((await visitor().get("/config-page")).status, 500);
    assert.equal((await visitor().get("/proxied/static")).status, 500);
  });
}
