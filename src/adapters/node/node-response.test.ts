import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createReadStream } from "node:fs";
import {
  createServer,
  get,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import * as http2 from "node:http2";
import { connect, type AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, test } from "vitest";
import { generateKey } from "../../sealing/keyring.ts";
import { createSessionManager } from "../../manager.ts";
import type { ClientInfo } from "../../session/format.ts";
import type { Session } from "../../session/session.ts";
import { memoryStore } from "../../store/memory.ts";
import {
  adapterContract,
  contractFresh,
  contractError,
  contractHeaders,
  type ContractApp,
  type RunningApp,
} from "../../testing/index.ts";
import { WatchedStore } from "../../testing/watched-store.ts";
import { attachSession, requireFresh, withSession, type NodeSessionOptions } from "./node-response.ts";

type Data = Record<string, unknown>;
type Handler = (request: IncomingMessage, response: ServerResponse, session: Session<Data>) => unknown;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function serve(listener: RequestListener): Promise<string> {
  return listening(createServer(listener));
}

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function world() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<Data>({ store: watched.store, keys: generateKey() });
  const listen = (handler: Handler, options?: NodeSessionOptions<IncomingMessage, ServerResponse>) =>
    serve(withSession(sessions, handler, options));
  return { watched, sessions, listen };
}

/** A handler over a session that it changes, so that there is something to commit. */
function changing(handler: Handler): Handler {
  return (request, response, session) => {
    session.data["changed"] = true;
    return handler(request, response, session);
  };
}

const fresh = requireFresh(contractFresh.within, contractFresh.options);

function contractListener(app: ContractApp): RequestListener {
  const onError = (error: unknown, _request: IncomingMessage, response: ServerResponse) => {
    const { status, body } = contractError(error);
    response.writeHead(status, { "content-type": "text/plain" }).end(body);
  };
  const handler = async (request: IncomingMessage, response: ServerResponse, session: Session<Data>) => {
    if (request.url!.startsWith("/fresh/") && !fresh(request, response, session)) return;
    const answer = await app.route(request.url!, () => session as never);
    response.writeHead(answer.status, {
      ...answer.headers,
      ...(answer.redirect !== undefined && { location: answer.redirect }),
    });
    if (answer.file !== undefined) createReadStream(answer.file).pipe(response);
    else if (answer.chunks === undefined) response.end(answer.body ?? undefined);
    else Readable.from(answer.chunks).pipe(response);
  };
  const listener = withSession(app.sessions, handler, { onError });
  return (request, response) => {
    for (const [name, value] of Object.entries(contractHeaders)) response.setHeader(name, value);
    listener(request, response);
  };
}

async function startContract(app: ContractApp): Promise<RunningApp & { listener: RequestListener }> {
  const listener = contractListener(app);
  const server = createServer(listener);
  const url = await listening(server);
  const close = closing.pop()!;
  return { url, server, listener, close: async () => void (await close()) };
}

const create = async () => memoryStore();

adapterContract("node:http", { test, create, start: startContract, ways: ["file"] });

adapterContract("HTTP/2", {
  test,
  create,
  ways: ["file"],
  leavingOnly: true,
  async start(app) {
    const { url, listener, close } = await startContract(app); // for the visits that stay
    const server = http2.createServer(listener as never).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return {
      url,
      server,
      async close() {
        server.close();
        await close();
      },
      open(path, cookie) {
        const client = http2.connect(`http://127.0.0.1:${port}`);
        const stream = client.request({ ":path": path, cookie });
        for (const emitter of [client, stream]) emitter.on("error", () => {});
        return async () => {
          const closed = once(client, "close");
          client.destroy();
          await closed;
        };
      },
    };
  },
});

test("write while the session is saved → returns false, and drain follows", async () => {
  const { listen } = world();
  const order: unknown[] = [];
  const url = await listen(
    changing(async (_request, response) => {
      order.push(response.write("a", () => order.push("a is out")));
      order.push(response.write("b"));
      await new Promise<void>((resolve) => response.once("drain", resolve));
      order.push("drain");
      order.push(response.write("c"));
      response.end("d", () => order.push("finished"));
    }),
  );
  assert.equal(await (await fetch(url)).text(), "abcd");
  assert.deepEqual(order.slice(0, 2), [false, false]);
  assert.ok(order.includes("a is out") && order.includes("finished"));
  assert.equal(order[order.indexOf("drain") + 1], true);
});

