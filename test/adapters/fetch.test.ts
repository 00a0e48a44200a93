import { serve } from "@hono/node-server";
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { Readable } from "node:stream";
import { test } from "vitest";
import { fetchSessions, requireFresh } from "../../src/adapters/fetch.ts";
import { createSessionManager, generateKey, memoryStore, type Session } from "../../src/index.ts";
import {
  contractError,
  contractFresh,
  contractHeaders,
  fakeClock,
  type ContractSession,
} from "../../src/testing/index.ts";
import { until } from "../../src/testing/adapter-world.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

adapterOnEachDatabase("fetch", {
  async start(contract) {
    const sessions = fetchSessions(contract.sessions);
    const answerError = (error: unknown) => {
      const { status, body } = contractError(error);
      return new Response(body, {
        status,
        headers: { ...contractHeaders, "cache-control": "no-store", vary: "Cookie" },
      });
    };
    const fresh = requireFresh(contractFresh.within, contractFresh.options);
    const respond = async (request: Request, session: Session<Record<string, unknown>>) => {
      const { pathname, search } = new URL(request.url);
      const denied = pathname.startsWith("/fresh/") ? fresh(session, request) : null;
      if (denied !== null) return denied;
      const answer = await contract.route(pathname + search, () => session as ContractSession);
      const { status, headers } = answer;
      if (answer.redirect !== undefined)
        return new Response(null, { status, headers: { ...headers, location: answer.redirect } });
      if (answer.chunks === undefined) return new Response(answer.body, { status, headers });
      const bytes = Readable.from(answer.chunks).map((chunk: string) => new TextEncoder().encode(chunk));
      return new Response(Readable.toWeb(bytes) as ReadableStream, { status, headers });
    };
    const app = async (request: Request) => {
      try {
        const device = await sessions.deviceBinding(request);
        if (device !== null) return device;
        const session = await sessions.load(request);
        const reload = sessions.deviceReload(session);
        if (reload !== null) return reload;
        const response = await respond(request, session).catch(answerError);
        return await sessions.commit(session, response);
      } catch (error) {
        return answerError(error);
      }
    };
    return running(serve({ fetch: app, port: 0, hostname: "127.0.0.1" }) as Server);
  },
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const manager = createSessionManager<{ n: number }>({
    store: watched.store,
    keys: generateKey(),
    clock: fakeClock().now,
  });
  return { watched, manager, sessions: fetchSessions(manager) };
}

const url = "http://localhost/";

test("fetch: forUser, update, scheduleExpiry and close → those of the manager, which is there too", async () => {
  const { sessions, manager } = managed();
  assert.equal(sessions.manager, manager);
  const session = await sessions.load(new Request(url));
  session.login("42");
  await sessions.save(session);
  await sessions.update(session, (data) => {
    data.n = 1;
  });
  const { forUser, scheduleExpiry, close } = sessions; // as a module would export them
  assert.equal((await forUser("42").list()).length, 1);
  assert.equal(await forUser("42").revokeAll({ except: session }), 0);
  await scheduleExpiry({ every: "10 min" }).stop();
  await close();
  await assert.rejects(manager.count(), { code: "ERR_STORED_SESSION_CLOSED" });
});

test("fetch: the session is unused → the response is returned unchanged (promise 1)", async () => {
  const { sessions } = managed();
  const response = new Response("x");
  assert.equal(await sessions.commit(await sessions.load(new Request(url)), response), response);
});

test("fetch: immutable headers, and responses without a body → the cookie is set", async () => {
  const { sessions } = managed();
  for (const response of [Response.redirect(`${url}next`, 302), new Response(null, { status: 204 })]) {
    const session = await sessions.load(new Request(url));
    session.data.n = 1;
    const answer = await sessions.commit(session, response);
    assert.equal(answer.status, response.status);
    assert.equal(answer.headers.get("location"), response.headers.get("location"));
    assert.equal(answer.headers.getSetCookie().length, 1);
    assert.equal(answer.headers.get("cache-control"), "no-store");
  }
});

test("fetch: handle → loads, runs and commits; an error of the handler propagates", async () => {
  const { sessions, watched } = managed();
  const answer = await sessions.handle(new Request(url), (session) => {
    session.data.n = 1;
    return new Response("x");
  });
  assert.equal(answer.headers.getSetCookie().length, 1);
  await assert.rejects(
    sessions.handle(new Request(url), (session) => {
      session.data.n = 1;
      throw new Error("boom");
    }),
    /boom/,
  );
  assert.deepEqual(watched.calls, ["insert"]);
});

test("fetch: save → a cookie for cookies().set; after destroy, one that clears it (R4, R13)", async () => {
  const { sessions } = managed();
  const session = await sessions.load(null);
  assert.equal(await sessions.save(session), null);
  session.data.n = 1;
  const cookie = (await sessions.save(session))!;
  assert.match(cookie.value, /^[\w-]{64}$/);
  assert.deepEqual(
    { ...cookie, value: "" },
    {
      name: "__Host-session",
      value: "",
      maxAge: 2_592_000,
      path: "/",
      httpOnly: true,
      secure: true,
      sameSite: "lax",
    },
  );
  const again = await sessions.load(`${cookie.name}=${cookie.value}`);
  assert.equal(again.data.n, 1);
  again.destroy();
  const cleared = (await sessions.save(again))!;
  assert.deepEqual(
    [cleared.name, cleared.value, cleared.maxAge, cleared.path],
    ["__Host-session", "", 0, "/"],
  );
});

test("fetch: view while the store is down → says so instead of throwing (promise 8)", async () => {
  const { sessions, watched } = managed();
  const session = await sessions.load(null);
  session.data.n = 7;
  session.login("42");
  const cookie = (await sessions.save(session))!;
  const headers = new Headers({ cookie: `${cookie.name}=${cookie.value}` });
  const expected = { data: { n: 7 }, user: "42", isNew: false, error: null };
  assert.deepEqual(await sessions.view(headers), expected);
  assert.deepEqual(await sessions.view(new Request(url, { headers })), expected);
  assert.deepEqual(await sessions.view(headers.get("cookie")), expected);
  assert.deepEqual(await sessions.view(undefined), { data: {}, user: undefined, isNew: true, error: null });
  watched.down("reads");
  const { error, ...rest } = await sessions.view(headers);
  assert.deepEqual(rest, { data: {}, user: undefined, isNew: true });
  assert.equal((error as { status?: number }).status, 503);
});

test("fetch: a visitor is only viewed → the idle timeout is extended", async () => {
  const clock = fakeClock();
  const watched = new WatchedStore(memoryStore());
  const manager = createSessionManager({ store: watched.store, keys: generateKey(), clock: clock.now });
  const sessions = fetchSessions(manager);
  const session = await sessions.load(null);
  session.login("42");
  const { name, value } = (await sessions.save(session))!;
  for (let day = 0; day < 29; day++) {
    clock.advance(86_400_000);
    assert.equal((await sessions.view(`${name}=${value}`)).user, "42");
    await until(() => watched.calls.filter((call) => call === "touch").length > day);
  }
  assert.equal(watched.calls.filter((call) => call === "touch").length, 29);
  clock.advance(2 * 86_400_000);
  assert.equal((await sessions.view(`${name}=${value}`)).user, undefined, "the absolute timeout is not");
});

/** The shape of `await headers()` in Next.js: it has a field `headers`, which has no methods. */
function headersOfNext(fields: Record<string, string>): Pick<Headers, "get"> {
  class HeadersAdapter {
    readonly headers: Record<string, string> = new Proxy(fields, {});
    get(name: string): string | null {
      return this.headers[name.toLowerCase()] ?? null;
    }
  }
  return new HeadersAdapter();
}

test("fetch: headers() of Next.js, which has a field `headers` of its own → read as headers", async () => {
  const { sessions } = managed();
  const session = await sessions.load(headersOfNext({ "user-agent": "a browser" }));
  session.data.n = 7;
  const { name, value } = (await sessions.save(session))!;
  const source = headersOfNext({ cookie: `${name}=${value}` });
  assert.equal((await sessions.load(source)).data.n, 7);
  assert.deepEqual(await sessions.view(source), {
    data: { n: 7 },
    user: undefined,
    isNew: false,
    error: null,
  });
});

test("fetch: a second commit or save → repeats the cookie that the session still owes, until it ends (R41)", async () => {
  const { sessions } = managed();
  const session = await sessions.load(new Request(url));
  session.login("42");
  const saved = (await sessions.save(session))!;
  const first = (await sessions.commit(session, new Response("x"))).headers.getSetCookie();
  const second = await sessions.commit(session, new Response("x"));
  assert.equal(first.length, 1);
  assert.ok(first[0]!.startsWith(`${saved.name}=${saved.value};`));
  assert.deepEqual(second.headers.getSetCookie(), first);
  assert.deepEqual(
    (await sessions.commit(session, second)).headers.getSetCookie(),
    first,
    "not twice in one",
  );
  session.destroy();
  const [cleared] = (await sessions.commit(session, new Response("x"))).headers.getSetCookie();
  assert.match(cleared ?? "", /^__Host-session=; Max-Age=0/);
});

test("fetch: a response that cannot take a cookie → refused before anything is written", async () => {
  const { sessions, watched } = managed();
  const session = await sessions.load(new Request(url));
  const failed = Response.error();
  assert.equal(await sessions.commit(session, failed), failed, "an untouched session has nothing to add");
  session.data.n = 1;
  const read = await fetch("data:text/plain,hello");
  await read.text();
  for (const response of [failed, read]) {
    await assert.rejects(sessions.commit(session, response), {
      name: "TypeError",
      message: /cannot be sent with the session/,
    });
  }
  assert.deepEqual(watched.calls, []);
});

test("fetch: the commit fails → the body of the dropped response is cancelled", async () => {
  const { sessions, watched } = managed();
  const session = await sessions.load(new Request(url));
  session.data.n = 1;
  let cancelled = false;
  const body = new ReadableStream({
    cancel() {
      cancelled = true;
    },
  });
  watched.down("writes");
  await assert.rejects(sessions.commit(session, new Response(body)), { status: 503 });
  assert.equal(cancelled, true);
});
