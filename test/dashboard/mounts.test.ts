import { createServer, type RequestListener, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { serve } from "@hono/node-server";
import Koa from "koa";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { describe, expect, test } from "vitest";
import { toFastify, toKoa, toNode } from "../../src/dashboard/index.ts";
import { session as expressSession } from "../../src/adapters/express.ts";
import { nestModule } from "./nest.ts";
import { base, world, type World } from "./world.ts";

interface Mounted {
  readonly url: string;
  close(): Promise<void>;
}

async function listening(server: Server): Promise<Mounted> {
  if (!server.listening) {
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Each answers "application" at every other path. */
const mounts: Readonly<Record<string, (it: World) => Promise<Mounted>>> = {
  "node:http": ({ handler }) => {
    const mount = toNode(handler);
    return listening(createServer((req, res) => mount(req, res, () => res.end("application"))));
  },
  Express: ({ handler }) => {
    const app = express();
    app.use(toNode(handler));
    app.use((_req, res) => void res.send("application"));
    return listening(createServer(app));
  },
  "Express, under a path, after body parsers and sessions": ({ handler, sessions }) => {
    const app = express();
    app.use(express.urlencoded({ extended: false }), express.json());
    app.use(expressSession(sessions));
    app.use(base, toNode(handler));
    app.use((_req, res) => void res.send("application"));
    return listening(createServer(app));
  },
  Fastify: async ({ handler }) => {
    // Or closing waits 72 s for a connection that the client opened in advance.
    const app = fastify({ forceCloseConnections: true });
    app.register(toFastify(handler));
    app.all("/*", async () => "application");
    app.post("/form", async (request) => request.body);
    await app.listen({ port: 0, host: "127.0.0.1" });
    const { url } = await listening(app.server);
    return {
      url,
      async close() {
        // Otherwise Fastify waits for connections that the client keeps open.
        app.server.closeAllConnections();
        await app.close();
      },
    };
  },
  Koa: ({ handler }) => {
    const app = new Koa();
    app.use(toKoa(handler));
    app.use((context) => void (context.body = "application"));
    return listening(createServer(app.callback() as RequestListener));
  },
  "NestJS on Express": async ({ handler }) => {
    const app = await NestFactory.create<NestExpressApplication>(nestModule(["/", "*path"]), {
      logger: false,
      forceCloseConnections: true,
    });
    app.use(toNode(handler));
    await app.listen(0, "127.0.0.1");
    return { url: await app.getUrl(), close: () => app.close() };
  },
  "NestJS on Fastify": async ({ handler }) => {
    const app = await NestFactory.create<NestFastifyApplication>(
      nestModule(["*"]),
      new FastifyAdapter({ forceCloseConnections: true }),
      { logger: false },
    );
    await app.register(toFastify(handler));
    await app.listen(0, "127.0.0.1");
    return {
      url: await app.getUrl(),
      async close() {
        app.getHttpServer().closeAllConnections();
        await app.close();
      },
    };
  },
  Hono: async ({ handler }) => {
    const app = new Hono();
    for (const path of handler.paths)
      app.all(path, (context) => handler(context.req.raw, { native: context }));
    app.all("*", (context) => context.text("application"));
    const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
    return listening(server);
  },
};

describe.each(Object.entries(mounts))("dashboard in %s", (_, mount) => {
  test("pages, a form and a redirect → as the handler answers; other paths stay the application's", async () => {
    const it = world();
    const handle = await it.login("alice");
    const mounted = await mount(it);
    try {
      const url = `${mounted.url}${base}`;
      const first = await fetch(`${url}/user?id=alice`);
      expect(first.status).toBe(200);
      expect(first.headers.get("content-security-policy")).toContain("default-src 'none'");
      const page = await first.text();
      expect(page).toContain("1 live session");
      const cookie = first.headers
        .getSetCookie()
        .find((text) => text.startsWith("stored-session-dashboard="))!;
      const token = /name="token" value="([^"]+)"/.exec(page)![1]!;
      const send = (origin: string) =>
        fetch(`${url}/user`, {
          method: "POST",
          redirect: "manual",
          headers: { cookie: cookie.split(";")[0]!, origin },
          body: new URLSearchParams({ token, id: "alice", action: "end", handle, reason: "why & how=1" }),
        });
      expect((await send("http://evil.example")).status).toBe(403);
      const ended = await send(mounted.url);
      expect(ended.status).toBe(303);
      expect(ended.headers.get("location")).toBe(`${base}/user?id=alice&ended=1`);
      expect(await it.sessions.forUser("alice").list()).toEqual([]);
      expect((await it.events()).find(({ type }) => type === "session.revoked")!.reason).toBe("why & how=1");

      for (const path of ["/", "/admin", `${base}x`]) {
        expect(await (await fetch(mounted.url + path)).text(), path).toBe("application");
      }
      expect((await fetch(url, { method: "HEAD" })).status).toBe(200);
      expect((await fetch(url)).status).toBe(200);
    } finally {
      await mounted.close();
    }
  });

  test("a long download → is streamed, and ends when the client leaves", { timeout: 120_000 }, async () => {
    const it = world();
    for (let at = 0; at < 50; at++) await it.sessions.audit.record("login.failed", { identifier: `n${at}` });
    const mounted = await mount(it);
    let hasEnded = false;
    const list = it.sessions.audit.list.bind(it.sessions.audit);
    it.sessions.audit.list = async function* (options) {
      try {
        for (;;) {
          yield* list(options);
          await new Promise((resolve) => setImmediate(resolve)); // as a database would
        }
      } finally {
        hasEnded = true;
      }
    };
    try {
      const page = await fetch(`${mounted.url}${base}/keys`);
      const cookie = page.headers
        .getSetCookie()
        .find((text) => text.startsWith("stored-session-dashboard="))!;
      const token = /name="token" value="([^"]+)"/.exec(await page.text())![1]!;
      const left = new AbortController();
      const response = await fetch(`${mounted.url}${base}/audit`, {
        method: "POST",
        headers: { cookie: cookie.split(";")[0]!, origin: mounted.url },
        body: new URLSearchParams({ token, action: "export", format: "json" }),
        signal: left.signal,
      });
      const reader = response.body!.getReader();
      await reader.read();
      left.abort();
      await expect.poll(() => hasEnded, { timeout: 60_000 }).toBe(true);
    } finally {
      await mounted.close();
    }
  });
});