test("stream.pipeline into the response → completes", async () => {
  const { listen } = world();
  const chunks = Array.from({ length: 200 }, (_, n) => `${n}`.padEnd(5_000, "."));
  const done = Promise.withResolvers<void>();
  const url = await listen(
    changing((_request, response) =>
      pipeline(Readable.from(chunks), response).then(done.resolve, done.reject),
    ),
  );
  assert.equal(await (await fetch(url)).text(), chunks.join(""));
  await done.promise;
});

test("writeHead: headers as an object or a list → merged with those of the session", async () => {
  const { listen } = world();
  const lists: unknown[] = [
    { "Set-Cookie": ["a=1", "b=2"], Vary: "Accept", "Cache-Control": "public" },
    ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Vary", "Accept", "Cache-Control", "public"],
  ];
  for (const headers of lists) {
    const url = await listen(
      changing((_request, response) => {
        response.setHeader("set-cookie", "replaced=1");
        response.writeHead(201, "Made", headers as never).end("x");
      }),
    );
    const answer = await fetch(url);
    assert.equal(answer.status, 201);
    assert.equal(answer.statusText, "Made");
    assert.deepEqual(
      answer.headers.getSetCookie().map((line) => line.slice(0, 3)),
      ["a=1", "b=2", "__H"],
    );
    assert.equal(answer.headers.get("vary"), "Accept, Cookie");
    assert.equal(answer.headers.get("cache-control"), "no-store");
  }
});

test("informational responses → sent at once; flushed headers → sent after the commit", async () => {
  const { listen } = world();
  const url = await listen(
    changing((_request, response) => {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      response.writeProcessing();
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      setImmediate(() => response.end("event"));
    }),
  );
  const informed: number[] = [];
  const answer = await new Promise<IncomingMessage>((resolve) => {
    const request = get(url, resolve);
    request.on("information", ({ statusCode }) => informed.push(statusCode));
  });
  answer.resume();
  assert.deepEqual(informed, [103, 102]);
  assert.match(answer.headers["set-cookie"]![0]!, /^__Host-session=/);
});

test("headers: changed after the response has begun → rejected, as by Node", async () => {
  const { listen } = world();
  const codes: unknown[] = [];
  const closed = (work: () => unknown) => {
    try {
      work();
      codes.push("open");
    } catch (error) {
      codes.push((error as { code?: string }).code);
    }
  };
  const url = await listen(
    changing((_request, response) => {
      response.statusCode = 201;
      response.write("a");
      assert.equal(response.headersSent, true);
      assert.equal(response.writableEnded, false);
      closed(() => response.setHeader("x-late", "1"));
      closed(() => response.removeHeader("x-early"));
      closed(() => response.appendHeader("x-late", "1"));
      closed(() => response.writeHead(204));
      response.statusCode = 500;
      response.end();
      assert.equal(response.writableEnded, true);
    }),
  );
  const answer = await fetch(url);
  assert.deepEqual([answer.status, await answer.text()], [201, "a"]);
  assert.deepEqual(codes, Array(4).fill("ERR_HTTP_HEADERS_SENT"));
});

test("a complete response: the handler writes more → unchanged", async () => {
  const { listen } = world();
  const called: unknown[] = [];
  const url = await listen(
    changing((_request, response) => {
      response.setHeader("content-length", 5).end("first");
      response.statusCode = 500;
      response.setHeader("content-length", 6);
      response.write("second", (error) => called.push((error as { code?: string }).code));
      response.end("third!");
      throw new Error("and now this");
    }),
    {
      onError: (_error, _request, response) =>
        void (response.headersSent ? response.destroy() : response.end("error")),
    },
  );
  const answer = await fetch(url);
  assert.deepEqual([answer.status, await answer.text()], [200, "first"]);
  assert.deepEqual(called, ["ERR_STREAM_WRITE_AFTER_END"]);
});

