import compression from "compression";
import express, { type Request, type Response } from "express";
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, test } from "vitest";
import { session } from "../../src/adapters/express.ts";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";

/**
 * The compression middleware takes over write, end and the listeners for "drain": outside of the session it stands
 * between the guard and the response, inside it stands between the handler and the guard.
 */

const mounts = ["outside", "inside"] as const;
const uses = {
  unseen: () => {},
  read: (request: Request) => void request.session.data,
  changed: (request: Request) => void ((request.session.data as { n: number }).n += 1),
};
const lines = Array.from({ length: 300 }, (_, n) => `line ${n}\n`.repeat(50));
const text = lines.join("");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-"));
  writeFileSync(join(folder, "small.css"), "a { color: red }\n".repeat(200));
  writeFileSync(join(folder, "big.txt"), "0123456789abcde\n".repeat(200_000));
});
afterAll(() => rmSync(folder, { recursive: true }));

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const writers: Record<string, (request: Request, response: Response) => unknown> = {
  "/send": (_request, response) => response.type("text").send(text),
  "/stream": (_request, response) => Readable.from(lines).pipe(response.type("text")),
  "/generator": (_request, response) =>
    pipeline(async function* () {
      yield* lines;
    }, response.type("text")),
  "/on-drain": (_request, response) => {
    const left = [...lines];
    response.type("text").on("drain", write);
    function write() {
      while (left.length > 0) if (!response.write(left.shift()!)) return;
      response.end();
    }
    write();
  },
  "/once-drain": async (_request, response) => {
    response.type("text");
    for (const line of lines) if (!response.write(line)) await once(response, "drain");
    response.end();
  },
};

async function start(mount: (typeof mounts)[number], use: keyof typeof uses) {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  const visitor = await sessions.load(null);
  visitor.data.n = 1;
  const cookie = (await sessions.commit(visitor))!.split(";")[0]!;
  const app = express();
  app.set("env", "test");
  if (mount === "outside") app.use(compression());
  app.use(session(sessions));
  if (mount === "inside") app.use(compression());
  app.use((request, _response, next) => {
    uses[use](request);
    next();
  });
  for (const [path, write] of Object.entries(writers)) app.get(path, write);
  app.use(express.static(folder));
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const ask = async (path: string, options: { method?: string; headers?: Record<string, string> } = {}) => {
    const headers = { cookie, "accept-encoding": "gzip", ...options.headers };
    const request = get({ port, path, ...options, headers, agent: false });
    const [answer] = (await once(request, "response")) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const gzip = answer.headers["content-encoding"] === "gzip" && bytes.length > 0;
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: String(gzip ? gunzipSync(bytes) : bytes),
    };
  };
  return { app, watched, sessions, cookie, port, ask };
}

for (const mount of mounts) {
  for (const use of Object.keys(uses) as (keyof typeof uses)[]) {
    const name = `compression ${mount} of the session, which is ${use}`;

    test(`${name}: files, HEAD and 304 → complete responses`, async () => {
      const { ask } = await start(mount, use);
      for (const path of ["small.css", "big.txt"]) {
        for (const encoding of ["gzip", "identity"]) {
          const answer = await ask(`/${path}`, { headers: { "accept-encoding": encoding } });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers["content-encoding"], encoding === "gzip" ? "gzip" : undefined);
          assert.ok(answer.body === readFileSync(join(folder, path), "utf8"), `${path}, ${encoding}`);
          const { etag } = answer.headers;
          const again = await ask(`/${path}`, { headers: { "if-none-match": etag! } });
          assert.deepEqual([again.status, again.body], [304, ""]);
        }
        const head = await ask(`/${path}`, { method: "HEAD" });
        assert.deepEqual([head.status, head.body], [200, ""]);
      }
    });

    test(`${name}: streams, and writers that wait for "drain" → complete responses`, async () => {
      const { ask } = await start(mount, use);
      for (const path of Object.keys(writers)) {
        for (const encoding of ["gzip", "identity"]) {
          const answer = await ask(path, { headers: { "accept-encoding": encoding } });
          assert.equal(answer.headers["content-encoding"], encoding === "gzip" ? "gzip" : undefined);
          assert.ok(answer.body === text, `${path}, ${encoding}`);
        }
        assert.equal((await ask(path, { method: "HEAD" })).body, "");
      }
    });
  }

  test(`compression ${mount}: a client disconnects → no other request is affected`, async () => {
    const { app, ask, cookie, port } = await start(mount, "changed");
    const sources: Readable[] = [];
    const closed: Promise<unknown>[] = [];
    app.get("/endless", (_request, response) => {
      const source = new Readable({
        read() {
          setImmediate(() => this.push("more and more\n".repeat(20)));
        },
      });
      sources.push(source);
      closed.push(once(response, "close"));
      response.type("text").on("close", () => source.destroy());
      source.pipe(response);
    });
    for (let n = 0; n < 10; n++) {
      const request = get({
        port,
        path: "/endless",
        headers: { cookie, "accept-encoding": "gzip" },
        agent: false,
      });
      request.on("error", () => {});
      if (n % 2 === 0) {
        await once(request, "response");
        request.destroy();
      } else {
        while (sources.length <= n) await new Promise(setImmediate);
        request.destroy();
      }
    }
    await Promise.all(closed);
    assert.ok(sources.every(({ destroyed }) => destroyed));
    assert.ok((await ask("/stream")).body === text);
  });

  test(`compression ${mount}: the commit fails → only the error page is sent (promise 4)`, async () => {
    const { ask, watched } = await start(mount, "changed");
    watched.down("writes");
    for (const path of [...Object.keys(writers), "/small.css", "/big.txt"]) {
      const answer = await ask(path);
      assert.equal(answer.status, 503, path);
      assert.match(answer.body, /StoreUnavailableError/);
      assert.equal(answer.headers["cache-control"], "no-store");
      if (!path.includes(".")) assert.match(answer.headers.vary!, /Cookie/);
    }
  });

  test(`compression ${mount}: an error page of the application → complete`, async () => {
    const { app, ask, watched } = await start(mount, "changed");
    const page = "The shop is closed.\n".repeat(100);
    app.use((_error: unknown, _request: Request, response: Response, _next: unknown) => {
      response.status(503).type("text").send(page);
    });
    watched.down("writes");
    for (const path of [...Object.keys(writers), "/small.css", "/big.txt"]) {
      const answer = await ask(path);
      assert.equal(answer.status, 503, path);
      assert.ok(answer.body === page, path);
    }
  });
}