/** What a server answers to a request that no HTTP library sends as it is. */
function sent(url: string, target: string, host: string, method = "GET"): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(port), hostname, () =>
      socket.write(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("close", () => resolve(text)).on("error", reject);
  });
}

const guarded: Readonly<Record<string, (it: World) => Promise<Mounted>>> = {
  Express: ({ handler }) => {
    const app = express();
    app.use("/admin", (_req, res) => void res.status(401).send("guard"));
    app.use(toNode(handler));
    app.use((_req, res) => void res.send("application"));
    return listening(createServer(app));
  },
  "node:http": ({ handler }) => {
    const mount = toNode(handler);
    return listening(
      createServer((req, res) => {
        if (req.url!.startsWith("/admin")) return void res.writeHead(401).end("guard");
        mount(req, res, () => res.end("application"));
      }),
    );
  },
  Koa: ({ handler }) => {
    const app = new Koa();
    app.use((context, next) => {
      if (!context.path.startsWith("/admin")) return next();
      context.status = 401;
      context.body = "guard";
      return undefined;
    });
    app.use(toKoa(handler));
    app.use((context) => void (context.body = "application"));
    return listening(createServer(app.callback() as RequestListener));
  },
  Fastify: async ({ handler }) => {
    const app = fastify({ forceCloseConnections: true });
    app.addHook("onRequest", async (request, reply) => {
      if (request.url.startsWith("/admin")) await reply.code(401).send("guard");
    });
    app.register(toFastify(handler));
    app.all("/*", async () => "application");
    await app.listen({ port: 0, host: "127.0.0.1" });
    const { url } = await listening(app.server);
    return { url, close: () => app.close() };
  },
  Hono: async ({ handler }) => {
    const app = new Hono();
    app.use("/admin/*", async (context) => context.text("guard", 401));
    for (const path of handler.paths)
      app.all(path, (context) => handler(context.req.raw, { native: context }));
    app.all("*", (context) => context.text("application"));
    return listening(serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server);
  },
};