test("write: a chunk that is neither text nor bytes → throws at once and starts nothing", async () => {
  const { listen } = world();
  const url = await listen(
    changing((_request, response) => {
      assert.throws(() => response.write({}), { code: "ERR_INVALID_ARG_TYPE" });
      assert.throws(() => response.end(1 as never), { code: "ERR_INVALID_ARG_TYPE" });
      response.end("fine");
    }),
  );
  assert.equal(await (await fetch(url)).text(), "fine");
});

test("a header that Node rejects → onError responds", async () => {
  const { listen } = world();
  const url = await listen(
    changing((_request, response) => void response.writeHead(200, { "x-bad": "line\nbreak" }).end("never")),
  );
  const answer = await fetch(url);
  assert.deepEqual([answer.status, await answer.text()], [500, "Internal server error\n"]);
});

test("a failed commit: a source is piped into the response → the source is ended and the error response is clean (promise 4)", async () => {
  const { listen, watched } = world();
  watched.down("writes");
  const sources: Readable[] = [];
  const outcomes: Promise<unknown>[] = [];
  const endless = () => {
    const source = new Readable({
      read() {
        setImmediate(() => this.push("never seen"));
      },
    });
    sources.push(source);
    return source;
  };
  const piping = await listen(changing((_request, response) => void endless().pipe(response)));
  const pipelining = await listen(
    changing(
      (_request, response) =>
        void outcomes.push(pipeline(endless(), response).catch((error: unknown) => error)),
    ),
  );
  for (const url of [piping, pipelining]) {
    const answer = await fetch(url);
    assert.deepEqual([answer.status, await answer.text()], [503, "Service unavailable\n"]);
    assert.deepEqual(answer.headers.getSetCookie(), []);
  }
  await Promise.all(outcomes);
  assert.deepEqual(
    sources.map(({ destroyed }) => destroyed),
    [true, true],
  );
});

test("a handler that continues to write after a failed commit → its output is dropped", async () => {
  const { listen, watched } = world();
  watched.down("writes");
  const over = Promise.withResolvers<void>();
  const callbacks: unknown[] = [];
  const url = await listen(
    changing(async (_request, response) => {
      response.write("one", (error) => callbacks.push((error as { code?: string }).code));
      await new Promise((resolve) => response.once("finish", resolve));
      response.setHeader("x-late", "1");
      response.write("two");
      response.end("three");
      over.resolve();
    }),
  );
  const answer = await fetch(url);
  assert.deepEqual([answer.status, await answer.text()], [503, "Service unavailable\n"]);
  await over.promise;
  assert.deepEqual(callbacks, ["ERR_STORED_SESSION_STORE_UNAVAILABLE"]);
});

test("onError throws → the connection is closed, the process goes on", async () => {
  const { listen, watched } = world();
  watched.down("writes");
  const url = await listen(
    changing((_request, response) => void response.end("x")),
    {
      onError() {
        throw new Error("no answer");
      },
    },
  );
  await assert.rejects(fetch(url));
});

test("two sessions on one response → both cookies are sent", async () => {
  const one = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
  const two = createSessionManager<Data>({
    store: memoryStore(),
    keys: generateKey(),
    cookie: { name: "__Host-admin" },
  });
  const url = await serve(async (request, response) => {
    (await attachSession(one, request, response)).data["a"] = 1;
    (await attachSession(two, request, response)).data["b"] = 1;
    response.end("both");
  });
  const names = (await fetch(url)).headers.getSetCookie().map((line) => line.split("=")[0]);
  assert.deepEqual(names, ["__Host-session", "__Host-admin"]);
});

test("two sessions: the second commit fails → the first one's cookie is sent with the error", async () => {
  const one = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
  const down = new WatchedStore(memoryStore());
  down.down("all");
  const two = createSessionManager<Data>({
    store: down.store,
    keys: generateKey(),
    cookie: { name: "__Host-admin" },
  });
  const url = await serve(async (request, response) => {
    (await attachSession(one, request, response)).data["a"] = 1;
    (await attachSession(two, request, response)).data["b"] = 1;
    response.end("never");
  });
  const answer = await fetch(url);
  assert.equal(answer.status, 503);
  assert.deepEqual(
    answer.headers.getSetCookie().map((line) => line.split("=")[0]),
    ["__Host-session"],
  );
});

