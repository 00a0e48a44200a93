import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "vitest";
import { astroSessions } from "../../src/adapters/astro.ts";
import { takeKept, type SharedManager } from "../../src/adapters/shared-manager.ts";
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
function printed({ body }: Answer): { user: string | null; data: object; notice: string } {
  const [, json = ""] = /<pre[^>]*>(.*?)<\/pre>/.exec(body) ?? [];
  assert.notEqual(json, "", body);
  return JSON.parse(json.replaceAll("&quot;", '"').replaceAll("&#34;", '"')) as never;
}

/** What Astro does around the session. `start` starts a server of test/adapters/astro-app. */
export function astroPages(start: () => Promise<RunningApp>): void {
  const check = (
    name: string,
    body: (app: {
      visitor: (cookie?: string) => Visitor;
      /** Sends the form of the action. */
      login: (visitor: Visitor, headers?: Record<string, string>) => Promise<Answer>;
      watched: WatchedStore;
      url: string;
    }) => Promise<void>,
  ) =>
    test(`astro: ${name}`, async () => {
      const watched = new WatchedStore(memoryStore());
      takeKept("astro session");
      world.contractApp = undefined;
      world.managersCreated = [];
      world.managerOptions = { store: watched.store, keys: generateKey() };
      const app = await start();
      const form = { method: "POST", body: new URLSearchParams({ a: "1" }) };
      try {
        await body({
          visitor: (cookie) => new Visitor(app.url, cookie),
          login: (visitor, headers) =>
            visitor.get("/page?_action=login", { ...form, headers: { origin: app.url, ...headers } }),
          watched,
          url: app.url,
        });
      } finally {
        await app.close();
        await takeKept<SharedManager<never>>("astro session")?.manager.close();
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

  check(
    "an action logs in and flashes, and the page redirects → saved first; the layout shows the flash once (promise 4, R17)",
    async ({ visitor, login }) => {
      const someone = visitor();
      await someone.get("/page?begin");
      const before = someone.cookie;
      const answer = await login(someone);
      assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/page"]);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.notEqual(someone.cookie, before);
      const page = printed(await someone.get("/page"));
      assert.deepEqual(page, { user: "42", data: { begun: true }, notice: "Welcome back." });
      assert.equal(printed(await someone.get("/page")).notice, "none");
    },
  );

  check("an action that a script calls → JSON with the cookie", async ({ visitor, url }) => {
    const someone = visitor();
    const body = new FormData();
    body.set("a", "1");
    const answer = await someone.get("/_actions/login", { method: "POST", body, headers: { origin: url } });
    assert.deepEqual([answer.status, answer.setCookies.length], [200, 1], answer.body);
    assert.equal(printed(await someone.get("/page")).user, "42");
  });

  check(
    "Astro.cookies sets another cookie, the page is public, its headers are immutable → both cookies, and no-store (R12)",
    async ({ visitor }) => {
      const plain = await visitor().get("/page?public");
      assert.equal(plain.headers.get("cache-control"), "public, max-age=60");
      assert.equal(plain.headers.get("vary"), "Cookie");
      for (const [how, status] of [
        ["public", 200],
        ["immutable", 303],
      ] as const) {
        const someone = visitor();
        const begun = await someone.get(`/page?${how}&begin&theme`);
        assert.equal(begun.status, status);
        assert.equal(begun.headers.get("cache-control"), "no-store", how);
        assert.match(someone.cookie, /theme=dark/, how);
        assert.deepEqual(printed(await someone.get("/page")).data, { begun: true }, how);
      }
    },
  );

  check("Astro.rewrite → both pages share the session, saved once", async ({ visitor, watched }) => {
    const someone = visitor();
    const first = await someone.get("/page?rewrite");
    assert.equal(first.setCookies.length, 1);
    assert.deepEqual(printed(first).data, { before: true, target: true });
    assert.deepEqual(watched.calls, ["insert"]);
    assert.deepEqual(printed(await someone.get("/page")).data, { before: true, target: true });
  });

  check(
    "404.astro replaces a response → it sees what was saved, and the cookie is sent once",
    async ({ visitor }) => {
      const someone = visitor();
      const login = await someone.get("/page?login&missing");
      assert.deepEqual([login.status, login.setCookies.length], [404, 1]);
      assert.match(login.body, /missing, 42/);
      assert.equal(login.headers.get("cache-control"), "no-store");
      assert.equal(printed(await someone.get("/page")).user, "42");
      const logout = await someone.get("/page?logout&missing");
      assert.match(logout.body, /missing, nobody/);
      assert.deepEqual([logout.setCookies.length, someone.cookie], [1, ""]);
    },
  );

  check("404.astro changes the session → that is saved too", async ({ visitor, watched }) => {
    const someone = visitor();
    const answer = await someone.get("/page?begin&missing&count");
    assert.deepEqual([answer.status, answer.setCookies.length], [404, 1]);
    assert.deepEqual(printed(await someone.get("/page")).data, { begun: true, missed: 1 });
    const nowhere = visitor();
    assert.equal((await nowhere.get("/page?missing&count")).status, 404);
    assert.deepEqual(printed(await nowhere.get("/page")).data, { missed: 1 });
    assert.deepEqual(watched.calls.filter((call) => call !== "read").length, 3);
  });

  check(
    "a page throws → 500.astro is shown, and nothing of the page is saved",
    async ({ visitor, watched }) => {
      const answer = await visitor().get("/page?login&throw");
      assert.deepEqual([answer.status, answer.setCookies, watched.calls], [500, [], []]);
      assert.match(answer.body, /failed, nobody/);
    },
  );

  check("a prerendered page → no manager is created", async () => {
    assert.equal(world.managersCreated.length, 0);
    const { onRequest } = astroSessions(() => assert.fail("created"));
    const locals: { session?: unknown } = {};
    const response = new Response("made by the build");
    const context = { locals, isPrerendered: true } as never;
    assert.equal(await onRequest(context, async () => response), response);
    assert.throws(() => locals.session, /^TypeError: A prerendered page has no session/);
  });

  check(
    "a component that is streamed changes the session → the page was sent, and a warning says so",
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
    async ({ visitor, login, watched }) => {
      const prefetch = { headers: { "sec-purpose": "prefetch" } };
      const someone = visitor();
      await login(someone);
      watched.calls.length = 0;
      const early = await someone.get("/page", prefetch);
      assert.deepEqual([early.status, early.headers.get("cache-control"), early.body], [503, "no-store", ""]);
      assert.deepEqual(watched.calls, ["read"]);
      assert.equal(printed(await someone.get("/page")).notice, "Welcome back.");
      assert.equal(printed(await someone.get("/page", prefetch)).user, "42", "it changes nothing");
    },
  );

  check(
    "the store is down → onError responds, never an anonymous page (promise 8)",
    async ({ visitor, login, watched }) => {
      const someone = visitor();
      await login(someone);
      watched.down("all");
      const page = await someone.get("/page");
      assert.deepEqual([page.status, page.body], [503, "of the application"]);
      assert.equal(page.headers.get("cache-control"), "no-store");
      assert.equal((await visitor().get("/page")).status, 200);
      watched.up();
      assert.equal(printed(await someone.get("/page")).user, "42");
    },
  );

  check("address option → stored with the session that begins", async ({ login, visitor }) => {
    await login(visitor(), { "x-real-ip": "10.0.0.9", "user-agent": "a browser" });
    const manager = createSessionManager(world.managerOptions as never);
    const [device] = await manager.forUser("42").list();
    assert.deepEqual(device?.client, { address: "10.0.0.9", userAgent: "a browser" });
  });

  test("astro: a manager in place of the function → a TypeError that says what to pass", () => {
    const manager = createSessionManager({ store: memoryStore(), keys: generateKey() });
    assert.throws(() => astroSessions(manager as never), /astroSessions takes a function/);
  });

  test("astro: the default response to an outage → the status and a short text; a bug goes to Astro", async () => {
    const watched = new WatchedStore(memoryStore());
    const keys = generateKey();
    const sessions = astroSessions(
      () => createSessionManager<{ n: unknown }>({ store: watched.store, keys }),
      {
        property: "mine",
      },
    );
    const ask = (n: unknown) => {
      const locals: Record<string, { data: { n?: unknown } }> = {};
      const request = new Request("http://localhost/");
      const context = { request, locals, isPrerendered: false, clientAddress: "10.0.0.9" };
      return sessions.onRequest(context, async () => {
        locals["mine"]!.data.n = n;
        return new Response("hello");
      });
    };
    watched.down("writes");
    const page = await ask(1);
    assert.deepEqual(
      [page.status, await page.text(), page.headers.get("cache-control")],
      [503, "Service Unavailable", "no-store"],
    );
    watched.up();
    await assert.rejects(
      ask(() => 1),
      { status: 500 },
    );
    await sessions.close();
  });
}