describe.each(Object.entries(guarded))("dashboard behind a guard of the path in %s", (_, mount) => {
  test.each([
    ["/pub/../admin/sessions/keys", "x"],
    ["/pub/%2e%2e/admin/sessions/keys", "x"],
    ["/pub/.%2E/admin/sessions/keys", "x"],
    ["/pub\\..\\admin/sessions/keys", "x"],
    ["/./admin/sessions/keys", "x"],
    ["/%61dmin/sessions/keys", "x"],
    ["//admin/sessions/keys", "x"],
    ["\\admin/sessions/keys", "x"],
    ["/other", "x/admin/sessions/keys?"],
    ["/other", "x/admin/sessions/keys#"],
    ["/other", "x\\admin\\sessions\\keys?"],
    ["/other", "x@y/admin/sessions/keys?"],
  ])(
    "R52: %s with Host %s → does not reach the dashboard: `authorize` is not asked",
    async (target, host) => {
      let asked = 0;
      const mounted = await mount(world({}, { authorize: () => (asked++, null) }));
      try {
        expect(await sent(mounted.url, "/admin/sessions/keys", "x")).toContain("guard");
        expect(await sent(mounted.url, target, host)).toMatch(/^HTTP\/1.1 (200|400|401|404) /);
        expect(asked).toBe(0);
      } finally {
        await mounted.close();
      }
    },
  );
});

describe.each(Object.entries(mounts).filter(([name]) => name !== "Hono"))("dashboard in %s", (_, mount) => {
  test.each([
    ["http://x/foo", "x"],
    ["/foo", "bad host"],
    ["/foo", ""],
    ["/foo", "x:99999"],
  ])("%s with Host %j at a path of the application → stays the application's", async (target, host) => {
    const mounted = await mount(world());
    try {
      expect(await sent(mounted.url, target, host)).toMatch(/^HTTP\/1.1 200 [\s\S]*application/);
    } finally {
      await mounted.close();
    }
  });

  test.each(["bad host", "", "x:99999", "x/y", "x@y"])(
    "R52: Host %j at a path of the dashboard → 400, and `authorize` is not asked",
    async (host) => {
      let asked = 0;
      const mounted = await mount(world({}, { authorize: () => (asked++, null) }));
      try {
        expect(await sent(mounted.url, base, host)).toMatch(/^HTTP\/1.1 400 /);
        expect(asked).toBe(0);
      } finally {
        await mounted.close();
      }
    },
  );
});

describe("dashboard mounted before body parsers", () => {
  /** As middleware that waits for a store first. */
  const pause = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 20));
  const echo = async (request: AsyncIterable<Buffer>): Promise<string> => {
    await pause();
    let text = "";
    for await (const chunk of request) text += chunk.toString();
    return text;
  };
  const before: Readonly<Record<string, (it: World) => Promise<Mounted>>> = {
    "node:http": ({ handler }) => {
      const mount = toNode(handler);
      return listening(
        createServer((req, res) => mount(req, res, () => void echo(req).then((text) => res.end(text)))),
      );
    },
    Express: ({ handler }) => {
      const app = express();
      app.use(toNode(handler));
      app.use((_req, _res, next) => void pause().then(() => next()));
      app.use(express.urlencoded({ extended: false }));
      app.use((req, res) => void res.send(new URLSearchParams(req.body).toString()));
      return listening(createServer(app));
    },
    Koa: ({ handler }) => {
      const app = new Koa();
      app.use(toKoa(handler));
      app.use(async (context) => void (context.body = await echo(context.req)));
      return listening(createServer(app.callback() as RequestListener));
    },
  };

  test.each(Object.entries(before))(
    "%s: forms of the application → reach it whole, also on a connection that is used again",
    async (_, mount) => {
      const mounted = await mount(world());
      try {
        for (let round = 0; round < 5; round++) {
          const body = new URLSearchParams({ round: String(round) });
          const answer = await fetch(`${mounted.url}/form`, { method: "POST", body });
          expect(await answer.text()).toBe(`round=${round}`);
        }
      } finally {
        await mounted.close();
      }
    },
  );
});

