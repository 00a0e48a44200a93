import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, test } from "vitest";
import { generateKey } from "../../sealing/keyring.ts";
import { createSessionManager } from "../../manager.ts";
import type { Session } from "../../session/session.ts";
import { memoryStore } from "../../store/memory.ts";
import { fakeClock } from "../../testing/clock.ts";
import { WatchedStore } from "../../testing/watched-store.ts";
import { attachSession, withSession } from "./node-response.ts";
import { ResponseGuard } from "./response-guard.ts";

/** A response whose session needs no statement does not wait; every other one does. */

type Data = Record<string, unknown>;
type Handler = (request: IncomingMessage, response: ServerResponse, session: Session<Data>) => unknown;
type Options = Partial<Parameters<typeof createSessionManager<Data>>[0]>;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A server, and the cookie of a session that it stored a while ago. */
async function world(
  handler: Handler,
  options: Options = {},
  onError: (response: ServerResponse) => void = (response) =>
    void response.writeHead(503).end("Service unavailable\n"),
) {
  const clock = fakeClock();
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<Data>({
    store: watched.store,
    keys: generateKey(),
    clock: clock.now,
    ...options,
  });
  const visitor = await sessions.load(null);
  visitor.data = { n: 1, cart: [{ sku: "tea" }] };
  const cookie = (await sessions.commit(visitor))!.split(";")[0]!;
  watched.calls.length = 0;
  const listener = withSession<Data, IncomingMessage, ServerResponse>(sessions, handler, {
    onError: (_error, _request, response) => onError(response),
  });
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    clock,
    watched,
    sessions,
    cookie,
    ask: () => fetch(url, { headers: { cookie }, redirect: "manual" }),
  };
}

test("a session that was only read → the response does not wait, and varies by cookie (R12)", async () => {
  const begun: unknown[] = [];
  const { ask, watched } = await world((_request, response, session) => {
    const n = session.data["n"];
    response.setHeader("vary", "Accept");
    begun.push(response.write(`n${String(n)}`), response.headersSent);
    assert.throws(() => response.setHeader("x-late", "1"), { code: "ERR_HTTP_HEADERS_SENT" });
    response.end();
    begun.push(response.writableEnded);
  });
  const answer = await ask();
  assert.deepEqual([await answer.text(), answer.headers.get("vary")], ["n1", "Accept, Cookie"]);
  assert.equal(answer.headers.get("cache-control"), null);
  assert.deepEqual(answer.headers.getSetCookie(), []);
  assert.deepEqual(begun, [true, true, true]);
  assert.deepEqual(watched.calls, ["read"]);
});

test("writeHead: nothing to save → its headers are merged with Vary (R12)", async () => {
  for (const headers of [{ Vary: "Accept" }, ["Vary", "Accept"]]) {
    const { ask } = await world((_request, response, session) => {
      void session.user;
      response.writeHead(201, "Made", headers as never).end();
    });
    const answer = await ask();
    assert.deepEqual([answer.status, answer.headers.get("vary")], [201, "Accept, Cookie"]);
  }
});

test("changes after writeHead in the same turn → saved, and their cookie is sent (promise 4, R12)", async () => {
  const handlers: Record<string, Handler> = {
    "a log-out": (_request, response, session) => {
      void session.user;
      response.writeHead(303, { location: "/", "cache-control": "max-age=60" });
      assert.throws(() => response.setHeader("x-late", "1"), { code: "ERR_HTTP_HEADERS_SENT" });
      assert.throws(() => response.writeHead(200), { code: "ERR_HTTP_HEADERS_SENT" });
      assert.equal(response.headersSent, true);
      session.destroy();
      response.end();
    },
    "a log-in, a turn later": async (_request, response, session) => {
      response.writeHead(303, { location: "/" });
      await new Promise(setImmediate);
      session.login("42");
      response.end();
    },
  };
  for (const [name, handler] of Object.entries(handlers)) {
    const { ask, cookie, sessions } = await world(handler);
    const { status, headers } = await ask();
    assert.equal(status, 303, name);
    assert.equal(headers.getSetCookie().length, 1, name);
    assert.deepEqual([headers.get("cache-control"), headers.get("vary")], ["no-store", "Cookie"], name);
    assert.equal((await sessions.load(cookie)).isNew, true, name);
  }
});

test("the session is accessed after writeHead → Vary: Cookie (R12)", async () => {
  for (const write of ["write", "end"] as const) {
    const { ask, watched } = await world((_request, response, session) => {
      response.writeHead(200, "Fine", { "x-before": "1" });
      const written = response[write](`n${String(session.data["n"])}`);
      assert.equal(written, write === "write" ? true : response);
      response.end();
    });
    const answer = await ask();
    assert.deepEqual([answer.headers.get("vary"), answer.headers.get("x-before")], ["Cookie", "1"]);
    assert.deepEqual([answer.statusText, await answer.text()], ["Fine", "n1"]);
    assert.deepEqual(watched.calls, ["read"]);
  }
});

