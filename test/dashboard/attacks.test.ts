import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { dashboard } from "../../src/dashboard/index.ts";
import { permissions } from "../../src/dashboard/options.ts";
import { StoreError } from "../../src/errors.ts";
import { createSessionManager } from "../../src/manager.ts";
import { railsFormat } from "../../src/rails/index.ts";
import {
  base,
  Browser,
  everything,
  origin,
  stores,
  world as worldOn,
  type TestStore,
  type World,
} from "./world.ts";

const hostile = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `' onmouseover='alert(1)`,
  `</style><script>alert(1)</script>`,
  `<!-- -->]]>`,
  `javascript:alert(1)`,
  `\u202eevil\u0000\u001b[2J`,
  `&lt;b&gt;`,
  "${7*7}`",
];

/** One server stands for all: nothing here depends on what the statements say. */
const chosen = stores.filter(({ name }) => name === "memory" || name === "postgres");

describe.each(chosen)("on $name", ({ open }) => {
  let created: Awaited<ReturnType<TestStore["open"]>>;
  beforeEach(async () => void (created = await open()));
  const worlds: World[] = [];
  const world: typeof worldOn = (options, more) => {
    const it = worldOn({ store: created.store, ...options }, more);
    worlds.push(it);
    return it;
  };
  afterEach(async () => {
    for (const { sessions } of worlds.splice(0)) await sessions.close();
    await created[Symbol.asyncDispose]();
  });

  describe("dashboard: who is let in", () => {
    test("R52: no authorize → refuses to start, and says why", () => {
      const { sessions } = world();
      expect(() => dashboard({ sessions, basePath: base } as never)).toThrow(/`authorize` is missing/);
      expect(() => dashboard({ sessions, basePath: base, authorize: true } as never)).toThrow(
        /use a function/,
      );
    });

    test("a manager in Rails mode, whose ids are text → refuses to start, and says why", () => {
      const format = railsFormat({
        primaryKey: "a".repeat(32),
        keyDerivationSalt: "b".repeat(32),
        hashDigestClass: "SHA256",
      });
      const sessions = createSessionManager({ store: created.store, format });
      const options = { basePath: base, authorize: () => null };
      expect(() => dashboard({ ...options, sessions })).toThrow(/Rails mode cannot be shown/);
    });

    test.each(["admin", "/admin/", "//admin", "/../admin", "/a b", "", "/%2e", "/admin?x"])(
      "basePath %j → refuses to start",
      (basePath) => {
        const { sessions } = world();
        expect(() => dashboard({ sessions, basePath, authorize: () => null })).toThrow(/`basePath`/);
      },
    );

    test("authorize returns null → 403 without a figure, a user or the base path, for every page and form", async () => {
      const it = world();
      const handle = await it.login("alice");
      it.access = null;
      const browser = new Browser(it.handler);
      for (const path of [
        "",
        "/",
        "/live",
        "/user?id=alice",
        `/session?handle=${handle}`,
        "/audit",
        "/keys",
        "/nothing",
      ]) {
        const response = await browser.get(path);
        expect(response.status, path).toBe(403);
        expect(await response.text()).toBe("You are not allowed to see this page.\n");
      }
      const response = await browser.post("/user", { token: "x", id: "alice", action: "all", reason: "why" });
      expect(response.status).toBe(403);
      expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
    });

    test("authorize returns a response → that is the answer", async () => {
      const it = world();
      it.access = new Response(null, { status: 302, headers: { location: "/login" } });
      expect((await new Browser(it.handler).get("/")).headers.get("location")).toBe("/login");
    });

    test.each([
      "admin.example/sessions",
      "ftp://admin.example/sessions",
      "https://admin.example/sessions/",
      "https://admin.example/a/../sessions",
      "https://ada@admin.example/sessions",
      "https://admin.example/sessions?x",
      "https://admin.example//sessions",
      `https://admin.example/"><script>`,
      7,
    ])("publicUrl %j → refuses to start", (publicUrl) => {
      const { sessions } = world();
      const options = { sessions, basePath: base, authorize: () => null };
      expect(() => dashboard({ ...options, publicUrl: publicUrl as string })).toThrow(/`publicUrl`/);
    });

    test.each([
      undefined,
      true,
      {},
      { actor: "", may: [] },
      { actor: "a" },
      { actor: "a", may: ["root"] },
      { actor: 7, may: ["view"] },
    ])("authorize returns %j → an error for the developer, and nothing is shown", async (access) => {
      const it = world();
      it.access = access as never;
      await expect(new Browser(it.handler).get("/")).rejects.toThrow(/`authorize` must return/);
    });

    test("promise 8: authorize loads the operator's session from a store that is down → 503 without a figure, a user or an actor", async () => {
      const it: World = world(
        {},
        {
          authorize: async (request) => {
            const { user } = await it.sessions.load(request.headers.get("cookie"));
            return user === undefined ? null : { actor: user, may: everything };
          },
        },
      );
      const session = await it.sessions.load(null);
      session.login("ada");
      const cookie = (await it.sessions.commit(session))!.split(";")[0]!;
      const closed = new StoreError("The server closed the connection.", { outcome: "none" });
      created.store.read = () => Promise.reject(closed);
      for (const path of ["/", "/live", "/user?id=ada", "/keys"]) {
        const response = await it.handler(new Request(`${origin}${base}${path}`, { headers: { cookie } }));
        expect(response.status, path).toBe(503);
        const text = await response.text();
        expect(text).toContain("The session store does not answer");
        expect(text).not.toMatch(/ada|<|\d/);
        expect(response.headers.get("cache-control")).toBe("no-store");
      }
    });

    test("authorize rejects → the error goes to the application", async () => {
      const it = world({}, { authorize: () => Promise.reject(new Error("directory is down")) });
      await expect(new Browser(it.handler).get("/")).rejects.toThrow("directory is down");
    });

    test("without `view` → 403 for every page", async () => {
      const it = world();
      it.access = { actor: "ada", may: ["audit", "revoke", "reveal", "export"] };
      for (const path of ["/", "/user?id=alice", "/audit", "/keys", "/live"]) {
        expect((await new Browser(it.handler).get(path)).status).toBe(403);
      }
    });

    const forms = {
      revoke: [
        ["/user", { id: "alice", action: "all", reason: "why" }],
        ["/session", { action: "end", reason: "why" }],
        ["/keys", { action: "endAll", reason: "why", confirm: "end all sessions" }],
      ],
      reveal: [["/session", { action: "reveal", reason: "why" }]],
      export: [["/audit", { action: "export", format: "json" }]],
      audit: [
        ["/audit", { action: "verify" }],
        ["/audit", { action: "export", format: "json" }],
      ],
    } as const;

    test.each(permissions.filter((name) => name !== "view"))(
      "R48: without `%s` → its forms are missing, and answered with 403 when sent anyway; nothing changes",
      async (missing) => {
        const it = world();
        const handle = await it.login("alice");
        const all = new Browser(it.handler);
        const token = await all.token();
        it.access = { actor: "ada@example.org", may: everything.filter((name) => name !== missing) };
        const before = await it.events();
        for (const [path, fields] of forms[missing as keyof typeof forms]) {
          const response = await all.post(path, { ...fields, handle, token });
          expect(response.status, `${path} ${fields.action}`).toBe(403);
          expect(await response.text()).toContain(missing);
        }
        expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
        expect(await it.events()).toEqual(before);
      },
    );
  });

  describe("dashboard: requests from elsewhere", () => {
    const fields = { id: "alice", action: "all", reason: "why" };

    test.each([
      ["another site", { origin: "https://evil.example", "sec-fetch-site": "cross-site" }],
      ["a sibling domain", { origin: "https://evil.app.example", "sec-fetch-site": "same-site" }],
      ["an old browser at another site", { origin: "https://evil.example", "sec-fetch-site": "same-origin" }],
      ["a sandboxed frame", { origin: "null", "sec-fetch-site": "cross-site" }],
      ["an address bar", { origin, "sec-fetch-site": "none" }],
    ])("R52, CSRF: a form from %s → 403, even with the token", async (_, headers) => {
      const it = world();
      await it.login("alice");
      const response = await new Browser(it.handler).post("/user", fields, headers);
      expect(response.status).toBe(403);
      expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
    });

    test("CSRF: neither Origin nor Sec-Fetch-Site → 403", async () => {
      const it = world();
      await it.login("alice");
      const request = new Request(`${origin}${base}/user`, {
        method: "POST",
        body: new URLSearchParams(fields),
      });
      expect((await it.handler(request)).status).toBe(403);
      expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
    });

    test.each(["", "x", "A".repeat(43)])("R52, CSRF: token %j → 403, nothing changes", async (token) => {
      const it = world();
      await it.login("alice");
      const browser = new Browser(it.handler);
      await browser.get("/");
      expect((await browser.post("/user", { ...fields, token })).status).toBe(403);
      expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
    });

    test("CSRF: the token of another browser, or of another operator in the same browser → 403", async () => {
      const it = world();
      await it.login("alice");
      const [mine, other] = [new Browser(it.handler), new Browser(it.handler)];
      const token = await other.token();
      await mine.get("/keys");
      expect((await mine.post("/user", { ...fields, token })).status).toBe(403);
      const own = await mine.token();
      it.access = { actor: "bob@example.org", may: everything };
      expect((await mine.post("/user", { ...fields, token: own })).status).toBe(403);
      expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
    });

    test("CSRF: `session` is given → the token belongs to that session, and needs no cookie of its own", async () => {
      const it = world();
      await it.login("alice");
      const logIn = async (user: string) => {
        const session = await it.sessions.load(null);
        session.login(user);
        const cookie = (await it.sessions.commit(session))!.split(";")[0]!;
        return it.sessions.load(cookie);
      };
      const [first, second] = [await logIn("ada"), await logIn("ada")];
      it.access = { actor: "ada", may: everything, session: first };
      const browser = new Browser(it.handler);
      const response = await browser.get("/keys");
      expect(response.headers.getSetCookie()).toEqual([]);
      const token = await browser.token();
      it.access = { actor: "ada", may: everything, session: second };
      expect((await browser.post("/user", { ...fields, token })).status).toBe(403);
      it.access = { actor: "ada", may: everything, session: first };
      expect((await browser.post("/user", { ...fields, token })).status).toBe(303);
      expect(await it.sessions.forUser("alice").list()).toHaveLength(0);
    });

    test("CSRF: the cookie of forms → is sent when a link of another site opens a page, so that the forms of other tabs stay valid", async () => {
      const response = await world().handler(new Request(`${origin}${base}/keys`));
      expect(response.headers.get("set-cookie")).toMatch(/^__Host-.*; HttpOnly; SameSite=Lax$/);
    });

    test.each([
      ["an image", "cross-site", "no-cors", "image"],
      ["a script", "cross-site", "no-cors", "script"],
      ["fetch", "cross-site", "cors", "empty"],
      ["a frame", "cross-site", "navigate", "iframe"],
      ["an image of a sibling domain", "same-site", "no-cors", "image"],
    ])(
      "R48: a page loaded by another site as %s → 403, and no event names the operator",
      async (_, site, mode, dest) => {
        const it = world();
        const headers = { "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest };
        for (const path of ["/", "/user?id=alice", "/audit", `/session?handle=${"A".repeat(43)}`]) {
          for (const method of ["GET", "HEAD"]) {
            const response = await new Browser(it.handler).get(path, { headers, method });
            expect(response.status, path).toBe(403);
            expect(response.headers.getSetCookie()).toEqual([]);
          }
        }
        expect(await it.events()).toEqual([]);
      },
    );

    test("a link of another site to a page → opens it", async () => {
      const headers = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
      };
      expect((await new Browser(world().handler).get("/user?id=alice", { headers })).status).toBe(200);
    });

    test("R53: clickjacking, caching, sniffing → every answer forbids them, and no page allows inline code", async () => {
      const it = world();
      const browser = new Browser(it.handler);
      const token = await browser.token();
      const answers = [
        await browser.get("/"),
        await browser.get("/live"),
        await browser.get("/nothing"),
        await browser.get("/", { method: "PUT" }),
        await browser.post("/audit", { token, action: "export", format: "csv" }),
        await browser.post("/audit", { token, action: "verify" }),
        await browser.post("/user", { token, id: "a", action: "all", reason: "x" }),
      ];
      for (const { headers, status } of answers) {
        const policy = headers.get("content-security-policy") ?? "";
        expect(policy, String(status)).toMatch(/^default-src 'none'; /);
        expect(policy).toContain("frame-ancestors 'none'");
        expect(policy).not.toMatch(/unsafe|https?:|\*/);
        expect(headers.get("x-frame-options")).toBe("DENY");
        expect(headers.get("cache-control")).toBe("no-store");
        expect(headers.get("x-content-type-options")).toBe("nosniff");
      }
    });

    test("HEAD → the head of GET without a body; OPTIONS, PUT, DELETE → 405, no CORS header", async () => {
      const it = world();
      await it.login("alice");
      const browser = new Browser(it.handler);
      const head = await browser.get("/", { method: "HEAD" });
      expect(head.status).toBe(200);
      expect(await head.text()).toBe("");
      for (const method of ["OPTIONS", "PUT", "DELETE", "PATCH"]) {
        const response = await browser.get("/user", { method, headers: { origin: "https://evil.example" } });
        expect(response.status, method).toBe(405);
        expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      }
      expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
    });
  });

  describe("dashboard: paths", () => {
    test.each([
      "/admin",
      "/admin/sessionsx",
      "/admin/sessions%2f",
      "/admin/sessions/../secret",
      "/ADMIN/sessions",
      "//admin/sessions",
      "/",
    ])("%s → is not a path of the dashboard: 404, and `authorize` is not asked", async (path) => {
      let asked = 0;
      const it = world({}, { authorize: () => (asked++, null) });
      const response = await it.handler(new Request(`${origin}${path}`));
      expect(response.status).toBe(404);
      expect(asked).toBe(0);
    });

    test.each(["/..%2fuser", "/user/", "/user/x", "/constructor", "/__proto__", "/toString", "/%75ser"])(
      "%s below the base path → 404 as a page",
      async (path) => {
        const response = await new Browser(world().handler).get(path);
        expect(response.status).toBe(404);
        expect(await response.text()).toContain("Page not found");
      },
    );
  });

  describe("dashboard: input that no page can use", () => {
    const foreign = `${"A".repeat(42)}B`; // the last character has bits that no handle has

    test.each([
      ["a user id of 600,000 characters", `/user?id=${"x".repeat(600_000)}`],
      ["such an id in the filter of events", `/audit?user=${"x".repeat(600_000)}`],
      ["a handle that is not canonical", `/audit?session=${foreign}`],
      ["a type of event that does not exist", "/audit?type=x"],
      ["a time that is none", "/audit?since=x"],
      ["a time that only some engines understand", "/audit?until=1"],
    ])("%s → 400 as a page that says why, and no error in the application", async (_, path) => {
      const it = world();
      const response = await new Browser(it.handler).get(path);
      expect(response.status).toBe(400);
      expect(await response.text()).toMatch(
        /too long|not the handle of a session|no such type|Type times as/,
      );
    });

    test.each([
      ["/user", { id: "", action: "end", handle: "A".repeat(43) }, "The id of the user is missing"],
      ["/user", { id: "", action: "others", handle: "A".repeat(43) }, "The id of the user is missing"],
      ["/user", { id: "", action: "all" }, "The id of the user is missing"],
      ["/audit", { action: "export", format: "json", session: foreign }, "not the handle of a session"],
    ])("POST %s with %j → 400 as a page that says why, nothing changes", async (path, fields, why) => {
      const it = world();
      await it.login("alice");
      const before = await it.events();
      const response = await new Browser(it.handler).post(path, { ...fields, reason: "why" } as never);
      expect(response.status).toBe(400);
      expect(await response.text()).toContain(why);
      expect(await it.events()).toEqual(before);
    });
  });

  describe("dashboard: stored script", () => {
    test.each(hostile)(
      "%j as user, address, user agent, identifier, reason and actor → is text on every page",
      async (evil) => {
        const it = world();
        const user = evil.replace("\0", "").toWellFormed();
        const client = { address: evil.slice(0, 64), userAgent: evil };
        const handle = await it.login(user, client);
        await it.sessions.audit.record("login.failed", {
          identifier: evil,
          reason: evil,
          client,
          method: evil,
          level: evil,
          actor: evil,
          requestId: evil,
        });
        it.access = { actor: evil, may: everything };
        const browser = new Browser(it.handler);
        const id = encodeURIComponent(user);
        const pages = [
          await browser.text("/"),
          await browser.text(`/user?id=${id}`),
          await browser.text(`/session?handle=${handle}`),
          await browser.text(`/session?handle=${id}`),
          await browser.text(
            `/audit?user=${id}&session=${id}&type=${id}&since=${id}&until=${id}&after=${id}`,
          ),
          await browser.text("/audit"),
          await browser.text("/keys"),
          await (await browser.post("/session", { handle, action: "reveal", reason: evil })).text(),
        ];
        // The dashboard's own markup has one script element and no handler; what visitors wrote adds none.
        for (const page of pages) {
          expect(page.match(/<script/g)).toHaveLength(1);
          expect(page).not.toMatch(/<img/);
          const markup = page.replaceAll(/<(style|script)>[\s\S]*?<\/\1>/g, "").replaceAll(/"[^"]*"/g, '""');
          expect(markup).not.toMatch(/<[^>]* on\w+=/);
          expect(page).not.toMatch(/href="javascript:/);
        }
      },
    );

    test("exports: values that begin like a formula → quoted in CSV, and one line for each event in JSON", async () => {
      const it = world();
      await it.sessions.audit.record("login.failed", { identifier: `=HYPERLINK("x")`, reason: "a\nb" });
      const browser = new Browser(it.handler);
      const csv = await (await browser.post("/audit", { action: "export", format: "csv" })).text();
      expect(csv).not.toMatch(/(^|,)"?=HYPERLINK/m);
      const lines = (await (await browser.post("/audit", { action: "export", format: "json" })).text())
        .trim()
        .split("\n");
      for (const line of lines) JSON.parse(line);
    });

    test("R2, R28, R54: page sources → contain no token, cookie, key or sealed value", async () => {
      const keys = "ssk1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
      const it = world({ keys });
      const session = await it.sessions.load(null);
      Object.assign(session.data, { secret: "s3cret-value" });
      session.login("alice");
      const token = (await it.sessions.commit(session))!.split(";")[0]!.split("=")[1]!;
      const browser = new Browser(it.handler);
      const handle = session.handle;
      for (const path of ["/", "/user?id=alice", `/session?handle=${handle}`, "/audit", "/keys"]) {
        const page = await browser.text(path);
        expect(page).not.toContain(token);
        expect(page).not.toContain(keys.slice(5));
        expect(page).not.toContain("s3cret-value");
      }
    });
  });
});
