import assert from "node:assert/strict";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { afterEach, test } from "vitest";
import { session } from "../../src/adapters/express.ts";
import { createSessionManager, generateKey, memoryStore, type SessionManager } from "../../src/index.ts";
import { running } from "./server.ts";

// Without types of their own.
const require = createRequire(import.meta.url);
const { Passport } = require("passport") as any;
const { Strategy: LocalStrategy } = require("passport-local") as any;
const OAuth2Strategy = require("passport-oauth2") as any;

type Data = Record<string, any>;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Setup {
  readonly connected?: boolean;
  readonly serialize?: (user: { id: string }) => unknown;
  readonly userOf?: (data: Data) => unknown;
  readonly authenticate?: Record<string, unknown>;
  readonly strategy?: (passport: any) => void;
}

/** An application on Passport, written as its documentation writes it. */
async function app({ connected = true, serialize = ({ id }) => id, userOf, ...more }: Setup = {}) {
  const sessions = createSessionManager<Data>({
    store: memoryStore(),
    keys: generateKey(),
    ...(userOf && { userOf: userOf as (data: Data) => string }),
  });
  const passport = new Passport();
  passport.serializeUser((user: any, done: any) => process.nextTick(() => done(null, serialize(user))));
  passport.deserializeUser((kept: any, done: any) =>
    done(null, kept === "gone" ? false : { id: typeof kept === "object" ? kept.id : kept }),
  );
  passport.use(
    new LocalStrategy(async (username: string, _password: string, done: any) => {
      await new Promise((resolve) => setImmediate(resolve));
      done(null, username === "mallory" ? false : { id: username }, { message: "Wrong password." });
    }),
  );
  more.strategy?.(passport);
  const application = express();
  application.use(session(sessions, connected ? { passport } : {}));
  application.use(passport.session());
  application.use(express.urlencoded());
  application.get("/", (request: any, response) => {
    const { user, handle } = request.session;
    response.json({
      passport: request.user?.id ?? null,
      authenticated: request.isAuthenticated(),
      user: user ?? null,
      handle,
      cart: request.session.data.cart ?? null,
      messages: request.session.messages ?? null,
    });
  });
  application.get("/wanted", (request: any, response) => {
    request.session.returnTo = "/cart/tea";
    response.send("log in first");
  });
  application.get("/become/:user", (request: any, response) => {
    request.session.passport ??= {};
    request.session.passport.user = request.params.user === "nobody" ? null : request.params.user;
    response.send("done");
  });
  application.get("/cart/:item", (request, response) => {
    request.session.data = { ...request.session.data, cart: request.params.item } as object;
    response.send("added");
  });
  application.post(
    "/login",
    passport.authenticate("local", {
      successRedirect: "/",
      failureRedirect: "/denied",
      ...more.authenticate,
    }),
  );
  application.post("/logout", (request: any, response, next) => {
    request.logout((error: unknown) => (error ? next(error) : response.redirect("/")));
  });
  application.post("/logout-keeping", (request: any, response, next) => {
    request.logout({ keepSessionInfo: true }, (error: unknown) =>
      error ? next(error) : response.redirect("/"),
    );
  });
  application.get("/oauth", passport.authenticate("oauth2", { successRedirect: "/" }) as RequestHandler);
  const answerError: ErrorRequestHandler = (error: Error, _request, response, _next) => {
    response.status(500).send(`${error.name}: ${error.message}`);
  };
  application.use(answerError);
  const { url, close } = await running(application.listen(0, "127.0.0.1"));
  closing.push(close);
  return { url, sessions: sessions as SessionManager<any>, visitor: () => new Visitor(url) };
}

class Visitor {
  cookie = "";
  readonly #url: string;
  constructor(url: string) {
    this.#url = url;
  }

  async ask(path: string, form?: Record<string, string>) {
    const answer = await fetch(this.#url + path, {
      redirect: "manual",
      headers: { cookie: this.cookie },
      ...(form && { method: "POST", body: new URLSearchParams(form) }),
    });
    const [setCookie] = answer.headers.getSetCookie();
    if (setCookie !== undefined) this.cookie = setCookie.split(";")[0]!;
    return { status: answer.status, location: answer.headers.get("location"), text: await answer.text() };
  }

  async home() {
    const { text } = await this.ask("/");
    return JSON.parse(text) as Record<string, unknown>;
  }

  login(username: string) {
    return this.ask("/login", { username, password: "x" });
  }
}

