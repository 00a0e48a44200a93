import assert from "node:assert/strict";
import { generateKey } from "../sealing/keyring.ts";
import { createSessionManager, type SessionManager } from "../manager.ts";
import type { SessionStore } from "../store/contract.ts";
import {
  contractRoute,
  Gates,
  streamed,
  type ContractAnswer,
  type ContractSession,
} from "./adapter-routes.ts";
import type { DeviceBindingOptions } from "../device-binding/options.ts";
import { clientChange } from "./adapter-client-change.ts";
import { devices } from "./adapter-device.ts";
import { fresh } from "./adapter-fresh.ts";
import { failedHeaders } from "./adapter-failed-headers.ts";
import { leaving } from "./adapter-leaving.ts";
import {
  abortable,
  until,
  Visitor,
  type Answer,
  type Check,
  type CheckOptions,
  type RunningApp,
  type Trait,
} from "./adapter-world.ts";
import { WatchedStore } from "./watched-store.ts";

/** The parts from which a test application is built. */
export interface ContractApp {
  readonly sessions: SessionManager<Record<string, unknown>>;
  /** For a drop-in store, which creates its own manager. */
  readonly store: SessionStore;
  readonly keys: string;
  /**
   * Runs the route for a request and returns what to answer.
   * @param url path and query of the request
   * @param session returns the request's session; called by routes that use it
   */
  route(url: string, session: () => ContractSession): Promise<ContractAnswer>;
}

export interface AdapterContractOptions {
  /** `test` or `it` of any runner. */
  readonly test: (name: string, body: () => Promise<void>) => unknown;
  /** Creates a migrated, empty store, once per test. */
  readonly create: () => Promise<SessionStore>;
  /**
   * Starts the framework's own server, on any port of 127.0.0.1. Answer errors with `contractError`, and set
   * `contractHeaders` on every response before its session is loaded.
   */
  readonly start: (app: ContractApp) => Promise<RunningApp>;
  /**
   * What the test application can answer with besides text, redirects, streams and nothing: `file`, and `raw` (on the
   * Node response, bypassing the framework).
   */
  readonly ways?: readonly ("file" | "raw")[];
  /**
   * Where the middleware of a drop-in store behaves differently and is exempt: `cookies`, the form and timing of the
   * cookie and caching headers; `late`, no warning of changes after the response; `saves`, the first byte may be sent
   * before the save, and errors of the save come too late; `errors`, a failed save is answered, but not always by the
   * application; `ids`, a new id means new data; `leaving`, a session may be lost if the client disconnects; `unstarted`, the
   * framework does not run the handler of a client that disconnected before; `headers`,
   * the response to a failed save may contain headers of the handler; `elevation`, there is no step-up authentication and no
   * guard of the paths below `/fresh` (`contractFresh`), and no `onClientChange`; `devices`, there are no device-bound sessions.
   */
  readonly differs?: readonly Trait[];
  /** Request headers, in lower case, that the framework itself names in the `Vary` of every response. */
  readonly variesBy?: readonly string[];
  /** The option `deviceBinding` of the manager in every test. Default: only in those about it. */
  readonly deviceBinding?: DeviceBindingOptions;
  /** Run only the tests that a slower store could break: login, logout, and concurrent requests. Default false. */
  readonly short?: boolean;
  /** Run only the tests of clients that disconnect, for another protocol under the same adapter. Default false. */
  readonly leavingOnly?: boolean;
}

/**
 * Registers the tests that every adapter must pass, over real HTTP. The test application answers every path with the
 * result of `app.route`, sent in the framework's own way.
 */
