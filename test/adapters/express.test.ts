import express, { type ErrorRequestHandler } from "express";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, type AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { afterEach, test } from "vitest";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { requireFresh, session, sessionOf } from "../../src/adapters/express.ts";
import { memoryStore } from "../../src/store/memory.ts";
import {
  adapterContract,
  contractError,
  contractFresh,
  contractHeaders,
  type ContractApp,
  type ContractSession,
} from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { passingErrors, running } from "./server.ts";

async function start(contract: ContractApp) {
  const app = express();
  app.set("etag", false);
  app.use((_request, response, next) => {
    response.set(contractHeaders);
    next();
  });
  app.use(session(contract.sessions));
  app.use("/fresh", requireFresh(contractFresh.within, contractFresh.options));
  app.use(
    passingErrors(async (request: express.Request, response: express.Response) => {
      const answer = await contract.route(request.url, () => request.session as ContractSession);
      response.status(answer.status).set(answer.headers);
      if (answer.redirect !== undefined) response.redirect(answer.redirect);
      else if (answer.chunks !== undefined) Readable.from(answer.chunks).pipe(response);
      else if (answer.file !== undefined) response.sendFile(answer.file);
      else if (answer.raw === true) response.writeHead(answer.status).end(answer.body);
      else if (answer.body === null) response.end();
      else response.send(answer.body);
    }),
  );
  const answerError: ErrorRequestHandler = (error, _request, response, _next) => {
    const { status, body } = contractError(error);
    response.status(status).send(body);
  };
  app.use(answerError);
  return running(app.listen(0, "127.0.0.1"));
}

/** A server over an application of its own, closed after the test. */
async function listen(app: express.Express): Promise<string> {
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  return { watched, sessions };
}

test("Express: mounted on the application and on a router → loads and commits once", async () => {
  const { sessions, watched } = managed();
  const app = express();
  const router = express.Router();
  app.use(session(sessions));
  app.use("/sub", session(sessions), router);
  router.get("/", (request, response) => {
    const { data } = sessionOf(sessions, request);
    assert.equal(data, request.session.data);
    data.n = (data.n ?? 0) + 1;
    response.json(data.n);
  });
  const url = await listen(app);
  const first = await fetch(`${url}/sub`);
  const cookies = first.headers.getSetCookie();
  assert.equal(cookies.length, 1);
  await fetch(`${url}/sub`, { headers: { cookie: cookies[0]!.split(";")[0]! } });
  assert.deepEqual(watched.calls, ["insert", "read", "update"]);
});

test("Express: two managers with their own properties → independent sessions", async () => {
  const { sessions } = managed();
  const admins = createSessionManager<{ level: number }>({
    store: memoryStore(),
    keys: generateKey(),
    cookie: { name: "__Host-admin" },
  });
  const app = express();
  app.use(session(sessions), session(admins, { property: "admin" }));
  app.get("/", (request, response) => {
    sessionOf(sessions, request).data.n = 1;
    sessionOf(admins, request).data.level = 2;
    response.json((request as unknown as { admin: { data: unknown } }).admin.data);
  });
  const answer = await fetch(await listen(app));
  assert.deepEqual(await answer.json(), { level: 2 });
  assert.equal(answer.headers.getSetCookie().length, 2);
});

test("Express: sessionOf without the middleware → an error that says so", () => {
  assert.throws(() => sessionOf(managed().sessions, {}), TypeError);
});

test("Express: res.sendFile, with ranges and HEAD → sent after the commit (promise 4)", async () => {
  const { sessions } = managed();
  const app = express();
  app.use(session(sessions));
  app.get("/", (request, response) => {
    sessionOf(sessions, request).data.n = 1;
    response.sendFile(import.meta.filename);
  });
  const url = await listen(app);
  const source = readFileSync(import.meta.filename, "utf8");
  const whole = await fetch(url);
  assert.equal(await whole.text(), source);
  assert.equal(whole.headers.getSetCookie().length, 1);
  const part = await fetch(url, { headers: { range: "bytes=0-5" } });
  assert.deepEqual([part.status, await part.text()], [206, source.slice(0, 6)]);
  const head = await fetch(url, { method: "HEAD" });
  assert.equal(head.headers.get("content-length"), String(Buffer.byteLength(source)));
});

test("Express: the store is down during sendFile → Express's error page (R37)", async () => {
  const { sessions, watched } = managed();
  watched.down("all");
  const app = express();
  app.set("env", "test");
  app.use(session(sessions));
  app.get("/", (request, response) => {
    sessionOf(sessions, request).data.n = 1;
    response.sendFile(import.meta.filename);
  });
  const answer = await fetch(await listen(app));
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /StoreUnavailableError/);
});

