import { H3, HTTPResponse, redirect, toNodeHandler, type H3Event } from "h3";
import * as h3v1 from "h3-v1";
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { test } from "vitest";
import { requireFresh, sessionOf, storedSession, useStoredSession } from "../../src/adapters/h3.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import {
  contractError,
  contractFresh,
  contractHeaders,
  type AdapterContractOptions,
  type ContractSession,
} from "../../src/testing/index.ts";
import { Visitor } from "../../src/testing/adapter-world.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

const fresh = requireFresh(contractFresh.within, contractFresh.options);

const causeOf = (error: Error) => error.cause ?? error;

const version1: AdapterContractOptions["start"] = async (contract) => {
  const app = h3v1.createApp({
    async onError(error, event) {
      const { status, body } = contractError(causeOf(error));
      h3v1.setResponseStatus(event, status);
      h3v1.setHeader(event, "content-type", "text/plain");
      await h3v1.send(event, body);
    },
  });
  app.use(h3v1.defineEventHandler((event) => h3v1.setHeaders(event, contractHeaders)));
  app.use(
    storedSession(contract.sessions, {
      onError(error, { node: { res } }: h3v1.H3Event) {
        const { status, body } = contractError(error);
        res.statusCode = status;
        res.end(body);
      },
    }),
  );
  app.use(
    h3v1.defineEventHandler(async (event) => {
      const denied = event.path.startsWith("/fresh/") ? fresh(event) : undefined;
      if (denied !== undefined) return denied;
      const answer = await contract
        .route(event.node.req.url!, () => sessionOf(contract.sessions, event) as ContractSession)
        .catch((error: unknown) => {
          throw error ?? new Error("h3 1 itself never responds to a handler that throws null or undefined");
        });
      h3v1.setHeaders(event, answer.headers);
      if (answer.redirect !== undefined) return h3v1.sendRedirect(event, answer.redirect, answer.status);
      h3v1.setResponseStatus(event, answer.status);
      if (answer.chunks !== undefined) return Readable.from(answer.chunks);
      if (answer.body === null) return h3v1.send(event, "");
      return answer.body;
    }),
  );
  return running(createServer(h3v1.toNodeListener(app)).listen(0, "127.0.0.1"));
};

const version2: AdapterContractOptions["start"] = async (contract) => {
  const app = new H3({
    silent: true,
    onError(error) {
      const { status, body } = contractError(causeOf(error));
      return new Response(body, { status });
    },
    onResponse(response) {
      for (const [name, value] of Object.entries(contractHeaders))
        if (!response.headers.has(name)) response.headers.set(name, value);
    },
  });
  app.use(storedSession(contract.sessions));
  app.all("/**", async (event) => {
    const { pathname, search } = event.url;
    const denied = pathname.startsWith("/fresh/") ? fresh(event) : undefined;
    if (denied !== undefined) return denied;
    const answer = await contract.route(
      pathname + search,
      () => sessionOf(contract.sessions, event) as ContractSession,
    );
    const { status, headers } = answer;
    if (pathname === "/headers" || pathname === "/set") {
      // By way of the event, which is one more way to respond.
      for (const [name, value] of Object.entries(headers)) event.res.headers.append(name, value);
      return answer.body;
    }
    if (answer.redirect !== undefined) {
      const response = redirect(answer.redirect, status);
      return new HTTPResponse(response.body ?? null, {
        status,
        headers: { ...headers, location: answer.redirect },
      });
    }
    if (answer.chunks === undefined) return new Response(answer.body, { status, headers });
    const bytes = Readable.from(answer.chunks).map((chunk: string) => new TextEncoder().encode(chunk));
    return new Response(Readable.toWeb(bytes) as ReadableStream, { status, headers });
  });
  return running(createServer(toNodeHandler(app) as never).listen(0, "127.0.0.1"));
};

adapterOnEachDatabase("h3 1", { start: version1 });
adapterOnEachDatabase("h3 2", { start: version2 });

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number; cart: string[] }>({
    store: watched.store,
    keys: generateKey(),
  });
  return { watched, sessions };
}

/** A handler in both versions, with the session's middleware mounted twice. */
const versions = {
  1: (sessions: ReturnType<typeof managed>["sessions"], handler: (event: never) => unknown) => {
    const app = h3v1.createApp();
    app.use(storedSession(sessions)).use(storedSession(sessions));
    app.use(h3v1.defineEventHandler(handler as h3v1.EventHandler));
    return createServer(h3v1.toNodeListener(app));
  },
  2: (sessions: ReturnType<typeof managed>["sessions"], handler: (event: never) => unknown) => {
    const app = new H3({ silent: true }).use(storedSession(sessions)).use(storedSession(sessions));
    app.all("/**", handler as (event: H3Event) => unknown);
    return createServer(toNodeHandler(app) as never);
  },
};