test("writeHead: a header that Node rejects, and nothing to save → the error handler responds", async () => {
  const { ask } = await world((_request, response) => {
    response.writeHead(200, { "x-bad": "a\nb" });
    response.write("never");
    response.end("never");
  });
  const answer = await ask();
  assert.deepEqual([answer.status, await answer.text()], [503, "Service unavailable\n"]);
});

test("writeHead: a status that Node rejects → what the handler does instead is saved (promise 4)", async () => {
  const { ask, cookie, sessions } = await world((_request, response, session) => {
    void session.data;
    response.statusCode = 99;
    assert.throws(() => response.end("never"), { code: "ERR_HTTP_INVALID_STATUS_CODE" });
    session.data["n"] = 2;
    response.statusCode = 500;
    response.end("sorry");
  });
  const answer = await ask();
  assert.deepEqual([answer.status, await answer.text()], [500, "sorry"]);
  assert.equal((await sessions.load(cookie)).data["n"], 2);
});

test("changes in the rest of the turn → hooks and schema see them", async () => {
  const { ask, cookie, sessions } = await world(
    (_request, response, session) => {
      session.data["n"] = 2;
      response.end("saved");
      session.data["uid"] = "ann";
    },
    { userOf: (data) => data["uid"] as string | undefined },
  );
  const answer = await ask();
  const next = answer.headers.getSetCookie()[0]!.split(";")[0]!;
  assert.equal(
    (await sessions.load(cookie)).isNew,
    true,
    "a change of user is a login: the old id ended (R17)",
  );
  assert.equal((await sessions.load(next)).data["uid"], "ann");
  assert.equal((await sessions.forUser("ann").list()).length, 1);
});

test("an update inside another update of a new session → waits for it", async () => {
  const { sessions } = await world((_request, response) => response.end());
  const session = await sessions.load(null);
  let inner: Promise<void> | undefined;
  await sessions.update(session, (data) => {
    data["n"] = 1;
    inner ??= sessions.update(session, (later) => void (later["m"] = 2));
  });
  await inner;
  assert.deepEqual(session.data, { n: 1, m: 2 });
});

test("an unused session → the response does not wait, and has no cookie headers", async () => {
  const { ask, watched } = await world((_request, response) => {
    assert.equal(response.write("plain"), true);
    response.end();
  });
  assert.equal((await ask()).headers.get("vary"), null);
  assert.deepEqual(watched.calls, ["read"]);
});

/** Asks, and sees that the answer comes when the write that it waits for is done, and no sooner. */
async function answersOnceSaved(
  ask: () => Promise<Response>,
  watched: WatchedStore,
  handled: Promise<void> = Promise.resolve(),
): Promise<void> {
  const { arrived, release } = watched.holdWrites();
  let answered = false;
  const answer = ask().finally(() => (answered = true));
  await arrived;
  await handled;
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answered, false);
  release();
  assert.equal(await (await answer).text(), "saved");
}

const changes: Record<string, (session: Session<Data>) => unknown> = {
  "a change deep inside": ({ data }) => ((data["cart"] as { sku: string }[])[0]!.sku = "cup"),
  "a flash": (session) => session.flash("notice", "hello"),
  "a log-in": (session) => session.login("42"),
  "a new id": (session) => session.regenerate(),
  "a reset to something else": (session) => {
    session.reset();
    session.data["n"] = 2;
  },
  "a log-out": (session) => session.destroy(),
};

for (const [name, change] of Object.entries(changes)) {
  test(`${name}: the save takes time → no byte leaves before it is done (promise 4)`, async () => {
    const held = Promise.withResolvers<void>();
    const { ask, watched } = await world((_request, response, session) => {
      change(session);
      response.end("saved");
      held.resolve();
    });
    await answersOnceSaved(ask, watched, held.promise);
  });
}

test("an update that is not awaited → no byte is sent before it finishes (promise 4)", async () => {
  const { ask, watched, sessions } = await world((_request, response, session) => {
    void sessions.update(session, (data) => void (data["n"] = 2));
    response.end("saved");
  });
  await answersOnceSaved(ask, watched);
});

test("the application's own commit failed → tried again before the response (promise 4)", async () => {
  const { ask, watched, sessions } = await world(async (_request, response, session) => {
    session.data["n"] = 2;
    await sessions.commit(session).catch(() => {});
    response.end("never");
  });
  watched.down("writes");
  assert.equal((await ask()).status, 503);
});

test("a touch is due: the session was accessed or not → sent", async () => {
  for (const looks of [true, false]) {
    const { ask, watched, clock, cookie, sessions } = await world(
      (_request, response, session) => {
        if (looks) void session.data;
        response.end();
      },
      { touchEvery: "1 min", idleTimeout: "20 min" },
    );
    clock.advance(59_999);
    await (await ask()).text();
    assert.deepEqual(watched.calls.splice(0), ["read"]);
    clock.advance(1);
    await (await ask()).text();
    assert.deepEqual(watched.calls, ["read", "touch"]);
    clock.advance(20 * 60_000 - 1);
    assert.equal((await sessions.load(cookie)).isNew, false);
  }
});