export function adapterContract(name: string, options: AdapterContractOptions): void {
  const differs = new Set(options.differs);
  const check: Check = (sentence, body, checked = {}) => {
    const { trait, device, onClientChange }: CheckOptions =
      typeof checked === "string" ? { trait: checked } : checked;
    const deviceBinding = device ?? options.deviceBinding;
    if (trait !== undefined && differs.has(trait)) return;
    options.test(`${name}: ${sentence}`, async () => {
      const below = await options.create();
      const watched = new WatchedStore(below);
      const keys = generateKey();
      let ahead = 0;
      const sessions = createSessionManager<Record<string, unknown>>({
        store: watched.store,
        keys,
        clock: () => Date.now() + ahead,
        ...(deviceBinding && { deviceBinding }),
        ...(onClientChange && { onClientChange }),
        storeTimeout: "1 min", // of 64 requests that change one session, the last waits for all others
      });
      const gates = new Gates();
      let runs = 0;
      const app: ContractApp = {
        sessions,
        store: watched.store,
        keys,
        route(url, session) {
          runs++;
          const { pathname, searchParams } = new URL(url, "http://localhost");
          return contractRoute(pathname, searchParams, session, gates);
        },
      };
      const stray = watchForStrayErrors();
      const running = await options.start(app);
      try {
        await body({
          url: running.url,
          running,
          sessions,
          watched,
          gates,
          differs,
          runs: () => runs,
          advance: (milliseconds) => void (ahead += milliseconds),
          visitor: (cookie) => new Visitor(running.url, cookie, options.variesBy),
        });
      } finally {
        await running.close();
        await sessions.close();
        await below.close();
      }
      assert.deepEqual(stray(), [], "no error is unhandled");
    });
  };

  if (options.leavingOnly) return leaving(check, options.ways ?? [], differs);
  loggingInAndOut(check);
  racing(check);
  if (options.short) return;
  visiting(check);
  answering(check);
  failing(check);
  fresh(check); // R58
  clientChange(check);
  devices(check);
  failedHeaders(check, options.ways ?? []);
  aborting(check);
  leaving(check, options.ways ?? [], differs);
}

function visiting(check: Check): void {
  check(
    "a request that does not use its session → no statement, no cookie, no header (promise 1, R35)",
    async ({ visitor, watched }) => {
      const answer = await visitor().get("/plain");
      assert.equal(answer.status, 200);
      assert.equal(answer.body, "plain");
      assert.deepEqual(answer.setCookies, []);
      assert.equal(answer.headers.get("vary")?.toLowerCase().includes("cookie") ?? false, false);
      assert.deepEqual(watched.calls, []);
    },
  );

  check(
    "a new session is only read → nothing is stored, and the response has Vary: Cookie (promise 1, R12)",
    async ({ visitor, watched }) => {
      const answer = await visitor().get("/read");
      assert.deepEqual(JSON.parse(answer.body), { user: null, isNew: true, data: {} });
      assert.deepEqual(answer.setCookies, []);
      assert.deepEqual(watched.calls, []);
    },
  );

  check(
    "a session is only read → the headers of the response (R12)",
    async ({ visitor }) => {
      const answer = await visitor().get("/read");
      assert.equal(answer.headers.get("vary"), "Cookie");
      assert.equal(answer.headers.get("cache-control"), null);
    },
    "cookies",
  );

  check("a request writes data → the next request reads it", async ({ visitor, watched }) => {
    const someone = visitor();
    await someone.get("/set?key=tea&value=green");
    assert.deepEqual((await someone.read()).data, { tea: "green" });
    assert.equal((await someone.read()).isNew, false);
    await someone.get("/set?key=cup&value=blue");
    assert.deepEqual((await someone.read()).data, { tea: "green", cup: "blue" });
    assert.deepEqual((await visitor().read()).data, {}, "another visitor has another session");
    assert.deepEqual(
      watched.calls.filter((call) => call !== "read"),
      ["insert", "update"],
    );
  });

  check(
    "a new session → its cookie, byte by byte (R4, R12)",
    async ({ visitor }) => {
      const someone = visitor();
      const answer = await someone.get("/set?key=tea&value=green");
      assert.equal(answer.setCookies.length, 1);
      const [, value, maxAge] =
        /^__Host-session=([\w-]{64}); Max-Age=(\d+);/.exec(answer.setCookies[0]!) ?? [];
      assert.equal(
        answer.setCookies[0],
        `__Host-session=${value}; Max-Age=${maxAge}; Path=/; HttpOnly; Secure; SameSite=Lax`,
      );
      const late = 2_592_000 - Number(maxAge);
      assert.ok(late >= 0 && late <= 10, `${maxAge} seconds are not thirty days`);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(answer.headers.get("vary"), "Cookie");
      const second = await someone.get("/set?key=tea&value=black");
      assert.deepEqual(second.setCookies, [], "no renewal is due");
      assert.equal(second.headers.get("cache-control"), null);
      assert.equal(second.headers.get("vary"), "Cookie");
    },
    "cookies",
  );

  check("a flash → readable once", async ({ visitor }) => {
    const someone = visitor();
    await someone.get("/flash?value=hello");
    assert.equal((await someone.get("/take")).body, '"hello"');
    assert.equal((await someone.get("/take")).body, "null");
  });

  check(
    "300 forged and malformed cookies → no statement and no session (promise 1, R3, R9, R11)",
    async ({ visitor, watched }) => {
      const someone = visitor();
      const { setCookies } = await someone.get("/set?key=tea&value=green");
      const genuine = setCookies[0]!.split(";")[0]!;
      const [name, token] = [genuine.slice(0, genuine.indexOf("=")), genuine.slice(genuine.indexOf("=") + 1)];
      watched.calls.length = 0;
      const flipped = (at: number) =>
        `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`;
      const forged = [
        "",
        "=",
        "x",
        "null",
        token.slice(1),
        `${token}=`,
        `${token}A`,
        `"${token}"`,
        token.toLowerCase(),
        "A".repeat(64),
        "A".repeat(4_000),
        "%00",
        "../../etc/passwd",
        "' or 1=1 --",
        "[object Object]",
        "__proto__",
        ...Array.from({ length: 284 }, (_, n) => flipped(n % 64)),
      ];
      assert.equal(forged.length, 300);
      for (const value of forged) {
        const answer = await visitor().get("/plain", { headers: { cookie: `${name}=${value}` } });
        assert.equal(answer.status, 200, value);
        assert.deepEqual(answer.setCookies, [], value);
      }
      const elsewhere = await visitor().get(`/read?${encodeURIComponent(name)}=${token}`, {
        headers: { authorization: `Bearer ${token}`, "x-session": token },
      });
      assert.deepEqual(
        JSON.parse(elsewhere.body),
        { user: null, isNew: true, data: {} },
        "other parts of the request contain a token → only the cookie counts",
      );
      assert.deepEqual(watched.calls, []);
    },
    "cookies",
  );
}