async function serving(
  version: 1 | 2,
  sessions: ReturnType<typeof managed>["sessions"],
  handler: (event: never) => unknown,
  body: (visitor: Visitor) => Promise<void>,
): Promise<void> {
  const app = await running(versions[version](sessions, handler).listen(0, "127.0.0.1"));
  try {
    await body(new Visitor(app.url));
  } finally {
    await app.close();
  }
}

for (const version of [1, 2] as const) {
  test(`h3 ${version}: useStoredSession → the shape of useSession`, async () => {
    const { sessions, watched } = managed();
    const handler = async (event: never) => {
      const session = await useStoredSession<{ n: number; cart: string[] }>(event);
      assert.equal(session.stored, sessionOf(sessions, event));
      const { id } = session;
      await session.update({ n: 1 });
      const again = await session.update(({ cart = [] }) => ({ cart: [...cart, "tea"] }));
      assert.equal(again, session);
      await session.update(() => undefined);
      if ((session.data.cart?.length ?? 0) > 2) await session.clear();
      return { id: id ?? null, ...session.data };
    };
    await serving(version, sessions, handler, async (visitor) => {
      assert.deepEqual(JSON.parse((await visitor.get("/")).body), { id: null, n: 1, cart: ["tea"] });
      const { id, ...data } = JSON.parse((await visitor.get("/")).body) as { id: string };
      assert.match(id, /^[\w-]{43}$/);
      assert.deepEqual(data, { n: 1, cart: ["tea", "tea"] });
      await visitor.get("/");
      assert.equal(visitor.cookie, "");
      assert.deepEqual(
        watched.calls,
        ["insert", "read", "update", "read", "delete"],
        "mounted twice, loaded once",
      );
    });
  });

  test(`h3 ${version}: sendRedirect after login → the cookie arrives with it (promise 4)`, async () => {
    const { sessions } = managed();
    const handler = async (event: never) => {
      (await useStoredSession(event)).stored.login("42");
      return version === 1 ? h3v1.sendRedirect(event, "/home", 303) : redirect("/home", 303);
    };
    await serving(version, sessions, handler, async (visitor) => {
      const answer = await visitor.get("/");
      assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/home"]);
      assert.equal(answer.setCookies.length, 1);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal((await sessions.forUser("42").list())[0]?.client?.address, "127.0.0.1");
    });
  });

  test(`h3 ${version}: no onError, and the store is down → 503 that no cache stores (promise 8, R12)`, async () => {
    const { sessions, watched } = managed();
    const handler = async (event: never) => {
      const { data } = await useStoredSession<{ n: number }>(event);
      data.n = (data.n ?? 0) + 1;
      return { secret: true };
    };
    await serving(version, sessions, handler, async (visitor) => {
      await visitor.get("/");
      for (const which of ["all", "writes"] as const) {
        watched.down(which);
        const answer = await visitor.get("/");
        assert.equal(answer.status, 503);
        assert.doesNotMatch(answer.body, /secret/);
        if (version === 2 || which === "writes")
          assert.equal(answer.headers.get("cache-control"), "no-store");
        watched.up();
      }
    });
  });

  test(`h3 ${version}: no middleware → a TypeError says what to mount`, async () => {
    const event = { context: {} };
    await assert.rejects(useStoredSession(event), {
      name: "TypeError",
      message: /storedSession\(sessions\)/,
    });
    assert.throws(() => sessionOf(managed().sessions, event), TypeError);
  });
}

test("h3 2: a response with immutable headers, and one with a status of 400 or more → the cookie arrives", async () => {
  const { sessions } = managed();
  const responses = [
    () => Response.redirect("http://localhost/elsewhere", 303),
    () => new Response("no", { status: 403 }),
    () => fetch("data:text/plain,hello"),
  ];
  for (const respond of responses) {
    const handler = async (event: never) => {
      (await useStoredSession<{ n: number }>(event)).data.n = 1;
      return respond();
    };
    await serving(2, sessions, handler, async (visitor) => {
      assert.equal((await visitor.get("/")).setCookies.length, 1);
    });
  }
});

test("h3 2: app.fetch, without a server → works", async () => {
  const { sessions } = managed();
  const app = new H3().use(
    storedSession(sessions, { address: (event: H3Event) => event.req.headers.get("x-real-ip") ?? undefined }),
  );
  app.get("/", async (event) => {
    (await useStoredSession(event)).stored.login("42");
    return "in";
  });
  const answer = await app.request("/", { headers: { "x-real-ip": "10.0.0.9" } });
  assert.equal(answer.headers.getSetCookie().length, 1);
  assert.equal((await sessions.forUser("42").list())[0]?.client?.address, "10.0.0.9");
});
