import { serve } from "@hono/node-server";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { data } from "react-router";
import { afterEach, test } from "vitest";
import { createStoredSessionStorage, type StoredSessionStorage } from "../../src/adapters/react-router.ts";
import { commitInRequest, loadInRequest, withinRequest } from "../../src/adapters/request-scope.ts";
import { createSessionManager, generateKey, memoryStore, type Session } from "../../src/index.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import { Gates } from "../../src/testing/adapter-routes.ts";
import { Visitor } from "../../src/testing/adapter-world.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";
import { applicationOf } from "./react-router-app.ts";
import { running } from "./server.ts";

interface Data {
  userId: string;
  visits: number;
  root: string;
  page: string;
}
type Storage = StoredSessionStorage<Data, { notice: string }>;
type Handler = (request: Request) => Promise<Response>;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Arguments {
  request: Request;
}

interface App {
  readonly gates: Gates;
  readonly sessions: ReturnType<typeof createSessionManager<Data>>;
  readonly ask: (path: string, init?: RequestInit) => Promise<Response>;
}

/** How a request reaches the application: on a node:http server, or directly, with the middleware in the root route. */
const ways = ["on node:http", "with sessionMiddleware"] as const;

/** An application of a root route and a page, each with a loader, and an action; written as the documentation writes them. */
async function app(
  way: (typeof ways)[number],
  make: (
    storage: Storage,
    gates: Gates,
  ) => {
    action?: (given: Arguments) => unknown;
    root: (given: Arguments) => unknown;
    page: (given: Arguments) => unknown;
  },
  options: Partial<SessionManagerOptions<Data>> = {},
): Promise<App> {
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: generateKey(), ...options });
  const storage = createStoredSessionStorage<Data, { notice: string }>({ sessions });
  const gates = new Gates();
  const { action, root, page } = make(storage, gates);
  const routes = {
    root: {
      id: "root",
      path: "",
      module: {
        default: () => null,
        loader: root,
        ...(way === "with sessionMiddleware" && { middleware: [storage.sessionMiddleware] }),
      },
    },
    page: {
      id: "page",
      parentId: "root",
      path: "page",
      module: { default: () => null, loader: page, ...(action && { action }) },
    },
    device: {
      id: "device",
      parentId: "root",
      path: ".well-known/stored-session",
      module: { action: () => new Response(null, { status: 404 }) },
    },
  };
  const handler: Handler = applicationOf(routes, {
    render: (_request: Request, status: number, headers: Headers, { staticHandlerContext }: any) =>
      Response.json(staticHandlerContext.loaderData, { status, headers }),
    future: { v8_middleware: true },
  });
  if (way !== "on node:http") {
    return { gates, sessions, ask: (path, init) => handler(new Request(`http://localhost${path}`, init)) };
  }
  const { url, close } = await running(
    serve({ fetch: (request) => handler(request), port: 0, hostname: "127.0.0.1" }) as Server,
  );
  closing.push(close);
  return { gates, sessions, ask: (path, init) => fetch(url + path, init) };
}

const pair = (setCookie: string) => setCookie.split(";")[0]!;
const cookieIn = (answer: Response) => pair(answer.headers.getSetCookie().at(-1)!);
const post = (cookie?: string): RequestInit => ({
  method: "POST",
  body: "a=b",
  headers: { "content-type": "application/x-www-form-urlencoded", ...(cookie && { cookie }) },
});
const session = (storage: Storage, { request }: Arguments) =>
  storage.getSession(request.headers.get("Cookie"));

const loginApp = (storage: Storage) => ({
  async action(given: Arguments) {
    const visit = await session(storage, given);
    visit.stored.login("42");
    return data("in", { headers: await storage.commitHeaders(visit) });
  },
  async root(given: Arguments) {
    const visit = await session(storage, given);
    return { user: visit.stored.user ?? null, root: visit.get("root") ?? null };
  },
  async page(given: Arguments) {
    const visit = await session(storage, given);
    visit.set("visits", (visit.get("visits") ?? 0) + 1);
    const { user } = visit.stored;
    return data(
      { user: user ?? null, visits: visit.get("visits") },
      { headers: await storage.commitHeaders(visit) },
    );
  },
});

