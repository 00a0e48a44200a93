import Hapi, { type Request, type ResponseToolkit, type Server } from "@hapi/hapi";
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { request as httpRequest } from "node:http";
import { Readable } from "node:stream";
import { test } from "vitest";
import { requireFresh, sessionOf, storedSession } from "../../src/adapters/hapi.ts";
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

/** A server whose errors are not printed. */
const hapi = (): Server =>
  Hapi.server({
    host: "127.0.0.1",
    port: 0,
    debug: false,
    compression: false,
    // By default hapi sends "no-cache", and answers 400 to a Cookie header that is not quite right.
    routes: { cache: false, state: { parse: true, failAction: "ignore" } },
  });

async function started(server: Server) {
  await server.start();
  const { url } = await running(server.listener as never);
  return { server: server.listener as never, url, close: () => server.stop({ timeout: 0 }) };
}

adapterOnEachDatabase("hapi", {
  async start(contract) {
    const server = hapi();
    server.ext("onRequest", (request, h) => {
      for (const [name, value] of Object.entries(contractHeaders)) request.raw.res.setHeader(name, value);
      return h.continue;
    });
    await server.register({ plugin: storedSession, options: { sessions: contract.sessions } });
    server.ext("onPreResponse", (request, h) => {
      const { response } = request;
      if (!("isBoom" in response)) return h.continue;
      const { status, body } = contractError(response);
      return h.response(body).code(status).type("text/plain");
    });
    const fresh = requireFresh(contractFresh.within, contractFresh.options);
    server.route({
      method: "*",
      path: "/fresh/{any*}",
      options: { pre: [fresh] },
      handler: async () => "passed",
    });
    server.route({
      method: "*",
      path: "/{any*}",
      async handler(request, h) {
        const session = () => request.session as unknown as ContractSession;
        const answer = await contract.route(request.path + request.url.search, session);
        if (answer.raw === true) {
          request.raw.res.writeHead(answer.status).end(answer.body);
          return h.abandon;
        }
        const response =
          answer.redirect !== undefined
            ? h.redirect(answer.redirect)
            : h.response(
                answer.chunks !== undefined
                  ? Readable.from(answer.chunks, { objectMode: false })
                  : answer.file !== undefined
                    ? createReadStream(answer.file)
                    : (answer.body ?? undefined),
              );
        response.code(answer.status);
        for (const [name, value] of Object.entries(answer.headers)) response.header(name, value);
        return response;
      },
    });
    return started(server);
  },
  ways: ["file", "raw"],
  // hapi ends the request at once.
  differs: ["unstarted"],
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  return { watched, sessions };
}

async function withServer(server: Server, body: (url: string) => Promise<void>): Promise<void> {
  const { url, close } = await started(server);
  try {
    await body(url);
  } finally {
    await close();
  }
}

const cookieOf = (answer: Response) =>
  answer.headers
    .getSetCookie()
    .find((line) => !line.startsWith("theme="))!
    .split(";")[0]!;

test("hapi: registered twice → loads and commits once; another manager needs another property", async () => {
  const { sessions, watched } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions } });
  await server.register({ plugin: storedSession, options: { sessions } });
  const other = managed().sessions;
  await server.register({ plugin: storedSession, options: { sessions: other, property: "other" } });
  await assert.rejects(
    server.register({ plugin: storedSession, options: { sessions: other } }),
    /already defined/,
  );
  server.route({
    method: "GET",
    path: "/",
    handler(request) {
      sessionOf(sessions, request).data.n = 1;
      return "once";
    },
  });
  await withServer(server, async (url) => {
    assert.equal((await fetch(url)).headers.getSetCookie().length, 1);
  });
  assert.deepEqual(watched.calls, ["insert"]);
});

test("hapi: without a manager, or with what is none → a TypeError says what to pass", async () => {
  const server = hapi();
  await assert.rejects(
    server.register({ plugin: storedSession, options: {} as never }),
    (error: Error) => error instanceof TypeError && /`sessions` option is missing/.test(error.message),
  );
  await assert.rejects(
    server.register({ plugin: storedSession, options: { sessions: {} as never } }),
    TypeError,
  );
});

