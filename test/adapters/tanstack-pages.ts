import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { takeKept, type SharedManager } from "../../src/adapters/shared-manager.ts";
import { tanStackSessions } from "../../src/adapters/tanstack-start.ts";
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
  return JSON.parse(json.replaceAll("&quot;", '"')) as never;
}

/** What TanStack Start does around the session. `start` starts a server of test/adapters/tanstack-app. */
export function tanStackPages(start: () => Promise<RunningApp>): void {
  const check = (
    name: string,
    body: (app: {
      visitor: (cookie?: string) => Visitor;
      /** Calls the server function, as a form without JavaScript does. */
      login: (visitor: Visitor, headers?: Record<string, string>) => Promise<Answer>;
      watched: WatchedStore;
      url: string;
    }) => Promise<void>,
  ) =>
    test(`tanstack-start: ${name}`, async () => {
      const watched = new WatchedStore(memoryStore());
      takeKept("tanstack-start sessions");
      world.contractApp = undefined;
      world.managersCreated = [];
      world.managerOptions = { store: watched.store, keys: generateKey() };
      const app = await start();
      try {
        await body({
          visitor: (cookie) => new Visitor(app.url, cookie),
          async login(visitor, headers) {
            const { body: page } = await new Visitor(app.url).get("/page");
            const [, path = ""] = /<form action="([^"]+)"/.exec(page) ?? [];
            const form = new FormData();
            form.set("a", "1");
            return visitor.get(path, {
              method: "POST",
              body: form,
              headers: { origin: app.url, "sec-fetch-site": "same-origin", ...headers },
            });
          },
          watched,
          url: app.url,
        });
      } finally {
        await app.close();
        await takeKept<SharedManager<never>>("tanstack-start sessions")?.manager.close();
      }
    });

  check("nobody's page → no statement and no cookie (promise 1)", async ({ visitor, watched }) => {
    const { status, setCookies } = await visitor().get("/page");
    assert.deepEqual([status, setCookies, watched.calls], [200, [], []]);
    assert.equal(world.managersCreated.length, 1);
  });

  check(
    "a server function logs in, flashes and throws redirect() → saved first; the page shows the flash once (promise 4, R17)",
    async ({ visitor, login }) => {
      const someone = visitor();
      await someone.get("/page?begin=1");
      const before = someone.cookie;
      const answer = await login(someone);
      assert.deepEqual([answer.status, answer.headers.get("location")], [307, "/page"], answer.body);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.notEqual(someone.cookie, before);
      const page = printed(await someone.get("/page"));
      assert.deepEqual(page, { user: "42", data: { begun: true }, notice: "Welcome back." });
      assert.equal(printed(await someone.get("/page")).notice, "none");
    },
  );

  check(
    "the client calls a server function that redirects → JSON with the cookie",
    async ({ visitor, login }) => {
      const someone = visitor();
      const answer = await login(someone, { "x-tsr-serverFn": "true" });
      assert.equal((JSON.parse(answer.body) as { to: string }).to, "/page");
      assert.equal(answer.setCookies.length, 1);
      assert.equal(printed(await someone.get("/page")).user, "42");
    },
  );

  for (const [what, status] of [
    ["redirect", 307],
    ["missing", 404],
    ["throw", 500],
  ] as const) {
    check(`a loader ends by ${what} → its changes are saved, and its cookie is sent`, async ({ visitor }) => {
      const someone = visitor();
      const answer = await someone.get(`/page?login=1&${what}=1`);
      assert.deepEqual([answer.status, answer.setCookies.length], [status, 1]);
      assert.equal(printed(await someone.get("/page")).user, "42");
    });
  }

  check(
    "setResponseHeader makes a page public, setCookie sets another cookie → no-store, and both cookies (R12)",
    async ({ visitor }) => {
      const plain = await visitor().get("/page?public=1");
      assert.equal(plain.headers.get("cache-control"), "public, max-age=60");
      assert.equal(plain.headers.get("vary"), "Cookie");
      const begun = await visitor().get("/page?public=1&begin=1&theme=1");
      assert.equal(begun.headers.get("cache-control"), "no-store");
      assert.equal(begun.setCookies.length, 2);
    },
  );

  check(
    "a deferred loader changes the session → the page was sent, and a warning says so",
    async ({ visitor, url }) => {
      const streaming = Promise.withResolvers<void>();
      world.streaming = streaming.promise;
      const warned = once(process, "warning");
      const someone = visitor();
      await someone.get("/page?begin=1");
      const answer = await fetch(`${url}/page?late=1`, { headers: { cookie: someone.cookie } });
      streaming.resolve();
      assert.match(await answer.text(), /streamed/);
      assert.equal(((await warned) as [{ code: string }])[0].code, "STORED_SESSION_CHANGED_AFTER_RESPONSE");
      assert.deepEqual(printed(await someone.get("/page")).data, { begun: true });
    },
  );

  check(
    "a prefetch that would change the session → 503 for the browser to ask again, and nothing is saved",
    async ({ visitor, login, watched }) => {
      const prefetch = { headers: { "sec-purpose": "prefetch" } };
      const someone = visitor();
      await login(someone);
      watched.calls.length = 0;
      const early = await someone.get("/page", prefetch);
      assert.deepEqual([early.status, early.headers.get("cache-control"), early.body], [503, "no-store", ""]);
      assert.deepEqual(watched.calls, ["read"]);
      assert.equal(printed(await someone.get("/page")).notice, "Welcome back.");
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

  test("tanstack-start: the build prerenders a page → without keys, and without a session", () => {
    const page = join(import.meta.dirname, "tanstack-app/dist/client/static/index.html");
    assert.match(readFileSync(page, "utf8"), /made by the build/);
    const sessions = tanStackSessions(() => assert.fail("created"));
    process.env["TSS_PRERENDERING"] = "true";
    try {
      assert.throws(() => sessions.session(), /^TypeError: A prerendered page has no session/);
    } finally {
      delete process.env["TSS_PRERENDERING"];
    }
  });

  test("tanstack-start: wrong use → a TypeError that says what to do", async () => {
    const manager = createSessionManager({ store: memoryStore(), keys: generateKey() });
    assert.throws(() => tanStackSessions(manager as never), /tanStackSessions takes a function/);
    const sessions = tanStackSessions(() => manager, { name: "unused" });
    assert.throws(() => sessions.session(), /^TypeError: There is no session here\. Wrap the server entry/);
    await sessions.close();
  });

  test("tanstack-start: the default response to an outage → the status and a short text; a bug goes to the server", async () => {
    const watched = new WatchedStore(memoryStore());
    const keys = generateKey();
    const create = () => createSessionManager<{ n: unknown }>({ store: watched.store, keys });
    const sessions = tanStackSessions(create, { name: "mine" });
    const ask = (n: unknown) =>
      sessions.fetch(() => {
        sessions.session().data.n = n;
        return new Response("hello");
      })(new Request("http://localhost/"));
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