for (const way of ways) {
  test(`React Router, ${way}: a login in an action without a redirect → the loaders after it see the user, and a loader that writes keeps the login`, async () => {
    const { ask, sessions } = await app(way, loginApp);
    const anonymous = cookieIn(await ask("/page"));
    const answer = await ask("/page", post(anonymous));
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), {
      root: { user: "42", root: null },
      page: { user: "42", visits: 2 },
    });
    assert.equal(new Set(answer.headers.getSetCookie().map(pair)).size, 1);
    const known = cookieIn(answer);
    assert.notEqual(known, anonymous);
    assert.equal(await sessions.count(), 1);
    const next = await (await ask("/page", { headers: { cookie: known } })).json();
    assert.deepEqual(next, { root: { user: "42", root: null }, page: { user: "42", visits: 3 } });
  });

  test(`React Router, ${way}: a login of a visitor without a cookie → the loaders after it see the user, in one row`, async () => {
    const { ask, sessions } = await app(way, loginApp);
    const answer = await ask("/page", post());
    assert.deepEqual(await answer.json(), {
      root: { user: "42", root: null },
      page: { user: "42", visits: 1 },
    });
    assert.equal(await sessions.count(), 1);
    assert.equal((await sessions.load(cookieIn(answer))).user, "42");
  });

  test(`React Router, ${way}: a login through getSession() without a header → the loaders after it see the user`, async () => {
    const { ask } = await app(way, (storage) => ({
      ...loginApp(storage),
      async action() {
        const fresh = await storage.getSession();
        fresh.stored.login("42");
        return data("in", { headers: { "Set-Cookie": await storage.commitSession(fresh) } });
      },
    }));
    const anonymous = cookieIn(await ask("/page"));
    const answer = await ask("/page", post(anonymous));
    assert.deepEqual(await answer.json(), {
      root: { user: "42", root: null },
      page: { user: "42", visits: 1 },
    });
  });

  test(`React Router, ${way}: a logout in an action → the loaders after it see nobody (promise 3)`, async () => {
    const { ask, sessions } = await app(way, (storage) => ({
      ...loginApp(storage),
      async action(given: Arguments) {
        const visit = await session(storage, given);
        return data("out", { headers: { "Set-Cookie": await storage.destroySession(visit) } });
      },
    }));
    const login = await sessions.load(undefined);
    login.login("42");
    login.data.root = "of 42";
    const known = pair((await sessions.commit(login))!);
    const answer = await ask("/page", post(known));
    assert.deepEqual(await answer.json(), {
      root: { user: null, root: null },
      page: { user: null, visits: 1 },
    });
    assert.equal((await sessions.load(known)).isNew, true);
  });

  test(`React Router, ${way}: the cookie of before a login, in another request → it opens nothing, also while the login's request runs (R17)`, async () => {
    const { ask, gates } = await app(way, (storage, held) => ({
      ...loginApp(storage),
      async root(given: Arguments) {
        if (given.request.headers.get("x-hold") !== null) await held.pass("loader");
        return loginApp(storage).root(given);
      },
    }));
    const planted = cookieIn(await ask("/page"));
    const { headers, ...init } = post(planted);
    const victim = ask("/page", { ...init, headers: { ...(headers as object), "x-hold": "1" } });
    await gates.reached("loader");
    const thief = (await (await ask("/page", { headers: { cookie: planted } })).json()) as any;
    assert.deepEqual([thief.root.user, thief.page.user], [null, null]);
    gates.open("loader");
    assert.equal(((await (await victim).json()) as any).root.user, "42");
  });

  for (const path of ["/page", "/page.data"]) {
    test(`React Router, ${way}: parallel loaders of a new visitor that write, GET ${path} → one row with the changes of both`, async () => {
      const { ask, sessions } = await app(way, (storage, held) => {
        const writing = (name: "root" | "page") => async (given: Arguments) => {
          const visit = await session(storage, given);
          visit.set(name, "yes");
          if (name === "root") await held.pass("both");
          else {
            await held.reached("both"); // both have a session of their own now
            held.open("both");
          }
          return data(name, { headers: await storage.commitHeaders(visit) });
        };
        return { root: writing("root"), page: writing("page") };
      });
      const answer = await ask(path);
      assert.equal(answer.status, 200);
      assert.equal(new Set(answer.headers.getSetCookie().map(pair)).size, 1);
      assert.equal(await sessions.count(), 1);
      assert.deepEqual((await sessions.load(cookieIn(answer))).data, { root: "yes", page: "yes" });
    });
  }

  test(`React Router, ${way}: two users in one request → nothing of one reaches the other`, async () => {
    const { ask, sessions } = await app(way, (storage, held) => {
      const login = (name: "root" | "page", user: string) => async (given: Arguments) => {
        const visit = await session(storage, given);
        visit.stored.login(user);
        visit.set(name, `of ${user}`);
        if (name === "root") await held.pass("both");
        else {
          await held.reached("both");
          held.open("both");
        }
        return data(name, { headers: await storage.commitHeaders(visit) });
      };
      return { root: login("root", "1"), page: login("page", "2") };
    });
    const answer = await ask("/page");
    for (const setCookie of answer.headers.getSetCookie()) {
      const { user, data: kept } = await sessions.load(pair(setCookie));
      assert.deepEqual(kept, user === "1" ? { root: "of 1" } : { page: "of 2" });
    }
  });
}