function loggingInAndOut(check: Check): void {
  check(
    "login → a new id, the data stays, the old cookie is invalid (R17)",
    async ({ visitor, watched, differs }) => {
      const someone = visitor();
      await someone.get("/set?key=tea&value=green");
      const before = someone.cookie;
      const answer = await someone.get("/login?user=42");
      if (!differs.has("cookies")) assert.equal(answer.setCookies.length, 1);
      assert.notEqual(someone.cookie, before);
      const { user, data } = await someone.read();
      assert.equal(user, "42");
      assert.equal(data["tea"], "green");
      assert.equal((await visitor(before).read()).isNew, true);
      assert.equal(await watched.store.count(Date.now()), 1);
    },
  );

  check("logout → the session ends and the cookie is cleared (R13)", async ({ visitor, watched }) => {
    const someone = visitor();
    await someone.get("/login?user=42");
    const before = someone.cookie;
    assert.equal((await someone.get("/logout")).body, "out");
    assert.equal(await watched.store.count(Date.now()), 0);
    assert.equal((await visitor(before).read()).user, null);
    assert.equal((await someone.read()).user, null);
  });

  check(
    "logout → the cookie is cleared with the attributes it was set with (R13, R12)",
    async ({ visitor }) => {
      const someone = visitor();
      await someone.get("/login?user=42");
      const answer = await someone.get("/logout");
      assert.equal(answer.setCookies.length, 1);
      assert.match(answer.setCookies[0]!, /^__Host-session=;/);
      const attributes = answer.setCookies[0]!.split("; ").slice(1);
      assert.ok(attributes.includes("Max-Age=0"), answer.setCookies[0]);
      assert.deepEqual(
        attributes.filter((attribute) => !/^(Max-Age|Expires)=/.test(attribute)),
        ["Path=/", "HttpOnly", "Secure", "SameSite=Lax"],
      );
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(someone.cookie, "", "the browser has no cookie");
    },
    "cookies",
  );

  check("logout without a session → nothing happens (promise 1)", async ({ visitor, watched, differs }) => {
    const answer = await visitor().get("/logout");
    if (!differs.has("cookies")) assert.deepEqual(answer.setCookies, []);
    assert.deepEqual(
      watched.calls.filter((call) => call !== "read" && call !== "delete"),
      [],
    );
  });

  check("regenerate → a new id, and the old cookie is invalid (R40)", async ({ visitor, differs }) => {
    const someone = visitor();
    await someone.get("/login?user=42");
    const before = someone.cookie;
    const answer = await someone.get("/regenerate");
    if (!differs.has("cookies")) assert.equal(answer.setCookies.length, 1);
    assert.notEqual(someone.cookie, before);
    assert.equal((await visitor(before).read()).user, null);
  });

  check(
    "regenerate → the data and the user stay",
    async ({ visitor }) => {
      const someone = visitor();
      await someone.get("/login?user=42");
      await someone.get("/set?key=tea&value=green");
      await someone.get("/regenerate");
      assert.deepEqual(await someone.read(), { user: "42", isNew: false, data: { tea: "green" } });
    },
    "ids",
  );
}