test("dashboard in Fastify: the body parsers of other routes → stay as they are", async () => {
  const mounted = await mounts["Fastify"]!(world());
  try {
    const response = await fetch(`${mounted.url}/form`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"a":1}`,
    });
    expect(await response.json()).toEqual({ a: 1 });
  } finally {
    await mounted.close();
  }
});

test("node:http: an error of authorize without `next` → 500 without details, and a process warning", async () => {
  const it = world({}, { authorize: () => Promise.reject(new Error("secret detail")) });
  const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
  const mounted = await listening(createServer(toNode(it.handler)));
  try {
    const response = await fetch(mounted.url + base);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect((await warned).message).toBe("secret detail");
    expect((await fetch(`${mounted.url}/elsewhere`)).status).toBe(404);
  } finally {
    await mounted.close();
  }
});

describe("dashboard behind a proxy that changes the path and the Host header", () => {
  const publicPath = "/tools/sessions";

  /** The dashboard behind a proxy, whose address is known before the dashboard exists. */
  async function proxied(open: (publicUrl: string) => World): Promise<Mounted & { it: World }> {
    let inner: Mounted;
    const outer = await listening(
      createServer(async (request, response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const { host: _host, connection: _, "content-length": _length, ...headers } = request.headers;
        const answer = await fetch(inner.url + request.url!.replace(publicPath, base), {
          method: request.method!,
          headers: headers as Record<string, string>,
          redirect: "manual",
          ...(request.method === "POST" && { body: Buffer.concat(chunks) }),
        });
        response.statusCode = answer.status;
        for (const [name, value] of answer.headers)
          if (!/^(content-(length|encoding)|transfer-encoding|connection)$/.test(name))
            response.appendHeader(name, value);
        response.end(await answer.text());
      }),
    );
    const it = open(outer.url + publicPath);
    inner = await listening(createServer(toNode(it.handler)));
    return {
      it,
      url: outer.url,
      close: async () => void (await Promise.all([outer.close(), inner.close()])),
    };
  }

  async function endAll({ url, it }: Mounted & { it: World }, headers: Readonly<Record<string, string>>) {
    await it.login("alice");
    const page = await fetch(`${url}${publicPath}/user?id=alice`);
    const text = await page.text();
    const cookie = page.headers.get("set-cookie")!;
    const answer = await fetch(`${url}${publicPath}/user`, {
      method: "POST",
      redirect: "manual",
      headers: { cookie: cookie.split(";")[0]!, ...headers },
      body: new URLSearchParams({
        token: /name="token" value="([^"]+)"/.exec(text)![1]!,
        id: "alice",
        action: "all",
        reason: "why",
      }),
    });
    return { text, cookie, answer, left: (await it.sessions.forUser("alice").list()).length };
  }

  test("with `publicUrl` → links, redirects and the cookie have the public path, and its origin may send forms", async () => {
    const mounted = await proxied((publicUrl) => world({}, { publicUrl }));
    try {
      const { text, cookie, answer, left } = await endAll(mounted, { origin: mounted.url });
      expect(text).toContain(`href="${publicPath}/audit"`);
      expect(text).not.toContain(base);
      expect(cookie).toContain(`Path=${publicPath};`);
      expect(answer.status).toBe(303);
      expect(answer.headers.get("location")).toBe(`${publicPath}/user?id=alice&ended=1`);
      expect(left).toBe(0);
    } finally {
      await mounted.close();
    }
  });

  test("CSRF: with `publicUrl`, another origin, also that of the server behind → 403, nothing changes", async () => {
    const mounted = await proxied((publicUrl) => world({}, { publicUrl }));
    try {
      for (const origin of ["http://evil.example", mounted.url.replace("http:", "https:"), "null"]) {
        const { answer, left } = await endAll(mounted, { origin });
        expect(answer.status).toBe(403);
        expect(left).toBeGreaterThan(0);
      }
    } finally {
      await mounted.close();
    }
  });

  test("without it → forms are refused, and the page names the option", async () => {
    const mounted = await proxied(() => world());
    try {
      const { answer, left } = await endAll(mounted, {
        origin: mounted.url,
        "sec-fetch-site": "same-origin",
      });
      expect(answer.status).toBe(403);
      expect(await answer.text()).toContain("publicUrl");
      expect(left).toBe(1);
    } finally {
      await mounted.close();
    }
  });
});