test("Passport without the option → the first request fails and names it, before anybody can log in", async () => {
  const { visitor } = await app({ connected: false });
  const { status, text } = await visitor().ask("/");
  assert.equal(status, 500);
  assert.match(text, /^TypeError: Passport .*session\(sessions, \{ passport \}\)/);
});

test("Passport: log in, be recognised, log out → a new id each time, the user's sessions are known (R17, R13, promise 3)", async () => {
  const { visitor, sessions } = await app();
  const ada = visitor();
  await ada.ask("/cart/tea");
  const planted = ada.cookie;
  const answer = await ada.login("ada");
  assert.deepEqual([answer.status, answer.location], [302, "/"]);
  assert.notEqual(ada.cookie, planted);
  const { handle, messages: _, ...home } = await ada.home();
  assert.deepEqual(home, { passport: "ada", authenticated: true, user: "ada", cart: null });
  assert.deepEqual(
    (await sessions.forUser("ada").list()).map((info) => info.handle),
    [handle],
  );

  const thief = visitor();
  thief.cookie = planted;
  assert.equal((await thief.home())["passport"], null);

  const loggedIn = ada.cookie;
  assert.equal((await ada.ask("/logout", {})).location, "/");
  assert.deepEqual([(await ada.home())["passport"], (await ada.home())["user"]], [null, null]);
  thief.cookie = loggedIn;
  assert.equal((await thief.home())["passport"], null);
  assert.equal((await sessions.forUser("ada").list()).length, 0);
});

test("Passport: log out everywhere → Passport knows nobody any more (promise 3)", async () => {
  const { visitor, sessions } = await app();
  const ada = visitor();
  await ada.login("ada");
  await sessions.forUser("ada").revokeAll();
  assert.equal((await ada.home())["passport"], null);
});

test("Passport: keepSessionInfo → an anonymous visitor's data is kept at login and logout, another user's never", async () => {
  const { visitor } = await app({ authenticate: { keepSessionInfo: true } });
  const browser = visitor();
  await browser.ask("/cart/tea");
  await browser.login("ada");
  assert.equal((await browser.home())["cart"], "tea");
  await browser.login("ben");
  const { passport, user, cart } = await browser.home();
  assert.deepEqual([passport, user, cart], ["ben", "ben", null]);
  await browser.ask("/cart/mate");
  await browser.ask("/logout-keeping", {});
  const afterwards = await browser.home();
  assert.deepEqual([afterwards["passport"], afterwards["cart"]], [null, "mate"]);
});

test("Passport: a login that fails → no session, no user", async () => {
  const { visitor, sessions } = await app();
  const mallory = visitor();
  assert.equal((await mallory.login("mallory")).location, "/denied");
  assert.equal(mallory.cookie, "");
  assert.equal(await sessions.count(), 0);
});

test("Passport: serializeUser gives an object → userOf says who it is, and without it the login fails and says so", async () => {
  const serialize = ({ id }: { id: string }) => ({ id, username: `${id}@example.org` });
  const named = await app({ serialize, userOf: (data) => data["passport"]?.user?.id });
  const ada = named.visitor();
  await ada.login("ada");
  assert.deepEqual((({ passport, user }) => [passport, user])(await ada.home()), ["ada", "ada"]);
  assert.equal((await named.sessions.forUser("ada").list()).length, 1);

  const unnamed = await app({ serialize });
  const { status, text } = await unnamed.visitor().login("ada");
  assert.equal(status, 500);
  assert.match(text, /userOf/);
  assert.equal(await unnamed.sessions.count(), 0);
});

test("Passport: a user who no longer exists → the visitor is nobody, to the session as well", async () => {
  const { visitor, sessions } = await app({ authenticate: { keepSessionInfo: true } });
  const browser = visitor();
  await browser.ask("/cart/tea");
  await browser.login("gone");
  const { passport, user, cart } = await browser.home();
  assert.deepEqual([passport, user, cart], [null, null, null]);
  assert.equal((await sessions.forUser("gone").list()).length, 0);
});

test("Passport: failureMessage, with a strategy that answers later → the message is kept for the next page", async () => {
  const { visitor } = await app({ authenticate: { failureMessage: true } });
  const mallory = visitor();
  assert.equal((await mallory.login("mallory")).location, "/denied");
  assert.deepEqual((await mallory.home())["messages"], ["Wrong password."]);
});