function answering(check: Check): void {
  check("a redirect → arrives after the save (promise 4)", async ({ visitor }) => {
    const someone = visitor();
    const answer = await someone.get("/redirect");
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.get("location"), "/read");
    assert.deepEqual((await someone.read()).data, { redirected: "yes" });
  });

  for (const path of ["/set?key=a&value=b", "/redirect", "/stream", "/empty", "/not-modified"]) {
    check(
      `${path.split("?")[0]}: the save is held → no byte is sent before it finishes (promise 4)`,
      async ({ visitor, watched }) => {
        const order: string[] = [];
        const held = watched.holdWrites();
        const answer = visitor()
          .get(path)
          .finally(() => order.push("answered"));
        await held.arrived;
        for (let n = 0; n < 5; n++) await visitor().get("/plain"); // not a wait for the server
        order.push("saved");
        held.release();
        await answer;
        assert.deepEqual(order, ["saved", "answered"]);
      },
      "saves",
    );
  }

  check("a streamed response → arrives complete, and the session is saved", async ({ visitor }) => {
    const someone = visitor();
    const answer = await someone.get("/stream");
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, streamed.join("").length);
    assert.ok(answer.body === streamed.join(""));
    assert.deepEqual((await someone.read()).data, { streamed: "yes" });
  });

  check("responses without a body (HEAD, 204, 304) → the session is saved", async ({ visitor }) => {
    const someone = visitor();
    const head = await someone.get("/set?key=head&value=yes", { method: "HEAD" });
    assert.deepEqual([head.status, head.body], [200, ""]);
    const empty = await someone.get("/empty");
    assert.deepEqual([empty.status, empty.body], [204, ""]);
    const notModified = await someone.get("/not-modified", { headers: { "if-none-match": '"1"' } });
    assert.deepEqual([notModified.status, notModified.body], [304, ""]);
    assert.deepEqual((await someone.read()).data, { head: "yes", empty: "yes", seen: "yes" });
  });

  check(
    "the application sets headers → they are kept, and caching is never loosened (R12)",
    async ({ visitor }) => {
      const ask = async (query: Record<string, string>) =>
        (await visitor().get(`/headers?${new URLSearchParams(query)}`)).headers;
      assert.equal((await ask({ vary: "Accept-Encoding" })).get("vary"), "Accept-Encoding, Cookie");
      assert.equal((await ask({ vary: "accept, COOKIE" })).get("vary"), "accept, COOKIE");
      assert.equal((await ask({ vary: "*" })).get("vary"), "*");
      assert.equal(
        (await ask({ "cache-control": "public, max-age=60" })).get("cache-control"),
        "public, max-age=60",
      );
      const public60 = await ask({
        write: "1",
        "cache-control": "public, max-age=60",
        "cdn-cache-control": "max-age=60",
      });
      assert.equal(public60.get("cache-control"), "no-store");
      assert.equal(public60.get("cdn-cache-control"), "no-store");
      assert.equal(
        (await ask({ write: "1", "cache-control": "private, no-cache" })).get("cache-control"),
        "no-store",
      );
      assert.equal(
        (await ask({ write: "1", "cache-control": "private, No-Store" })).get("cache-control"),
        "private, No-Store",
      );
    },
    "cookies",
  );

  check("the application sets another cookie → it stays", async ({ visitor }) => {
    const answer = await visitor().get("/headers?write=1&set-cookie=theme%3Ddark");
    assert.ok(answer.setCookies.length >= 2);
    assert.ok(answer.setCookies.includes("theme=dark"));
  });

  check(
    "a change after the response started → a warning with a code, and not saved",
    async ({ visitor, gates }) => {
      const someone = visitor();
      await someone.get("/set?key=tea&value=green");
      const codes: unknown[] = [];
      const arrived = Promise.withResolvers<void>();
      const onWarning = (warning: Error & { code?: string }) => {
        codes.push(warning.code);
        arrived.resolve();
      };
      process.on("warning", onWarning);
      try {
        assert.equal((await someone.get("/late?gate=late")).body, "early");
        gates.open("late");
        await arrived.promise;
      } finally {
        process.off("warning", onWarning);
      }
      assert.deepEqual(codes, ["STORED_SESSION_CHANGED_AFTER_RESPONSE"]);
      assert.deepEqual((await someone.read()).data, { tea: "green" });
    },
    "late",
  );
}