test("React Router, on node:http: ten visitors without cookies at once → a session each", async () => {
  const { ask, sessions } = await app("on node:http", loginApp);
  await Promise.all(Array.from({ length: 10 }, () => ask("/page")));
  assert.equal(await sessions.count(), 10);
});

for (const headers of [{}, { cookie: "theme=dark" }]) {
  test(`React Router, on node:http: callbacks of one connection serve visitors ${"cookie" in headers ? "with the same cookie of another kind" : "without cookies"} → no login reaches another visitor`, async () => {
    const sessions = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
    const storage = createStoredSessionStorage<Data>({ sessions });
    const waiting: (() => void)[] = [];
    let timer: NodeJS.Timeout | undefined;
    const server = createServer((request, response) => {
      const name = request.url!.slice(1);
      const answer = async () => {
        const header = request.headers.cookie ?? null;
        const first = await storage.getSession(header);
        const before = first.stored.user;
        if (before === undefined) first.stored.login(name);
        const cookies = [await storage.commitSession(first)];
        const later = await storage.getSession(header);
        const after = later.stored.user;
        const created = await storage.getSession();
        created.set("page", name);
        cookies.push(await storage.commitSession(created));
        response.setHeader("set-cookie", cookies);
        response.end(JSON.stringify({ before, after, cookies: cookies.filter(Boolean).length }));
      };
      waiting.push(() => void answer());
      // Made by the first request, as a pool's connection is: its callbacks run in that request's async context.
      timer ??= setInterval(() => {
        if (waiting.length === 5) for (const run of waiting.splice(0)) run();
      }, 1);
    });
    const { url, close } = await running(server.listen(0, "127.0.0.1"));
    closing.push(close, () => Promise.resolve(clearInterval(timer)));
    const names = ["ada", "ben", "cleo", "dan", "eve"];
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all(
        names.map(async (name) => (await (await fetch(`${url}/${name}`, { headers })).json()) as object),
      );
      assert.deepEqual(
        answers,
        names.map(() => ({ cookies: 2 })),
      );
    }
    for (const name of names) assert.equal((await sessions.forUser(name).list()).length, 2);
  });
}

