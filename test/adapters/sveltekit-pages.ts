import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "vitest";
import { takeKept, type SharedManager } from "../../src/adapters/shared-manager.ts";
import { svelteKitSessions } from "../../src/adapters/sveltekit.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import type { RunningApp } from "../../src/testing/index.ts";
import { Visitor, type Answer } from "../../src/testing/adapter-world.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";

const world = globalThis as unknown as {
  managersCreated: string[];
  managerOptions: object;
  contractApp: unknown;
  streaming: Promise<unknown>;
};

/** What a page of the application prints. */
function printed({ body }: Answer): { user: string | null; data: object; notice: string; visits: number } {
  const [, json = ""] = /<pre[^>]*>(.*?)<\/pre>/.exec(body) ?? [];
  assert.notEqual(json, "", body);
  return JSON.parse(json.replaceAll("&quot;", '"')) as never;
}

const form = (headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  body: new URLSearchParams({ a: "1" }),
  headers: { accept: "text/html", ...headers },
});

/** What SvelteKit does around the session. `start` starts a server of test/adapters/sveltekit-app. */
export function svelteKitPages(start: () => Promise<RunningApp>): void {
  const check = (
    name: string,
    body: (app: {
      visitor: (cookie?: string) => Visitor;
      /** Sends the form of an action. */
      act: (visitor: Visitor, action: string, headers?: Record<string, string>) => Promise<Answer>;
      watched: WatchedStore;
      url: string;
    }) => Promise<void>,
  ) =>
    test(`sveltekit: ${name}`, async () => {
      const watched = new WatchedStore(memoryStore());
      takeKept("sveltekit session");
      world.contractApp = undefined;
      world.managersCreated = [];
      world.managerOptions = { store: watched.store, keys: generateKey() };
      const app = await start();
      try {
        await body({
          visitor: (cookie) => new Visitor(app.url, cookie),
          act: (visitor, action, headers) =>
            visitor.get(`/page?/${action}`, form({ origin: app.url, ...headers })),
          watched,
          url: app.url,
        });
      } finally {
        await app.close();
        await takeKept<SharedManager<never>>("sveltekit session")?.manager.close();
      }
    });

  check(
    "a proof of a browser is the first request → answered; forms of another site → 403 (R60)",
    async ({ visitor }) => {
      world.managerOptions = { ...world.managerOptions, deviceBinding: { mode: "offer" } };
      const post = (headers: Record<string, string>) =>
        visitor().get("/.well-known/stored-session", { method: "POST", headers });
      const proof = await post({ "secure-session-response": "x" });
      assert.deepEqual([proof.status, proof.body], [401, '{"error":"device_session_unknown"}']);
      const origin = "https://evil.example";
      for (const more of [{}, { "secure-session-response": "x", "content-type": "text/plain" }]) {
        const { status, body } = await post({ origin, ...more });
        assert.equal(status, 403);
        assert.match(body, /Cross-site POST form submissions are forbidden/);
      }
    },
  );

  check("nobody's page → no statement and no cookie (promise 1)", async ({ visitor, watched }) => {
    const { status, setCookies } = await visitor().get("/page");
    assert.deepEqual([status, setCookies, watched.calls], [200, [], []]);
    assert.equal(world.managersCreated.length, 1);
  });

  check("a prerendered page → no manager is created", async ({ visitor }) => {
    assert.match((await visitor().get("/static")).body, /made by the build/);
    assert.equal(world.managersCreated.length, 0);
  });

  check(
    "an action logs in, flashes and redirects → saved first; the page shows the flash once (promise 4, R17)",
    async ({ visitor, act }) => {
      const someone = visitor();
      await someone.get("/page?begin");
      const before = someone.cookie;
      const answer = await act(someone, "login");
      assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/page"]);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.notEqual(someone.cookie, before);
      const page = printed(await someone.get("/page"));
      assert.deepEqual(page, { user: "42", data: { begun: true }, notice: "Welcome back." });
      assert.equal(printed(await someone.get("/page")).notice, "none");
    },
  );

  check("an action that the client sends (use:enhance) → JSON with the cookie", async ({ visitor, act }) => {
    const someone = visitor();
    const answer = await act(someone, "login", {
      accept: "application/json",
      "x-sveltekit-action": "true",
    });
    assert.deepEqual(JSON.parse(answer.body), { type: "redirect", status: 303, location: "/page" });
    assert.equal(answer.setCookies.length, 1);
    const data = await someone.get("/page/__data.json?x-sveltekit-invalidated=01");
    assert.match(data.body, /Welcome back/);
    assert.equal(printed(await someone.get("/page")).notice, "none", "the data request took it");
  });

  for (const [action, status] of [
    ["loginThenError", 418],
    ["loginThenThrow", 500],
  ] as const) {
    check(
      `${action}: an action → what it changed is saved, and its cookie is sent`,
      async ({ visitor, act }) => {
        const someone = visitor();
        assert.equal((await act(someone, action)).status, status);
        assert.equal(printed(await someone.get("/page")).user, "42");
      },
    );
  }

  check("a load calls error(404) → its changes are saved", async ({ visitor }) => {
    const someone = visitor();
    assert.equal((await someone.get("/page?begin&missing")).status, 404);
    assert.deepEqual(printed(await someone.get("/page")).data, { begun: true });
  });

  check(
    "setHeaders makes a page public, cookies.set sets another cookie → no-store, and both cookies (R12)",
    async ({ visitor }) => {
      const plain = await visitor().get("/page?public");
      assert.equal(plain.headers.get("cache-control"), "public, max-age=60");
      assert.equal(plain.headers.get("vary"), "Accept-Language, Cookie");
      const begun = await visitor().get("/page?public&begin&theme");
      assert.equal(begun.headers.get("cache-control"), "no-store");
      assert.equal(begun.setCookies.length, 2);
    },
  );

  check(
    "a later hook redirects → the flash is saved, in the form that each client reads",
    async ({ visitor }) => {
      const someone = visitor();
      const page = await someone.get("/static/nowhere?guard", { headers: { accept: "text/html" } });
      assert.deepEqual(
        [page.status, page.headers.get("location"), page.setCookies.length],
        [303, "/page", 1],
      );
      assert.equal(printed(await someone.get("/page")).notice, "Log in first.");
      const data = await someone.get("/page/__data.json?guard&x-sveltekit-invalidated=01");
      assert.deepEqual(JSON.parse(data.body), { type: "redirect", status: 303, location: "/page" });
      assert.equal(printed(await someone.get("/page")).notice, "Log in first.");
    },
  );

  check("a later hook throws → 500, and nothing is saved", async ({ visitor, watched }) => {
    const answer = await visitor().get("/page?hook-throws");
    assert.deepEqual([answer.status, answer.setCookies, watched.calls], [500, [], []]);
  });

  check("a load fetches its own API → both share the session, saved once", async ({ visitor, watched }) => {
    const someone = visitor();
    const first = await someone.get("/sub");
    assert.equal(first.setCookies.length, 1);
    assert.deepEqual(printed(first), { data: { outer: true, visits: 2 }, visits: 1 });
    assert.deepEqual(watched.calls, ["insert"]);
    const second = await someone.get("/sub");
    assert.deepEqual(printed(second), { data: { outer: true, visits: 4 }, visits: 3 });
    assert.deepEqual(watched.calls, ["insert", "read", "update"]);
  });

  check("a load fetches its own API without credentials → nobody's session", async ({ visitor }) => {
    const someone = visitor();
    await someone.get("/sub");
    assert.deepEqual(printed(await visitor(someone.cookie).get("/sub?omit")), {
      data: { outer: true, visits: 2 },
      visits: 1,
    });
  });

  check(
    "a streamed load changes the session → the page was sent, and a warning says so",
    async ({ visitor, url }) => {
      const streaming = Promise.withResolvers<void>();
      world.streaming = streaming.promise;
      const warned = once(process, "warning");
      const someone = visitor();
      await someone.get("/page?begin");
      const answer = await fetch(`${url}/page?late`, { headers: { cookie: someone.cookie } });
      streaming.resolve();
      assert.match(await answer.text(), /streamed/);
      assert.equal(((await warned) as [{ code: string }])[0].code, "STORED_SESSION_CHANGED_AFTER_RESPONSE");
      assert.deepEqual(printed(await someone.get("/page")).data, { begun: true });
    },
  );

  check(
    "a prefetch of a page that would change the session → 503 for the browser to ask again, and nothing is saved",
    async ({ visitor, act, watched }) => {
      const prefetch = { headers: { "sec-purpose": "prefetch;prerender" } };
      const someone = visitor();
      await act(someone, "login");
      watched.calls.length = 0;
      const early = await someone.get("/page", prefetch);
      assert.deepEqual([early.status, early.headers.get("cache-control"), early.body], [503, "no-store", ""]);
      assert.deepEqual(watched.calls, ["read"]);
      assert.equal(printed(await someone.get("/page")).notice, "Welcome back.");
      assert.equal(printed(await someone.get("/page", prefetch)).user, "42", "it changes nothing");
    },
  );

  check(
    "the store is down → error() that onError throws is rendered, never an anonymous page (promise 8)",
    async ({ visitor, act, watched }) => {
      const someone = visitor();
      await act(someone, "login");
      watched.down("all");
      const page = await someone.get("/page", { headers: { accept: "text/html" } });
      assert.equal(page.status, 503);
      assert.match(page.body, /of the application/);
      assert.equal((await visitor().get("/page")).status, 200);
      watched.up();
      assert.equal(printed(await someone.get("/page")).user, "42");
    },
  );

  check("address option → stored with the session that begins", async ({ act, visitor }) => {
    await act(visitor(), "login", { "x-real-ip": "10.0.0.9", "user-agent": "a browser" });
    const manager = createSessionManager(world.managerOptions as never);
    const [device] = await manager.forUser("42").list();
    assert.deepEqual(device?.client, { address: "10.0.0.9", userAgent: "a browser" });
  });

  test("sveltekit: a build → creates no manager, and a page that uses the session says that it cannot be prerendered", async () => {
    const { handle } = svelteKitSessions(() => assert.fail("created"), { building: true });
    const locals: { session?: unknown } = {};
    const event = { locals } as never;
    const response = new Response("made by the build");
    assert.equal(await handle({ event, resolve: () => response }), response);
    assert.throws(() => locals.session, /^TypeError: A prerendered page has no session/);
  });

  test("sveltekit: wrong arguments → a TypeError at once that says what to pass", () => {
    const manager = createSessionManager({ store: memoryStore(), keys: generateKey() });
    assert.throws(() => svelteKitSessions(manager as never, { building: false }), /takes a function/);
    assert.throws(() => svelteKitSessions(() => manager, {} as never), /`building` is missing/);
    assert.throws(() => svelteKitSessions(() => manager, undefined as never), /`building` is missing/);
  });

  test("sveltekit: the default response to an outage → a short text, or JSON that SvelteKit's client reads; a bug goes to handleError", async () => {
    const watched = new WatchedStore(memoryStore());
    const keys = generateKey();
    const sessions = svelteKitSessions(
      () => createSessionManager<{ n: unknown }>({ store: watched.store, keys }),
      {
        building: false,
        property: "mine",
      },
    );
    const ask = (event: object, headers: Record<string, string> = {}) => {
      const locals: Record<string, { data: { n?: unknown } }> = {};
      const request = new Request("http://localhost/", { headers });
      return sessions.handle({
        event: {
          request,
          url: new URL(request.url),
          locals,
          getClientAddress: () => assert.fail(),
          ...event,
        } as never,
        resolve() {
          locals["mine"]!.data.n = event === bug ? () => 1 : 1;
          return new Response("hello");
        },
      });
    };
    const bug = {};
    watched.down("writes");
    const page = await ask({ isDataRequest: false });
    assert.deepEqual([page.status, await page.text()], [503, "Service Unavailable"]);
    const message = "Service Unavailable";
    const data = await ask({ isDataRequest: true });
    assert.deepEqual([data.status, await data.json()], [503, { status: 503, message }]);
    const action = await ask({}, { "x-sveltekit-action": "true" });
    assert.deepEqual(await action.json(), { type: "error", status: 503, error: { status: 503, message } });
    for (const { headers } of [page, data, action]) assert.equal(headers.get("cache-control"), "no-store");
    watched.up();
    await assert.rejects(ask(bug), { status: 500 });
    await sessions.close();
  });
}