function failing(check: Check): void {
  check(
    "the handler throws → the application answers, and earlier changes are saved",
    async ({ visitor }) => {
      const someone = visitor();
      const answer = await someone.get("/throw");
      assert.deepEqual([answer.status, answer.body], [500, "handled: boom"]);
      assert.deepEqual((await someone.read()).data, { thrown: "yes" });
    },
  );

  check(
    "the handler throws a value that is not an Error → an error response, and earlier changes are saved",
    async ({ visitor }) => {
      for (const value of ["text", "object", "null", "undefined"]) {
        const someone = visitor();
        const answer = await someone.get(`/throw-value?value=${value}`);
        assert.equal(answer.status, 500, value);
        assert.deepEqual((await someone.read()).data, { thrown: value });
      }
    },
  );

  check(
    "the store is down at load → the application answers 503, and requests without a cookie are served (promise 8, R37)",
    async ({ visitor, watched, differs }) => {
      const someone = visitor();
      await someone.get("/set?key=tea&value=green");
      watched.down("all");
      const answer = await someone.get("/plain");
      assertHandled(answer, 503, "handled: ERR_STORED_SESSION_STORE_UNAVAILABLE", differs);
      assert.deepEqual(answer.setCookies, []);
      assert.equal((await visitor().get("/plain")).body, "plain");
      assert.equal((await visitor().get("/read")).status, 200);
      watched.up();
      assert.deepEqual((await someone.read()).data, { tea: "green" }, "the failure is not cached");
    },
  );

  for (const path of [
    "/set?key=tea&value=black",
    "/login?user=1",
    "/logout",
    "/regenerate",
    "/redirect",
    "/stream",
    "/empty",
  ]) {
    check(
      `${path.split("?")[0]}: the store is down at commit → the application answers 503, without a byte of the handler's response (promises 4 and 8, R37)`,
      async ({ visitor, watched, differs }) => {
        const someone = visitor();
        await someone.get("/login?user=42");
        await someone.get("/set?key=tea&value=green");
        watched.down("writes");
        const answer = await someone.get(path);
        assertHandled(answer, 503, "handled: ERR_STORED_SESSION_STORE_UNAVAILABLE", differs);
        watched.up();
        if (differs.has("errors") && answer.setCookies.length > 0) return; // the middleware dropped the session
        assert.deepEqual(answer.setCookies, []);
        assert.deepEqual(await someone.read(), { user: "42", isNew: false, data: { tea: "green" } });
        await someone.get("/set?key=tea&value=red");
        assert.deepEqual((await someone.read()).data, { tea: "red" });
      },
      "saves",
    );
  }

  check(
    "a value that cannot be stored → an error, and the stored session stays (R45)",
    async ({ visitor, differs }) => {
      const someone = visitor();
      await someone.get("/set?key=tea&value=green");
      const answer = await someone.get("/unserializable");
      assertHandled(answer, 500, "handled: ERR_STORED_SESSION_VALUE", differs);
      assert.deepEqual((await someone.read()).data, { tea: "green" });
    },
    "saves",
  );

  check(
    "a session up to and above the size limit → saved; a named error, and the stored session stays (R45)",
    async ({ visitor, differs }) => {
      const someone = visitor();
      await someone.get("/large?length=500000");
      assert.equal(((await someone.read()).data["large"] as string).length, 500_000);
      const answer = await someone.get("/large?length=1100000");
      assertHandled(answer, 500, "handled: ERR_STORED_SESSION_LIMIT", differs);
      assert.equal(((await someone.read()).data["large"] as string).length, 500_000);
    },
    "saves",
  );
}

function assertHandled(answer: Answer, status: number, body: string, differs: ReadonlySet<Trait>): void {
  assert.equal(answer.status, status, answer.body);
  if (!differs.has("errors")) assert.equal(answer.body, body);
}