test("a rolling cookie is due → sent again, with no-store (R12)", async () => {
  const { ask, clock } = await world((_request, response) => response.end(), {
    touchEvery: "1 min",
    cookie: { rolling: true },
  });
  assert.deepEqual((await ask()).headers.getSetCookie(), []);
  clock.advance(60_000);
  const { headers } = await ask();
  assert.equal(headers.getSetCookie().length, 1);
  assert.equal(headers.get("cache-control"), "no-store");
});

test("a late change without a commit → a warning, in the same turn and after the response", async () => {
  const late: Record<string, Handler> = {
    "through an object held": (_request, response, session) => {
      const { cart } = session.data as { cart: { sku: string }[] };
      response.end();
      cart[0]!.sku = "cup";
    },
    "through the session": (_request, response, session) => {
      response.end();
      session.data["n"] = 2;
    },
    "of a session not looked at before": async (_request, response, session) => {
      response.end();
      await once(response, "close");
      session.data["n"] = 2;
    },
    "of nobody's session": async (_request, response, session) => {
      void session.data;
      response.end();
      await once(response, "close");
      session.login("42");
    },
    none: (_request, response, session) => {
      const held = session.data;
      response.end();
      held["n"] = 1;
    },
  };
  for (const [name, handler] of Object.entries(late)) {
    const { ask, watched } = await world(handler);
    const told = Promise.withResolvers<unknown>();
    const onWarning = (warning: Error & { code?: string }) => told.resolve(warning.code);
    process.on("warning", onWarning);
    await (await ask()).text();
    if (name === "none") setTimeout(told.resolve, 100);
    const code = await told.promise;
    process.off("warning", onWarning);
    assert.equal(code, name === "none" ? undefined : "STORED_SESSION_CHANGED_AFTER_RESPONSE", name);
    assert.deepEqual(watched.calls, ["read"], name);
  }
});

test("two sessions: one has nothing to save → the response still waits for the other (promise 4)", async () => {
  const { ask, sessions, watched } = await world(async (request, response) => {
    const second = await attachSession(sessions, request, response);
    second.data["n"] = 2;
    assert.equal(response.write("a"), false);
    response.end();
  });
  assert.equal(await (await ask()).text(), "a");
  assert.deepEqual(watched.calls, ["read", "read", "update"]);
});

test("changes by outer middleware after a framework's commit → committed before the response (promise 4, R12)", async () => {
  const commitNow = (response: ServerResponse) =>
    ResponseGuard.on(response, { onError: () => assert.fail() }).commitNow();
  const later: Record<string, Handler> = {
    "a login with a commit of its own": async (_request, response, session) => {
      await commitNow(response);
      session.login("42");
      await settled(session);
      response.end();
    },
    "a look": async (_request, response, session) => {
      await commitNow(response);
      response.end(`n${String(session.data["n"])}`);
    },
  };
  let settled: (session: Session<Data>) => Promise<unknown>;
  for (const [name, handler] of Object.entries(later)) {
    const { ask, cookie, sessions } = await world(handler);
    settled = (session) => sessions.commit(session);
    const { headers } = await ask();
    assert.equal(headers.get("vary"), "Cookie", name);
    const [given = cookie] = headers.getSetCookie();
    const session = await sessions.load(given.split(";")[0]!);
    assert.deepEqual([session.user, session.data["n"]], [name === "a look" ? undefined : "42", 1], name);
  }
});

test("an update started after a framework's commit → the response waits for it (promise 4)", async () => {
  const { ask, watched, sessions } = await world(async (_request, response, session) => {
    await ResponseGuard.on(response, { onError: () => assert.fail() }).commitNow();
    void sessions.update(session, (data) => void (data["n"] = 2));
    response.end("saved");
  });
  await answersOnceSaved(ask, watched);
});

test("a failed commit: the source was unpiped before → not destroyed", async () => {
  const source = new PassThrough();
  const { ask, watched } = await world((_request, response, session) => {
    session.data["n"] = 2;
    source.pipe(response);
    source.unpipe(response);
    response.end("never");
  });
  watched.down("writes");
  const answer = await ask();
  assert.deepEqual([answer.status, await answer.text()], [503, "Service unavailable\n"]);
  assert.equal(source.destroyed, false);
});

test("a failed commit: listeners of the error handler → not passed to a layer of the dropped response", async () => {
  const elsewhere = new EventEmitter();
  const heard: string[] = [];
  const handler: Handler = (_request, response, session) => {
    const on = response.on.bind(response);
    response.on = ((event: string, listener: () => void) =>
      event === "drain" ? elsewhere.on(event, listener) : on(event, listener)) as typeof response.on;
    session.data["n"] = 2;
    response.end("never");
  };
  const { ask, watched } = await world(handler, {}, (response) => {
    response.on("drain", () => heard.push("drain"));
    response.emit("drain");
    response.end("sorry");
  });
  watched.down("writes");
  assert.equal(await (await ask()).text(), "sorry");
  assert.deepEqual(heard, ["drain"]);
  assert.equal(elsewhere.listenerCount("drain"), 0);
});