test("Passport: successReturnToOrRedirect → back to the page that was wanted, once", async () => {
  const { visitor } = await app({
    authenticate: {
      successRedirect: undefined,
      successReturnToOrRedirect: "/",
      keepSessionInfo: true,
    },
  });
  const ada = visitor();
  await ada.ask("/wanted");
  assert.equal((await ada.login("ada")).location, "/cart/tea");
  assert.equal((await ada.login("ada")).location, "/");
});

test("Passport: a user who is written into req.session.passport → a login, with its rules (R17)", async () => {
  const { visitor, sessions } = await app();
  const browser = visitor();
  await browser.ask("/cart/tea");
  const planted = browser.cookie;
  await browser.ask("/become/ada");
  assert.notEqual(browser.cookie, planted);
  assert.deepEqual((({ passport, user, cart }) => [passport, user, cart])(await browser.home()), [
    "ada",
    "ada",
    "tea",
  ]);
  await browser.ask("/become/ben");
  assert.deepEqual((({ passport, user, cart }) => [passport, user, cart])(await browser.home()), [
    "ben",
    "ben",
    null,
  ]);
  assert.equal((await sessions.forUser("ada").list()).length, 0);
  await browser.ask("/become/nobody");
  assert.deepEqual((({ passport, user }) => [passport, user])(await browser.home()), [null, null]);
  assert.equal((await sessions.forUser("ben").list()).length, 0);
});

test("Passport: a session mounted without the option around one with it → Passport works inside", async () => {
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
  const passport = new Passport();
  const application = express();
  application.use(session(sessions), session(sessions, { passport }), passport.session());
  application.get("/", (_request, response) => void response.send("ok"));
  const { url, close } = await running(application.listen(0, "127.0.0.1"));
  closing.push(close);
  assert.equal((await new Visitor(url).ask("/")).status, 200);
});

for (const pkce of [false, true]) {
  test(`passport-oauth2 with state: true${pkce ? " and pkce" : ""} → the state survives the redirect, and the state of another visitor is refused`, async () => {
    const provider = createServer((request, response) => {
      request.resume().on("end", () => {
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ access_token: "token", token_type: "bearer" }));
      });
    }).listen(0, "127.0.0.1");
    const { url: authority, close } = await running(provider);
    closing.push(close);
    const { visitor } = await app({
      strategy: (passport) =>
        passport.use(
          new OAuth2Strategy(
            {
              authorizationURL: `${authority}/authorize`,
              tokenURL: `${authority}/token`,
              clientID: "shop",
              clientSecret: "secret",
              callbackURL: "/oauth",
              state: true,
              pkce,
            },
            (_access: string, _refresh: string, _profile: unknown, done: any) => done(null, { id: "ada" }),
          ),
        ),
    });
    const ada = visitor();
    const { location } = await ada.ask("/oauth");
    const state = new URL(location!).searchParams.get("state");
    assert.ok(state);
    const stranger = visitor();
    assert.notEqual((await stranger.ask(`/oauth?code=1&state=${state}`)).status, 302);
    assert.equal((await ada.ask(`/oauth?code=1&state=${state}`)).location, "/");
    assert.equal((await ada.home())["user"], "ada");
    assert.notEqual(
      (await ada.ask(`/oauth?code=1&state=${state}`)).location,
      "/",
      "a state is good for once",
    );
  });
}

test("passport-oauth2 with state: true, without the option → it fails by name", async () => {
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
  const passport = new Passport();
  passport.use(
    new OAuth2Strategy(
      {
        authorizationURL: "https://login.example.org/authorize",
        tokenURL: "https://login.example.org/token",
        clientID: "shop",
        clientSecret: "secret",
        state: true,
      },
      () => {},
    ),
  );
  const application = express();
  application.use(session(sessions), passport.authenticate("oauth2"));
  const answerError: ErrorRequestHandler = (error: Error, _request, response, _next) => {
    response.status(500).send(error.message);
  };
  application.use(answerError);
  const { url, close } = await running(application.listen(0, "127.0.0.1"));
  closing.push(close);
  const { status, text } = await new Visitor(url).ask("/");
  assert.equal(status, 500);
  assert.match(text, /oauth2:login\.example\.org.*\{ passport \}/);
});

test("Passport: misuse of the option → a TypeError at start-up", () => {
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
  assert.throws(() => session(sessions, { passport: true as never }), /requires the Passport instance/);
  assert.throws(() => session(sessions, { passport: new Passport(), property: "visitor" }), TypeError);
});