test("React Router, on node:http: a visitor alone, after requests that were cut while others waited behind them → still followed", async () => {
  const { ask } = await app("on node:http", loginApp);
  const { port, hostname } = new URL((await ask("/page")).url);
  for (let round = 0; round < 3; round++) {
    const socket = connect(Number(port), hostname);
    socket.write("GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
    await once(socket, "data");
    socket.destroy();
    await once(socket, "close");
  }
  for (let tries = 0; ; tries++) {
    const answer = (await (await ask("/page", post())).json()) as { page: { user: unknown } };
    if (answer.page.user === "42") break;
    assert.ok(tries < 50, "the login of a visitor alone is followed again");
    await new Promise((resolve) => setTimeout(resolve, 20)); // until the server has heard of the cut
  }
});

test("a userOf that came with a new release finds nobody → the change of a second session of the request is kept", async () => {
  const options = { store: memoryStore(), keys: generateKey() };
  const byLogin = createSessionManager<Record<string, unknown>>(options);
  const first = await byLogin.load(null);
  first.login("7");
  const cookie = pair((await byLogin.commit(first))!);
  const sessions = createSessionManager<Record<string, unknown>>({
    ...options,
    userOf: ({ userId }) => userId as string | undefined,
  });
  const kept = await withinRequest(async () => {
    const [one, two] = [
      await loadInRequest(sessions as never, cookie),
      await loadInRequest(sessions as never, cookie),
    ] as unknown as Session<Record<string, unknown>>[];
    one!.regenerate();
    await commitInRequest(sessions as never, one as never);
    two!.data["page"] = 1;
    const { setCookie } = await commitInRequest(sessions as never, two as never);
    return await sessions.load(pair(setCookie!));
  });
  assert.equal(kept.user, "7");
  assert.deepEqual(kept.data, { page: 1 });
});

const minute = 60_000;

/** An application whose logins are bound, the browser of its user, and a request of that browser. */
async function boundApp(way: (typeof ways)[number]) {
  let now = 1_800_000_000_000;
  const made = await app(
    way,
    (storage) => ({
      async action(given) {
        const visit = await session(storage, given);
        const act = new URL(given.request.url).searchParams.get("act");
        if (act === "login") visit.stored.login("42");
        if (act === "regenerate") visit.stored.regenerate();
        if (act === "logout") visit.stored.destroy();
        if (act === "save") visit.set("userId", "saved");
        return data("done", { headers: await storage.commitHeaders(visit) });
      },
      async root(given) {
        const visit = await session(storage, given);
        return { user: visit.stored.user ?? null, bound: visit.stored.deviceBound };
      },
      async page(given) {
        const visit = await session(storage, given);
        visit.set("visits", (visit.get("visits") ?? 0) + 1);
        return data(
          { visits: visit.get("visits"), saved: visit.get("userId") ?? null },
          { headers: await storage.commitHeaders(visit) },
        );
      },
    }),
    { clock: () => now, deviceBinding: { mode: "offer" } },
  );
  const jar = new Visitor("");
  const ask = async (path: string, headers: Record<string, string> = {}, method = "GET", who = jar) => {
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const cookie = who.cookie === "" ? undefined : who.cookie;
    const answer = await made.ask(path, {
      method,
      headers: { ...(method === "POST" && form), ...(cookie && { cookie }), ...headers },
      ...(method === "POST" && { body: "a=b" }),
    });
    for (const line of answer.headers.getSetCookie()) who.keep(line);
    return answer;
  };
  const act = (what: string) => ask(`/page?act=${what}`, {}, "POST");
  const endpoint = (headers: Record<string, string>) => ask("/.well-known/stored-session", headers, "POST");
  return { ...made, ask, act, endpoint, jar, advance: (by: number) => void (now += by) };
}

test("React Router, with sessionMiddleware: a device-bound session → registered, used by actions and loaders, refreshed, stolen, logged out (R60)", async () => {
  const { act, ask, endpoint, jar, advance } = await boundApp("with sessionMiddleware");
  const device = new SoftwareDevice();
  const login = await act("login");
  const proof = device.registration(challengeIn(login.headers.get("secure-session-registration")));
  const registered = await endpoint({ "secure-session-response": proof });
  assert.equal(registered.status, 200);
  const { session_identifier: id } = (await registered.json()) as { session_identifier: string };
  advance(minute);
  const thief = new Visitor("", jar.cookie.split("; ")[0]);
  assert.deepEqual(((await (await ask("/page", {}, "GET", thief)).json()) as any).root, {
    user: null,
    bound: false,
  });
  for (const what of ["save", "regenerate", "save"]) {
    const { root, page } = (await (await act(what)).json()) as any;
    assert.deepEqual([root, page.saved], [{ user: "42", bound: true }, "saved"], what);
  }
  advance(20 * minute);
  const refreshing = await endpoint({ "sec-secure-session-id": id });
  const challenge = challengeIn(refreshing.headers.get("secure-session-challenge"));
  const about = { "sec-secure-session-id": id, "secure-session-response": device.proof(challenge) };
  assert.equal((await endpoint(about)).status, 200);
  assert.equal(((await (await ask("/page")).json()) as any).root.user, "42");
  const logout = await act("logout");
  assert.equal(logout.headers.getSetCookie().filter((line) => /Max-Age=0/.test(line)).length, 2);
  const { root } = (await (await ask("/page")).json()) as any;
  assert.deepEqual(root, { user: null, bound: false });
});

test("React Router, with sessionMiddleware: a link on another site, and the device cookie has expired → the page loads itself again (R60)", async () => {
  const { act, ask, endpoint, advance } = await boundApp("with sessionMiddleware");
  const login = await act("login");
  const proof = new SoftwareDevice().registration(
    challengeIn(login.headers.get("secure-session-registration")),
  );
  await endpoint({ "secure-session-response": proof });
  advance(20 * minute);
  const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  const answer = await ask("/page", link);
  assert.match(await answer.text(), /<meta http-equiv="refresh" content="0">/);
  assert.deepEqual(answer.headers.getSetCookie(), []);
});
