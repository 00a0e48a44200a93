import { serve } from "@hono/node-server";
import { Elysia, file, status } from "elysia";
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { Readable } from "node:stream";
import { test } from "vitest";
import { requireFresh, storedSession } from "../../src/adapters/elysia.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import {
  contractError,
  contractFresh,
  contractHeaders,
  type ContractSession,
} from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

adapterOnEachDatabase("elysia", {
  async start(contract) {
    const app = new Elysia()
      .onRequest(({ set }) => void Object.assign(set.headers, contractHeaders))
      .onError(({ error, set }) => {
        const { status: code, body } = contractError(error);
        set.status = code;
        set.headers["content-type"] = "text/plain";
        return body;
      })
      .use(storedSession(contract.sessions))
      .all("/fresh/*", () => "passed", {
        beforeHandle: requireFresh(contractFresh.within, contractFresh.options),
      })
      .all("/*", async ({ request, session, set }) => {
        const { pathname, search } = new URL(request.url);
        const answer = await contract
          .route(pathname + search, () => session as ContractSession)
          .catch((error: unknown) => {
            throw error ?? new Error("Elysia itself fails when a handler throws null or undefined");
          });
        if (answer.chunks !== undefined) {
          const bytes = Readable.from(answer.chunks).map((chunk: string) => new TextEncoder().encode(chunk));
          return new Response(Readable.toWeb(bytes) as ReadableStream, {
            status: answer.status,
            headers: answer.headers,
          });
        }
        for (const [name, value] of Object.entries(answer.headers)) set.headers[name] = value;
        // Elysia's session redirect takes relative locations on Bun only.
        if (answer.redirect !== undefined)
          return new Response(null, { status: 302, headers: { location: answer.redirect } });
        if (answer.body === null)
          return new Response(null, { status: answer.status, headers: answer.headers });
        set.status = answer.status;
        return answer.body;
      });
    return running(
      serve({
        fetch: (request) => app.handle(request),
        port: 0,
        hostname: "127.0.0.1",
        overrideGlobalObjects: false,
      }) as Server,
    );
  },
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  return { watched, sessions };
}

/** Elysia streams texts, which Node's `Response.text()` does not take. */
async function textOf({ body }: Response): Promise<string> {
  const chunks: unknown[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return chunks
    .map((chunk) => (typeof chunk === "string" ? chunk : Buffer.from(chunk as Uint8Array)))
    .join("");
}

const get = (path = "/", cookie = "") => new Request(`http://localhost${path}`, { headers: { cookie } });

test("Elysia: status(), files, generators, streams, objects, redirects → survive, with the cookie", async () => {
  const { sessions } = managed();
  const app = new Elysia()
    .use(storedSession(sessions))
    .onBeforeHandle(({ session }) => void (session.data.n = 1))
    .get("/status", () => status(418, "teapot"))
    .get("/file", () => file(import.meta.filename))
    .get("/generator", async function* ({ session }) {
      session.data.n = 7; // runs before the first chunk, and so before the commit
      yield "one ";
      yield "two";
    })
    .get("/stream", () => new Response(new Blob(["streamed"]).stream()))
    .get("/object", () => ({ a: 1 }))
    .get("/redirect", ({ redirect }) => redirect("http://localhost/elsewhere", 303))
    .get("/immutable", () => Response.redirect("http://localhost/elsewhere", 303));
  const expected = {
    "/status": [418, /^teapot$/],
    "/file": [200, /survive, with the cookie/],
    "/generator": [200, /one .*two/s],
    "/stream": [200, /^streamed$/],
    "/object": [200, /^\{"a":1\}$/],
    "/redirect": [303, /^$/],
    "/immutable": [303, /^$/],
  } as const;
  for (const [path, [code, body]] of Object.entries(expected)) {
    const answer = await app.handle(get(path));
    assert.equal(answer.status, code, path);
    assert.match(await textOf(answer), body, path);
    const [cookie] = answer.headers.getSetCookie();
    assert.ok(cookie !== undefined, path);
    assert.equal(answer.headers.get("cache-control"), "no-store", path);
    const stored = await sessions.load(cookie.split(";")[0]!);
    assert.equal(stored.data.n, path === "/generator" ? 7 : 1, path);
  }
});

test("Elysia: mounted twice, and in a group → loaded once, and typed", async () => {
  const { sessions, watched } = managed();
  const app = new Elysia()
    .use(storedSession(sessions))
    .use(storedSession(sessions))
    .group("/shop", (group) =>
      group.get("/", ({ session }) => {
        const n: number = (session.data.n ?? 0) + 1;
        session.data.n = n;
        return String(n);
      }),
    );
  const first = await app.handle(get("/shop"));
  assert.equal(await first.text(), "1");
  assert.equal(first.headers.getSetCookie().length, 1);
  const second = await app.handle(get("/shop", first.headers.getSetCookie()[0]!.split(";")[0]));
  assert.equal(await second.text(), "2");
  assert.deepEqual(watched.calls, ["insert", "read", "update"]);
});

test("Elysia: a failed commit → onError of the application responds, with nothing of the handler's (promise 4)", async () => {
  const { sessions, watched } = managed();
  const seen: unknown[] = [];
  const app = new Elysia()
    .onError(({ error, code, set }) => {
      seen.push(code);
      set.headers["x-error"] = "yes";
      return `handled: ${(error as Error).name}`;
    })
    .use(storedSession(sessions))
    .get("/", ({ session, set, cookie }) => {
      session.data.n = 1;
      set.headers["x-secret"] = "secret";
      set.status = 201;
      cookie["cart"]!.value = "secret";
      return "hello";
    });
  watched.down("writes");
  const answer = await app.handle(get());
  assert.deepEqual([answer.status, await answer.text()], [503, "handled: StoreUnavailableError"]);
  assert.deepEqual(seen, ["ERR_STORED_SESSION_STORE_UNAVAILABLE"]);
  assert.deepEqual(
    [answer.headers.get("x-error"), answer.headers.get("x-secret"), answer.headers.get("cache-control")],
    ["yes", null, "no-store"],
  );
  assert.deepEqual(answer.headers.getSetCookie(), []);
});

test("Elysia: no onError, and the store is down → 503 that no cache stores (promise 8)", async () => {
  const { sessions, watched } = managed();
  const app = new Elysia()
    .use(storedSession(sessions))
    .get("/", ({ session }) => String((session.data.n = 1)));
  const [cookie] = (await app.handle(get())).headers.getSetCookie();
  watched.down("all");
  const answer = await app.handle(get("/", cookie!.split(";")[0]));
  assert.deepEqual([answer.status, answer.headers.get("cache-control")], [503, "no-store"]);
  assert.equal((await app.handle(get("/nowhere"))).status, 404, "a path without a handler loads nothing");
});

test("Elysia: the address that the application says → is stored", async () => {
  const { sessions } = managed();
  const app = new Elysia()
    .use(storedSession(sessions, { address: ({ request }) => request.headers.get("x-real-ip") ?? undefined }))
    .get("/", ({ session }) => {
      session.login("42");
      return "in";
    });
  await app.handle(
    new Request("http://localhost/", { headers: { "x-real-ip": "10.0.0.9", "user-agent": "a browser" } }),
  );
  assert.deepEqual((await sessions.forUser("42").list())[0]?.client, {
    address: "10.0.0.9",
    userAgent: "a browser",
  });
});

test("Elysia: deviceBinding and a link on another site → session and address as otherwise; store down → onError (promise 8, R60)", async () => {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager({
    store: watched.store,
    keys: generateKey(),
    deviceBinding: { mode: "offer" },
  });
  const app = new Elysia()
    .onError(({ error, set }) => {
      set.status = contractError(error).status;
      return "of the application";
    })
    .use(storedSession(sessions, { address: ({ request }) => request.headers.get("x-real-ip") ?? undefined }))
    .get("/", ({ session }) => session.user ?? "nobody")
    .get("/login", ({ session }) => void session.login("42"));
  const link = (path: string, cookie = "") => {
    const request = get(path, cookie);
    const sent = { "x-real-ip": "192.0.2.7", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    for (const [name, value] of Object.entries({ ...sent, "sec-fetch-site": "cross-site" }))
      request.headers.set(name, value);
    return app.handle(request);
  };
  const login = await link("/login");
  const [cookie = ""] = login.headers.getSetCookie();
  assert.equal((await sessions.forUser("42").list())[0]?.client?.address, "192.0.2.7");
  const before = watched.calls.length;
  assert.equal(await textOf(await link("/", cookie.split(";")[0])), "42");
  assert.deepEqual(watched.calls.slice(before), ["read"]);
  assert.equal((await link("/none", cookie.split(";")[0])).status, 404);
  watched.down("all");
  const failed = await link("/", cookie.split(";")[0]);
  assert.deepEqual([failed.status, await textOf(failed)], [503, "of the application"]);
  assert.match(failed.headers.get("cache-control") ?? "", /no-store/);
});