function racing(check: Check): void {
  check(
    "64 parallel requests change different keys → no update is lost (promise 2, R39)",
    async ({ visitor, gates }) => {
      const someone = visitor();
      await someone.get("/set?key=first&value=yes");
      const keys = Array.from({ length: 64 }, (_, n) => `key${n}`);
      const answers = keys.map((key) => someone.get(`/hold?gate=${key}&key=${key}&value=${key}`));
      await Promise.all(keys.map((key) => gates.reached(key)));
      for (const key of keys) gates.open(key);
      for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
      assert.deepEqual(
        (await someone.read()).data,
        Object.fromEntries([["first", "yes"], ...keys.map((key) => [key, key])]),
      );
    },
  );

  for (const end of ["/logout", "/regenerate", "/login?user=43"]) {
    check(
      `${end.split("?")[0]} while 20 requests are in flight → none restores the session (promise 3, R38, R41)`,
      async ({ visitor, gates, watched, differs }) => {
        const someone = visitor();
        await someone.get("/login?user=42");
        const old = someone.cookie;
        const names = Array.from({ length: 20 }, (_, n) => `flight${n}`);
        const flights = names.map((name) => visitor(old).get(`/hold?gate=${name}&key=${name}&value=${name}`));
        await Promise.all(names.map((name) => gates.reached(name)));
        await someone.get(end);
        for (const name of names) gates.open(name);
        for (const { setCookies } of await Promise.all(flights)) {
          if (!differs.has("cookies")) assert.deepEqual(setCookies, []);
        }
        assert.equal((await visitor(old).read()).user, null);
        if (end === "/regenerate" && differs.has("ids")) return;
        assert.equal(await watched.store.count(Date.now()), end === "/logout" ? 0 : 1);
      },
    );
  }

  check(
    "parallel regenerations → one wins, and only it sets a cookie (R40, R41)",
    async ({ visitor }) => {
      const someone = visitor();
      await someone.get("/login?user=42");
      const old = someone.cookie;
      const answers = await Promise.all(Array.from({ length: 10 }, () => visitor(old).get("/regenerate")));
      const cookies = answers.flatMap(({ setCookies }) => setCookies);
      assert.equal(cookies.length, 1);
      assert.equal((await visitor(cookies[0]!.split(";")[0]).read()).user, "42");
      assert.equal((await visitor(old).read()).user, null);
    },
    "ids",
  );
}

function aborting(check: Check): void {
  check(
    "the client disconnects before the response → nothing is left over, and the handler's changes are saved",
    async ({ url, visitor, gates }) => {
      const someone = visitor();
      await someone.get("/set?key=tea&value=green");
      const cut = abortable(`${url}/hold?gate=cut&key=cup&value=blue`, someone.cookie);
      await gates.reached("cut");
      await cut();
      gates.open("cut");
      await until(async () => "cup" in (await someone.read()).data);
      assert.deepEqual((await someone.read()).data, { tea: "green", cup: "blue" });
    },
  );

  check(
    "the client disconnects while the session is saved → the save finishes",
    async ({ url, visitor, watched }) => {
      const someone = visitor();
      await someone.get("/set?key=tea&value=green");
      const held = watched.holdWrites();
      const cut = abortable(`${url}/set?key=cup&value=blue`, someone.cookie);
      await held.arrived;
      await cut();
      held.release();
      await until(async () => "cup" in (await someone.read()).data);
    },
  );

  check(
    "many visitors, with 5 % of requests aborted → sessions never mix (R42)",
    async ({ url, visitor, gates }) => {
      const people = Array.from({ length: 20 }, (_, n) => ({ canary: `canary-${n}`, browser: visitor() }));
      for (const { canary, browser } of people) await browser.get(`/set?key=canary&value=${canary}`);
      for (let round = 0; round < 20; round++) {
        await Promise.all(
          people.map(async ({ canary, browser }, n) => {
            if ((n + round) % 20 === 0) {
              const gate = `abort-${n}-${round}`;
              const cut = abortable(`${url}/hold?gate=${gate}&key=canary&value=${canary}`, browser.cookie);
              await gates.reached(gate);
              await cut();
              gates.open(gate);
            } else if ((n + round) % 3 === 0) {
              await browser.get(`/set?key=round${round}&value=${canary}`);
            }
            const { data } = await browser.read();
            for (const value of Object.values(data)) assert.equal(value, canary);
            assert.equal(data["canary"], canary);
          }),
        );
      }
    },
  );
}

/** Collects unhandled errors until the returned function is called. */
function watchForStrayErrors(): () => unknown[] {
  const errors: unknown[] = [];
  const collect = (error: unknown) => void errors.push(error);
  process.on("unhandledRejection", collect);
  process.on("uncaughtException", collect);
  return () => {
    process.off("unhandledRejection", collect);
    process.off("uncaughtException", collect);
    return errors;
  };
}