test("hapi: the store is down → hapi's own 503, before and after the handler (promise 8, R37)", async () => {
  const { sessions, watched } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions } });
  server.route({
    method: "GET",
    path: "/",
    handler(request, h) {
      sessionOf(sessions, request).data.n = (sessionOf(sessions, request).data.n ?? 0) + 1;
      return h.response("must not be seen").state("theme", "dark");
    },
  });
  await withServer(server, async (url) => {
    const cookie = cookieOf(await fetch(url));
    for (const what of ["reads", "writes"] as const) {
      watched.down(what);
      const answer = await fetch(url, { headers: { cookie } });
      assert.equal(answer.status, 503, what);
      assert.deepEqual(await answer.json(), {
        statusCode: 503,
        error: "Service Unavailable",
        message: "Service Unavailable",
      });
      watched.up();
    }
  });
});

test("hapi: a later onPreResponse takes the flash message and renders the page → committed once more; a failure is a 503 (promise 4)", async () => {
  const { sessions, watched } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions } });
  server.ext("onPreResponse", (request, h) => {
    if ("isBoom" in request.response) return h.continue;
    const notice = sessionOf(sessions, request).takeFlash("notice");
    return h.response(`${String(request.response.source)} ${String(notice ?? "")}`.trim()).code(200);
  });
  server.route({
    method: "GET",
    path: "/",
    handler(request) {
      if (request.query["flash"]) sessionOf(sessions, request).flash("notice", "Saved.");
      return "page";
    },
  });
  await withServer(server, async (url) => {
    const first = await fetch(url + "/?flash=1");
    assert.equal(await first.text(), "page Saved.");
    const [set] = first.headers.getSetCookie();
    assert.ok(
      set === undefined || !(await sessions.load(set.split(";")[0])).takeFlash("notice"),
      "taken, and stored so",
    );

    const session = await sessions.load(null);
    session.flash("notice", "Later.");
    const cookie = (await sessions.commit(session))!.split(";")[0]!;
    watched.down("writes");
    const failed = await fetch(url, { headers: { cookie } });
    assert.equal(failed.status, 503);
    assert.ok(!(await failed.text()).includes("Later."));
    watched.up();
    assert.equal(await (await fetch(url, { headers: { cookie } })).text(), "page Later.");
    assert.equal(await (await fetch(url, { headers: { cookie } })).text(), "page");
  });
});

test("hapi: HEAD, a takeover response and h.close → the session is saved, its cookie sent (promise 4)", async () => {
  const { sessions } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions } });
  server.ext("onPreHandler", (request, h) => {
    if (request.path !== "/takeover") return h.continue;
    sessionOf(sessions, request).login("42");
    return h.response("taken over").code(202).takeover();
  });
  const login = (request: Request) => void sessionOf(sessions, request).login("42");
  server.route([
    { method: "GET", path: "/", handler: (request) => (login(request), "page") },
    { method: "GET", path: "/takeover", handler: () => "not reached" },
    {
      method: "GET",
      path: "/close",
      handler(request, h) {
        login(request);
        request.raw.res.write("closed");
        return h.close;
      },
    },
  ]);
  await withServer(server, async (url) => {
    for (const [method, path, status, body] of [
      ["HEAD", "/", 200, ""],
      ["GET", "/takeover", 202, "taken over"],
      ["GET", "/close", 200, "closed"],
    ] as const) {
      const answer = await fetch(url + path, { method });
      assert.deepEqual([answer.status, await answer.text()], [status, body]);
      assert.equal((await sessions.load(cookieOf(answer))).user, "42");
      assert.equal(answer.headers.get("cache-control"), "no-store");
    }
  });
});

test("hapi: a header that Node refuses → 500, nothing is saved (promise 4)", async () => {
  const { sessions, watched } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions } });
  server.route({
    method: "GET",
    path: "/",
    handler(request, h) {
      sessionOf(sessions, request).data.n = 1;
      const response = h.response("x");
      response.headers["x-name"] = "Ann\u0000";
      return response;
    },
  });
  await withServer(server, async (url) => {
    const answer = await fetch(url);
    assert.deepEqual([answer.status, answer.headers.getSetCookie()], [500, []]);
  });
  assert.deepEqual(watched.calls, []);
});