const h2Chunks = Array.from({ length: 100 }, (_, n) => `${n}`.padEnd(3_000, "."));

test("HTTP/2 compatibility API → guarded the same way", async () => {
  const { sessions, watched } = world();
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on("warning", onWarning);
  const server = http2.createServer(
    withSession(
      sessions,
      (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse, session) => {
        session.data["n"] = Number(session.data["n"] ?? 0) + 1;
        if (request.url === "/pipe")
          Readable.from(h2Chunks).pipe(response as unknown as NodeJS.WritableStream);
        else response.writeHead(201, { vary: "Accept" }).end(`n${String(session.data["n"])}`);
      },
    ),
  );
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  closing.push(() => {
    client.destroy();
    server.close();
    process.off("warning", onWarning);
  });
  const ask = async (path: string, cookie?: string) => {
    const stream = client.request({ ":path": path, ...(cookie && { cookie }) });
    const headers = await new Promise<http2.IncomingHttpHeaders>((resolve) =>
      stream.once("response", resolve),
    );
    let body = "";
    for await (const chunk of stream.setEncoding("utf8")) body += chunk;
    return { status: headers[":status"], headers, body };
  };
  const first = await ask("/");
  assert.deepEqual([first.status, first.body, first.headers["vary"]], [201, "n1", "Accept, Cookie"]);
  const cookie = first.headers["set-cookie"]![0]!.split(";")[0]!;
  assert.equal((await ask("/pipe", cookie)).body, h2Chunks.join(""));
  assert.equal((await ask("/", cookie)).body, "n3");
  watched.down("writes");
  const down = await ask("/", cookie);
  assert.deepEqual([down.status, down.body], [503, "Service unavailable\n"]);
  assert.deepEqual([down.headers["cache-control"], down.headers["vary"]], ["no-store", "Cookie"]);
  assert.equal((await ask("/pipe", cookie)).body, "Service unavailable\n");
  assert.deepEqual(warnings, []);
});