test("Express: a response sent twice, and an error after it → the first response is complete", async () => {
  const { sessions } = managed();
  const app = express();
  app.set("env", "test");
  app.use(session(sessions));
  app.get("/twice", (request, response) => {
    sessionOf(sessions, request).data.n = 1;
    response.send("first");
    response.status(500).json({ second: true });
  });
  app.get("/throws", (request, response) => {
    sessionOf(sessions, request).data.n = 1;
    response.send("first");
    throw new Error("too late to matter");
  });
  const url = await listen(app);
  for (const path of ["/twice", "/throws"]) {
    const answer = await fetch(url + path);
    assert.deepEqual([answer.status, await answer.text()], [200, "first"]);
    assert.equal(answer.headers.getSetCookie().length, 1);
  }
});

test("Express: trust proxy → decides which address is stored", async () => {
  const { sessions } = managed();
  const app = express();
  app.set("trust proxy", 1);
  app.use(session(sessions));
  app.get("/", (request, response) => {
    request.session.login("42");
    response.end();
  });
  await fetch(await listen(app), {
    headers: { "x-forwarded-for": "6.6.6.6, 10.0.0.9", "user-agent": "a browser" },
  });
  const [device] = await sessions.forUser("42").list();
  assert.deepEqual(device?.client, { address: "10.0.0.9", userAgent: "a browser" });
});

test("Express: an application mounted inside another → the outer middleware decides, also for a login in the inner one", async () => {
  const { sessions } = managed();
  const [app, inner] = [express(), express()];
  app.set("trust proxy", 1);
  inner.set("trust proxy", false);
  app.use(session(sessions));
  inner.get("/", (request, response) => {
    request.headers["user-agent"] = "rewritten";
    request.session.login("42");
    response.end();
  });
  app.use("/inner", inner);
  await fetch(`${await listen(app)}/inner`, {
    headers: { "x-forwarded-for": "6.6.6.6, 10.0.0.9", "user-agent": "a browser" },
  });
  const [device] = await sessions.forUser("42").list();
  assert.deepEqual(device?.client, { address: "10.0.0.9", userAgent: "a browser" });
});

// Bun forgets the address of a socket that has closed.
test.skipIf("bun" in process.versions)(
  "Express: the client is gone before the session begins → its address is kept",
  async () => {
    const { sessions } = managed();
    const app = express();
    app.use(session(sessions));
    const arrived = Promise.withResolvers<void>();
    app.get("/", (request, response) => {
      response.once("close", () => {
        request.session.login("42");
        response.end();
      });
      arrived.resolve();
    });
    const client = connect(Number(new URL(await listen(app)).port), "127.0.0.1");
    client.write("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a browser\r\n\r\n");
    await arrived.promise;
    client.destroy();
    while ((await sessions.count()) === 0) await new Promise((resolve) => setImmediate(resolve));
    const [device] = await sessions.forUser("42").list();
    assert.deepEqual(device?.client, { address: "127.0.0.1", userAgent: "a browser" });
  },
);

adapterOnEachDatabase("express", {
  start,
  ways: ["file", "raw"],
});

// Logins are offered to be bound to their device, and no browser does: everything is as without the option.
adapterContract("express with device binding", {
  test,
  create: async () => memoryStore(),
  start,
  deviceBinding: { mode: "offer" },
});

test("Express: requireFresh without a session, or with the sessions of two managers → says what to do (R58)", async () => {
  const [first, second] = [managed().sessions, managed().sessions];
  const statuses: string[] = [];
  const app = express();
  const answered: ErrorRequestHandler = (error: Error, _request, response, _next) => {
    statuses.push(error.message);
    response.status(500).end();
  };
  app.get("/none", requireFresh("5 min"));
  app.use(session(first)).use(session(second, { property: "other" }));
  app.get("/two", requireFresh("5 min"));
  app.get("/named", requireFresh("5 min", { sessions: first }));
  app.use(answered);
  const url = await listen(app);
  await fetch(`${url}/none`);
  await fetch(`${url}/two`);
  assert.match(statuses[0]!, /Mount the session middleware/);
  assert.match(statuses[1]!, /several managers/);
  assert.equal((await fetch(`${url}/named`)).status, 401);
  assert.throws(() => requireFresh("soon" as never), /duration/);
  assert.throws(() => requireFresh("5 min", { redirectTo: "https://evil.example/" }), /path of this site/);
});