test("hapi: the client disconnects before the handler runs → hapi does not run it, and nothing changes", async () => {
  const { sessions, watched } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions } });
  let ran = 0;
  server.route({ method: "GET", path: "/", handler: () => String(++ran) });
  await withServer(server, async (url) => {
    const session = await sessions.load(null);
    session.data.n = 1;
    const cookie = (await sessions.commit(session))!.split(";")[0]!;
    const held = watched.holdReads();
    const ended = new Promise<void>((resolve) => server.events.once("response", () => resolve()));
    const request = httpRequest(url, { headers: { cookie } });
    request.on("error", () => {});
    request.end();
    await held.arrived;
    request.destroy();
    await ended;
    held.release();
    assert.equal((await sessions.load(cookie)).data.n, 1);
    assert.equal(ran, 0);
  });
});

test("hapi: the strategy of the scheme stored-session → users pass, others get 401 or the login page", async () => {
  const { sessions } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions } });
  server.auth.strategy("api", "stored-session");
  server.auth.strategy("page", "stored-session", { redirectTo: "/login" });
  server.auth.strategy("staff", "stored-session", {
    validate: (session: { user: string }) =>
      session.user === "7" ? { user: { id: "7" }, scope: ["staff"] } : null,
  });
  assert.throws(
    () => server.auth.strategy("wrong", "stored-session", { redirectTo: "https://evil.example" }),
    /`redirectTo` must be a path of this site/,
  );
  const who = (request: Request, _h: ResponseToolkit) =>
    JSON.stringify({ in: request.auth.isAuthenticated, user: request.auth.credentials?.user ?? null });
  for (const name of ["api", "page", "staff"])
    server.route({ method: "GET", path: `/${name}`, options: { auth: name }, handler: who });
  server.route({
    method: "GET",
    path: "/try",
    options: { auth: { strategy: "page", mode: "try" } },
    handler: who,
  });
  server.route({
    method: "GET",
    path: "/login/{user}",
    handler(request) {
      sessionOf(sessions, request).login(String(request.params["user"]));
      return "in";
    },
  });
  const cookieFor = async (user: string) =>
    String((await server.inject(`/login/${user}`)).headers["set-cookie"]).split(";")[0]!;
  const [cookie, staff] = [await cookieFor("42"), await cookieFor("7")];
  const get = (url: string, headers: Record<string, string> = {}) =>
    server.inject({ url, headers: { accept: "text/html", ...headers } });
  assert.deepEqual(JSON.parse((await get("/api", { cookie })).payload), { in: true, user: { id: "42" } });
  const denied = await get("/api");
  assert.deepEqual([denied.statusCode, JSON.parse(denied.payload).message], [401, "Log in first."]);
  const page = await get("/page?tab=2");
  assert.deepEqual([page.statusCode, page.headers.location], [303, "/login?return_to=%2Fpage%3Ftab%3D2"]);
  assert.equal((await get("/page", { accept: "application/json" })).statusCode, 401);
  assert.equal((await get("/page", { cookie })).statusCode, 200);
  assert.deepEqual(JSON.parse((await get("/try")).payload), { in: false, user: null });
  assert.equal((await get("/staff", { cookie })).statusCode, 401);
  assert.equal((await get("/staff", { cookie: staff })).statusCode, 200);
  await server.stop();
});

test("hapi trustProxy: X-Forwarded-For of one proxy → the session has the client's address", async () => {
  const { sessions } = managed();
  const server = hapi();
  await server.register({ plugin: storedSession, options: { sessions, trustProxy: 1 } });
  server.route({
    method: "GET",
    path: "/",
    handler: (request) => (sessionOf(sessions, request).login("42"), "in"),
  });
  await withServer(server, async (url) => {
    await fetch(url, {
      headers: { "x-forwarded-for": "6.6.6.6, 203.0.113.9", "x-forwarded-proto": "https" },
    });
    const [device] = await sessions.forUser("42").list();
    assert.equal(device!.client?.address, "203.0.113.9");
  });
});