test("HTTP/2: writeHead, and the session changes later in the same turn → the headers include the change (promise 4, R12)", async () => {
  const { sessions } = world();
  const goOn = Promise.withResolvers<void>();
  const server = http2.createServer(
    withSession(sessions, async (_request, response: http2.Http2ServerResponse, session) => {
      response.writeHead(200);
      session.login("42");
      await goOn.promise;
      response.end("later");
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  closing.push(() => {
    client.destroy();
    server.close();
  });
  const stream = client.request({ ":path": "/" });
  const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  assert.equal(headers["vary"], "Cookie");
  const cookie = headers["set-cookie"]![0]!.split(";")[0]!;
  assert.equal((await sessions.load(cookie)).user, "42");
  goOn.resolve();
  let body = "";
  for await (const chunk of stream.setEncoding("utf8")) body += chunk;
  assert.equal(body, "later");
});

test("X-Forwarded-For: a trusted proxy → used; an untrusted one → ignored", async () => {
  const seen: (string | undefined)[] = [];
  const { sessions } = world();
  const load = sessions.load.bind(sessions);
  sessions.load = (cookie, client) => {
    seen.push((client as ClientInfo).address);
    return load(cookie, client);
  };
  for (const trustProxy of [false, true, 2, 9]) {
    const url = await serve(withSession(sessions, (_request, response) => response.end(), { trustProxy }));
    await fetch(url, { headers: { "x-forwarded-for": "6.6.6.6, 10.0.0.1, 10.0.0.2" } });
  }
  assert.deepEqual(seen, ["127.0.0.1", "10.0.0.2", "10.0.0.1", "6.6.6.6"]);
});

async function warningsDuring(work: () => Promise<void>): Promise<unknown[]> {
  const codes: unknown[] = [];
  const onWarning = (warning: Error & { code?: string }) => void codes.push(warning.code);
  process.on("warning", onWarning);
  await work();
  for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", onWarning);
  return codes;
}

test("an error response: cache headers of handler and error handler → no-store all the same (R12)", async () => {
  const { sessions, watched } = world();
  const seen: unknown[] = [];
  const answers: ((response: ServerResponse) => unknown)[] = [
    (response) => response.end("sorry"),
    (response) =>
      response.writeHead(503, { "cache-control": "public, max-age=600", vary: "Accept" }).end("sorry"),
    (response) => {
      for (const name of response.getHeaderNames()) response.removeHeader(name);
      setImmediate(() => response.writeHead(503, ["Cache-Control", "public"]).end("sorry"));
    },
  ];
  watched.down("writes");
  for (const answer of answers) {
    const url = await serve(
      withSession<Data, IncomingMessage, ServerResponse>(
        sessions,
        changing((_request, response) => {
          response.setHeader("cache-control", "public, max-age=600");
          response.setHeader("cdn-cache-control", "max-age=600");
          response.setHeader("etag", '"page"');
          response.end("a page");
        }),
        {
          onError(_error, _request, response) {
            seen.push(response.getHeader("cache-control"), response.statusCode);
            answer(response);
          },
        },
      ),
    );
    const { status, headers } = await fetch(url);
    assert.equal(status, 503);
    assert.equal(headers.get("cache-control"), "no-store");
    assert.ok([null, "no-store"].includes(headers.get("cdn-cache-control")));
    assert.match(headers.get("vary")!, /Cookie$/);
    assert.equal(headers.get("etag"), null);
  }
  assert.deepEqual(
    seen,
    answers.flatMap(() => ["no-store", 503]),
  );
});

test("an error after a commit: the error handler clears all headers → the cookie is sent", async () => {
  const one = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
  const down = new WatchedStore(memoryStore());
  down.down("all");
  const two = createSessionManager<Data>({
    store: down.store,
    keys: generateKey(),
    cookie: { name: "__Host-admin" },
  });
  const url = await serve(async (request, response) => {
    const onError = () => {
      for (const name of response.getHeaderNames()) response.removeHeader(name);
      response.writeHead(503, { "set-cookie": "theme=dark" }).end();
    };
    (await attachSession(one, request, response, { onError })).data["a"] = 1;
    (await attachSession(two, request, response)).data["b"] = 1;
    response.end("never");
  });
  assert.deepEqual(
    (await fetch(url)).headers.getSetCookie().map((line) => line.split("=")[0]),
    ["theme", "__Host-session"],
  );
});

test("a failed commit: the handler writes on while the error handler waits → only the error response is sent (promise 4)", async () => {
  const { listen, watched } = world();
  watched.down("writes");
  const failed = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  const url = await listen(
    changing(async (_request, response) => {
      response.write("secret", () => failed.resolve());
      await failed.promise;
      response.write("secret");
      written.resolve();
    }),
    {
      async onError(_error, _request, response) {
        await written.promise;
        response.statusCode = 500;
        response.write("sor");
        response.end("ry");
      },
    },
  );
  const answer = await fetch(url);
  assert.deepEqual([answer.status, await answer.text()], [500, "sorry"]);
});

test("headers already sent when the session is loaded → saved, with one warning about a lost cookie", async () => {
  const { sessions, watched } = world();
  const visitor = await sessions.load(null);
  visitor.data["n"] = 1;
  const cookie = (await sessions.commit(visitor))!.split(";")[0]!;
  const url = await serve(async (request, response) => {
    response.flushHeaders();
    response.write("a");
    const session = await attachSession(sessions, request, response);
    session.data["n"] = Number(session.data["n"] ?? 0) + 1;
    assert.throws(() => response.writeHead(201), { code: "ERR_HTTP_HEADERS_SENT" });
    response.flushHeaders();
    response.write("b");
    response.end("c");
    assert.equal(response.headersSent, true);
    assert.throws(() => response.setHeader("x-late", "1"), { code: "ERR_HTTP_HEADERS_SENT" });
  });
  const codes = await warningsDuring(async () => {
    assert.equal(await (await fetch(url, { headers: { cookie } })).text(), "abc");
  });
  assert.deepEqual(codes, []);
  assert.equal((await sessions.load(cookie)).data["n"], 2);
  const unsent = await warningsDuring(async () => {
    for (let n = 0; n < 2; n++) assert.equal(await (await fetch(url)).text(), "abc");
  });
  assert.deepEqual(unsent, ["STORED_SESSION_COOKIE_UNSENT"]);
  watched.down("writes");
  await assert.rejects(async () => (await fetch(url, { headers: { cookie } })).text());
});

test("Set-Cookie: the handler sent the cookie of its own commit → not repeated", async () => {
  const { sessions, listen } = world();
  const url = await listen(
    changing(async (request, response, session) => {
      const setCookie = (await sessions.commit(session))!;
      if (request.url === "/set") response.setHeader("Set-Cookie", setCookie);
      if (request.url === "/append") response.appendHeader("Set-Cookie", ["theme=dark", setCookie]);
      response.writeHead(200, request.url === "/head" ? { "set-cookie": [setCookie] } : {}).end();
    }),
  );
  for (const path of ["/", "/set", "/append", "/head"]) {
    const lines = (await fetch(url + path)).headers.getSetCookie();
    assert.equal(lines.filter((line) => line.startsWith("__Host-session=")).length, 1, path);
  }
});

test("pipelined requests → each waits for its own commit, and responses keep their order", async () => {
  const { listen, watched } = world();
  const { arrived, release } = watched.holdWrites();
  const chunks = Array.from({ length: 50 }, (_, n) => `${n};`.padEnd(2_000, "."));
  const url = await listen(
    changing(async (request, response) => {
      response.setHeader("x-path", request.url!);
      for (const chunk of chunks) {
        if (!response.write(chunk)) await new Promise<void>((resolve) => response.once("drain", resolve));
      }
      response.end(request.url!);
    }),
  );
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  closing.push(() => socket.destroy());
  const paths = ["/1", "/2", "/3", "/4"];
  socket.write(
    paths
      .map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n${path === "/4" ? "Connection: close\r\n" : ""}\r\n`)
      .join(""),
  );
  await arrived;
  release();
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk as string;
  assert.deepEqual(
    [...text.matchAll(/x-path: (\S+)/g)].map(([, path]) => path),
    paths,
  );
  assert.equal(text.match(/^set-cookie: /gim)?.length, 4);
  assert.equal(text.split("0;..").length - 1, 20);
});

test("changes after logout and response: a login → a warning; others → none", async () => {
  const { listen } = world();
  const late: Record<string, (session: Session<Data>) => void> = {
    "/login": (session) => session.login("ann"),
    "/data": (session) => void (session.data["n"] = 2),
    "/reset": (session) => session.reset(),
  };
  const done: Promise<void>[] = [];
  const url = await listen(
    changing(async (request, response, session) => {
      const path = request.url!;
      if (path === "/") return void response.end();
      session.destroy();
      response.end();
      done.push(once(response, "close").then(() => late[path]!(session)));
    }),
  );
  for (const path of Object.keys(late)) {
    const cookie = (await fetch(url)).headers.getSetCookie()[0]!.split(";")[0]!;
    const codes = await warningsDuring(async () => {
      await (await fetch(url + path, { headers: { cookie } })).text();
      await done.at(-1);
    });
    assert.deepEqual(codes, path === "/login" ? ["STORED_SESSION_CHANGED_AFTER_RESPONSE"] : [], path);
  }
});

test("drain listeners: a lower layer redirects or wraps them → called once, and never after the end", async () => {
  const { sessions } = world();
  const told: string[] = [];
  const url = await serve(async (request, response) => {
    const elsewhere = new EventEmitter();
    const on = response.on.bind(response);
    response.on = ((event: string, listener: () => void) => {
      if (event !== "drain") return on(event, listener);
      if (request.url === "/wraps") return on(event, () => listener());
      elsewhere.on(event, listener);
      return response;
    }) as typeof response.on;
    const session = await attachSession(sessions, request, response);
    session.data["n"] = 1;
    response.on("drain", () => told.push("before"));
    response.write("a");
    response.on("drain", () => told.push("after"));
    if (request.url === "/ends") return void response.end();
    await once(response, "drain");
    response.write("b");
    response.end();
  });
  for (const path of ["/wraps", "/redirects"]) {
    assert.equal(await (await fetch(url + path)).text(), "ab");
    assert.deepEqual(told.splice(0), ["before", "after"], path);
  }
  assert.equal(await (await fetch(`${url}/ends`)).text(), "a");
  assert.deepEqual(told, []);
});
