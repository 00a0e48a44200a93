/** Logout tokens of an identity provider (OpenID Connect Back-Channel Logout 1.0): R64. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { UnsecuredJWT, SignJWT } from "jose";
import { afterEach, beforeAll, beforeEach, describe, test, vi } from "vitest";
import { createSessionManager, memoryStore, type SessionManager } from "../../src/index.ts";
import {
  backChannelLogout,
  oidcLinks,
  type BackChannelLogout,
  type BackChannelLogoutOptions,
} from "../../src/adapters/oidc.ts";
import { recordsOf } from "../../src/manager.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { cookieOf, testKeys } from "../session/doubles.ts";
import { clientId, EVENT, issuer, signingKey, tokenOf, type SigningKey } from "./oidc-tokens.ts";

let key: SigningKey;
let other: SigningKey;
beforeAll(async () => {
  [key, other] = await Promise.all([signingKey("one"), signingKey("two")]);
});

let now: number;
let watched: WatchedStore;
let sessions: SessionManager<any>;
let servers: Server[];
beforeEach(() => {
  now = 1_800_000_000_400;
  watched = new WatchedStore(memoryStore());
  sessions = createSessionManager<any>({ store: watched.store, keys: testKeys, clock: () => now });
  servers = [];
});
afterEach(() => {
  vi.useRealTimers();
  for (const server of servers) server.close();
});

function receiver(options: Partial<BackChannelLogoutOptions> = {}): BackChannelLogout {
  const source = options.jwksUri === undefined ? { jwks: { keys: [key.jwk] } } : {};
  return backChannelLogout({ sessions, issuer, clientId, ...source, ...options });
}

async function login(claims: { sub: string; sid?: string }): Promise<string> {
  const session = await sessions.load(null);
  session.login(claims.sub, { links: oidcLinks({ iss: issuer, ...claims }) });
  return cookieOf(await sessions.commit(session));
}

const userOf = async (cookie: string): Promise<string | undefined> => (await sessions.load(cookie)).user;

const form = { "content-type": "application/x-www-form-urlencoded" };
const bodyOf = (token: string): string => new URLSearchParams({ logout_token: token }).toString();

function post(
  logout: BackChannelLogout,
  body: string,
  headers: Record<string, string> = form,
): Promise<Response> {
  return logout(new Request("https://shop.example/backchannel-logout", { method: "POST", headers, body }));
}

const send = (logout: BackChannelLogout, token: string): Promise<Response> => post(logout, bodyOf(token));

async function listen(handler: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(handler!).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("R64: a token with a sid → ends that session, and no other", async () => {
  const [mine, elsewhere, others] = [
    await login({ sub: "1", sid: "a" }),
    await login({ sub: "1", sid: "b" }),
    await login({ sub: "2", sid: "c" }),
  ];
  const response = await send(receiver(), await tokenOf(key, now, { sid: "a", sub: "1" }));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(await response.text(), "");
  assert.deepEqual(
    [await userOf(mine), await userOf(elsewhere), await userOf(others)],
    [undefined, "1", "2"],
  );
});

test("R64: a token with only a sub → ends all sessions of that user at that provider", async () => {
  const mine = [await login({ sub: "1", sid: "a" }), await login({ sub: "1" })];
  const others = await login({ sub: "2", sid: "c" });
  assert.equal((await send(receiver(), await tokenOf(key, now, { sub: "1" }))).status, 200);
  for (const cookie of mine) assert.equal(await userOf(cookie), undefined);
  assert.equal(await userOf(others), "2");
});

test("R64: a token for nobody here, and one with several audiences → 200", async () => {
  const logout = receiver({ clientId: ["other", clientId] });
  assert.equal((await send(logout, await tokenOf(key, now, { sid: "nobody" }))).status, 200);
  assert.equal((await send(logout, await tokenOf(key, now, { sid: "x", aud: ["y", clientId] }))).status, 200);
  assert.equal((await send(logout, await tokenOf(key, now, { sid: "x", exp: undefined }))).status, 200);
  for (const typ of ["JWT", "application/logout+jwt", undefined])
    assert.equal((await send(logout, await tokenOf(key, now, { sid: "x" }, { typ }))).status, 200);
});

test("R64: links of the application's own → found by `link`", async () => {
  const session = await sessions.load(null);
  session.login("1", { links: { idp: "tenant 7 / s1" } });
  const cookie = cookieOf(await sessions.commit(session));
  const logout = receiver({ link: ({ sid }) => ({ idp: `tenant 7 / ${sid}` }) });
  assert.equal((await send(logout, await tokenOf(key, now, { sid: "s1" }))).status, 200);
  assert.equal(await userOf(cookie), undefined);
});

describe("tokens that are not valid", () => {
  const iat = () => Math.floor(now / 1_000);
  const wrong: Record<string, [reason: string, token: () => string | Promise<string>]> = {
    "no token at all": ["malformed", () => "x"],
    "three parts of nothing": ["malformed", () => "e30.e30.e30"],
    "alg none": [
      "algorithm",
      () =>
        new UnsecuredJWT({
          iss: issuer,
          aud: clientId,
          iat: iat(),
          jti: "1",
          sid: "a",
          events: { [EVENT]: {} },
        }).encode(),
    ],
    "HS256 with the public key as secret": [
      "algorithm",
      () =>
        new SignJWT({ iss: issuer, aud: clientId, iat: iat(), jti: "1", sid: "a", events: { [EVENT]: {} } })
          .setProtectedHeader({ alg: "HS256", kid: key.kid })
          .sign(Buffer.from(JSON.stringify(key.jwk))),
    ],
    "a key that is not the provider's": ["key", () => tokenOf(other, now, { sid: "a" })],
    "another key under the same name": [
      "signature",
      () => tokenOf({ ...other, kid: key.kid }, now, { sid: "a" }),
    ],
    "an edited payload": [
      "signature",
      async () => {
        const [head, , tail] = (await tokenOf(key, now, { sid: "b" })).split(".");
        const [, body] = (await tokenOf(key, now, { sid: "a" })).split(".");
        return `${head}.${body}.${tail}`;
      },
    ],
    "another issuer": ["issuer", () => tokenOf(key, now, { sid: "a", iss: "https://idp.example/" })],
    "no issuer": ["issuer", () => tokenOf(key, now, { sid: "a", iss: undefined })],
    "another client": ["audience", () => tokenOf(key, now, { sid: "a", aud: "blog" })],
    "no client": ["audience", () => tokenOf(key, now, { sid: "a", aud: undefined })],
    expired: ["time", () => tokenOf(key, now, { sid: "a", iat: iat() - 60, exp: iat() - 11 })],
    "from the future": ["time", () => tokenOf(key, now, { sid: "a", iat: iat() + 12 })],
    "too old": ["time", () => tokenOf(key, now, { sid: "a", iat: iat() - 312, exp: iat() + 60 })],
    "no time of issue": ["time", () => tokenOf(key, now, { sid: "a", iat: undefined })],
    "no jti": ["claims", () => tokenOf(key, now, { sid: "a", jti: undefined })],
    "an empty jti": ["claims", () => tokenOf(key, now, { sid: "a", jti: "" })],
    "no events": ["event", () => tokenOf(key, now, { sid: "a", events: undefined })],
    "other events": ["event", () => tokenOf(key, now, { sid: "a", events: { other: {} } })],
    "an event that is no object": ["event", () => tokenOf(key, now, { sid: "a", events: { [EVENT]: "x" } })],
    "a nonce": ["nonce", () => tokenOf(key, now, { sid: "a", nonce: "n" })],
    "neither sid nor sub": ["subject", () => tokenOf(key, now, {})],
    "a sid that is no text": ["subject", () => tokenOf(key, now, { sid: 7, sub: "1" })],
    "a sid that is too long": ["subject", () => tokenOf(key, now, { sid: "x".repeat(256) })],
    "a sid with a lone surrogate": ["subject", () => tokenOf(key, now, { sid: "\ud800" })],
    "an access token": ["type", () => tokenOf(key, now, { sid: "a" }, { typ: "at+jwt" })],
  };
  test.each(Object.entries(wrong))("R64: %s → 400, and the session stays", async (_what, [reason, make]) => {
    const cookie = await login({ sub: "1", sid: "a" });
    const errors: any[] = [];
    const token = await make();
    const response = await send(receiver({ onError: (error) => errors.push(error) }), token);
    assert.equal(response.status, 400);
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.equal(response.headers.get("content-type"), "application/json");
    const { error, error_description: description } = (await response.json()) as Record<string, string>;
    assert.equal(error, "invalid_request");
    assert.ok(description!.length > 10);
    assert.deepEqual([errors.length, errors[0].name, errors[0].reason], [1, "LogoutTokenError", reason]);
    assert.ok(!String(errors[0].stack).includes(token) && !description!.includes(token));
    assert.equal(await userOf(cookie), "1");
  });

  test("R64: an algorithm that was left out of `algorithms` → 400", async () => {
    const logout = receiver({ algorithms: ["RS256"] });
    assert.equal((await send(logout, await tokenOf(key, now, { sid: "a" }))).status, 400);
  });

  test("R49: with the audit trail → counted by reason, and each session that ends is an event", async () => {
    sessions = createSessionManager<any>({
      store: memoryStore(),
      keys: testKeys,
      clock: () => now,
      audit: true,
    });
    await login({ sub: "1", sid: "a" });
    const logout = receiver();
    for (let nth = 0; nth < 3; nth++) await send(logout, await tokenOf(other, now, { sid: "a" }));
    await send(logout, await tokenOf(key, now, { sid: "a", nonce: "n" }));
    await send(logout, await tokenOf(key, now, { sid: "a" }));
    await recordsOf(sessions as never).recorder!.trail.close();
    const events = [];
    for await (const event of sessions.audit.list({ types: ["refusal", "session.revoked"] }))
      events.push(event);
    const refusals = events
      .filter(({ type }) => type === "refusal")
      .map(({ reason, count }) => [reason, count]);
    assert.deepEqual(refusals.toSorted(), [
      ["logout token: key", 3],
      ["logout token: nonce", 1],
    ]);
    const revoked = events.filter(({ type }) => type === "session.revoked");
    assert.deepEqual(
      revoked.map(({ user, actor, reason }) => [user, actor, reason]),
      [["1", issuer, "back-channel logout"]],
    );
  });
});

describe("replays", () => {
  test("R64: the same token again → 400 in this process", async () => {
    const logout = receiver();
    const token = await tokenOf(key, now, { sid: "a" });
    assert.equal((await send(logout, token)).status, 200);
    const cookie = await login({ sub: "1", sid: "a" });
    assert.equal((await send(logout, token)).status, 400);
    assert.equal(await userOf(cookie), "1");
  });

  test.each([{ sid: "a" }, { sub: "1" }])(
    "R64: %o in another process, after the next login → ends nothing",
    async (claims) => {
      const old = await login({ sub: "1", sid: "a" });
      now += 60_000;
      const token = await tokenOf(key, now, claims);
      assert.equal((await send(receiver(), token)).status, 200);
      assert.equal(await userOf(old), undefined);
      now += 11_000;
      const cookie = await login({ sub: "1", sid: "a" });
      assert.equal((await send(receiver(), token)).status, 200);
      assert.equal(await userOf(cookie), "1");
    },
  );

  test("R64: a logout in the second of the login, on a server whose clock is ahead → ends the session", async () => {
    const cookie = await login({ sub: "1", sid: "a" });
    assert.equal((await send(receiver(), await tokenOf(key, now - 9_000, { sid: "a" }))).status, 200);
    assert.equal(await userOf(cookie), undefined);
  });

  test("R64: no clock tolerance → only logins up to the second of the token's issue", async () => {
    const cookie = await login({ sub: "1", sid: "a" });
    const logout = receiver({ clockTolerance: 0 });
    assert.equal((await send(logout, await tokenOf(key, now - 1_000, { sid: "a" }))).status, 200);
    assert.equal(await userOf(cookie), "1");
    assert.equal((await send(logout, await tokenOf(key, now, { sid: "a" }))).status, 200);
    assert.equal(await userOf(cookie), undefined);
  });

  test("R64 promise 10: tokens that were used → forgotten once they are too old, and never more than a bound", async () => {
    const { SeenTokens } = await import("../../src/adapters/oidc/seen-tokens.ts");
    const seen = new SeenTokens(() => now);
    for (let nth = 0; nth < 10_005; nth++) seen.add(`token ${nth}`, now + 1_000);
    assert.equal(seen.has("token 4"), false);
    assert.equal(seen.has("token 10004"), true);
    now += 1_001;
    seen.add("later", now + 1_000);
    assert.deepEqual([seen.has("token 10004"), seen.has("later")], [false, true]);
  });
});

describe("failures", () => {
  test("R64 promise 8: the store is down → 503, and the same token works later", async () => {
    const cookie = await login({ sub: "1", sid: "a" });
    const logout = receiver();
    const token = await tokenOf(key, now, { sid: "a" });
    watched.down("all");
    const response = await send(logout, token);
    assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "5"]);
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.equal(((await response.json()) as any).error, "temporarily_unavailable");
    watched.up();
    assert.equal((await send(logout, token)).status, 200);
    assert.equal(await userOf(cookie), undefined);
  });

  test("R64: the provider rotates its keys → the new key is fetched; while they are down → 503", async () => {
    let keys = [key.jwk];
    let isDown = true;
    let fetches = 0;
    const at = await listen((_request, response) => {
      fetches++;
      response.statusCode = isDown ? 500 : 200;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ keys }));
    });
    const logout = receiver({ jwksUri: `${at}/jwks` });
    const one = await tokenOf(key, now, { sid: "a" });
    assert.equal((await send(logout, one)).status, 503);
    isDown = false;
    assert.equal((await send(logout, one)).status, 200);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 6_000 });
    keys = [other.jwk];
    const before = fetches;
    assert.equal((await send(logout, await tokenOf(other, now, { sid: "a" }))).status, 200);
    assert.equal(fetches, before + 1);
    assert.equal(
      (await send(logout, await tokenOf(key, now, { sid: "a" }))).status,
      400,
      "the old key is gone",
    );
    assert.equal(fetches, before + 1, "tokens of unknown keys do not make it fetch each time");
  });

  test("R64: a link of the application's own that no login can have → an error of the application", async () => {
    const logout = receiver({ link: () => ({ idp: "" }) });
    await assert.rejects(send(logout, await tokenOf(key, now, { sid: "a" })), TypeError);
    const at = await listen((request, response) => {
      void logout.node(request, response, (error) => response.writeHead(500).end(String(error)));
    });
    const body = bodyOf(await tokenOf(key, now, { sid: "a" }));
    const response = await fetch(at, { method: "POST", headers: form, body });
    assert.deepEqual([response.status, /`links` takes/.test(await response.text())], [500, true]);
  });
});

describe("requests", () => {
  const large = `logout_token=${"x".repeat(17_000)}`;
  const cases: [string, number, () => Promise<Response>][] = [
    ["GET", 405, () => receiver()(new Request("https://shop.example/"))],
    ["JSON", 400, () => post(receiver(), "{}", { "content-type": "application/json" })],
    ["text", 400, () => post(receiver(), "logout_token=a", {})],
    ["no body", 400, () => post(receiver(), "")],
    ["two tokens", 400, () => post(receiver(), "logout_token=a&logout_token=b")],
    ["an empty token", 400, () => post(receiver(), "logout_token=")],
    ["a large body", 413, () => post(receiver(), large)],
  ];
  test.each(cases)("R64: %s → %i", async (_what, status, request) => {
    const response = await request();
    assert.equal(response.status, status);
    assert.equal(response.headers.get("allow"), status === 405 ? "POST" : null);
    assert.equal(((await response.json()) as any).error, "invalid_request");
    assert.deepEqual(watched.calls, []);
  });

  const mounts: Record<string, (logout: BackChannelLogout) => Parameters<typeof createServer>[1]> = {
    "node:http": (logout) => (request, response) => void logout.node(request, response),
    Express: (logout) => express().post("/", logout.node) as never,
    "Express after urlencoded()": (logout) =>
      express()
        .use(express.urlencoded({ limit: "1mb" }))
        .post("/", logout.node) as never,
    "Express after json() that leaves an empty body": (logout) =>
      express()
        .use((request, _response, next) => {
          request.body = {};
          next();
        })
        .post("/", logout.node) as never,
    "Express after text()": (logout) =>
      express()
        .use(express.text({ type: () => true }))
        .post("/", logout.node) as never,
    "Express after raw()": (logout) =>
      express()
        .use(express.raw({ type: () => true }))
        .post("/", logout.node) as never,
  };
  test.each(Object.entries(mounts))("R64: %s → the same answers", async (what, mount) => {
    const at = await listen(mount(receiver()));
    const ask = (body: string, headers: Record<string, string> = form) =>
      fetch(at, { method: "POST", headers, body });
    const cookie = await login({ sub: "1", sid: "a" });
    const response = await ask(bodyOf(await tokenOf(key, now, { sid: "a" })));
    assert.deepEqual([response.status, response.headers.get("cache-control")], [200, "no-store"]);
    assert.equal(await userOf(cookie), undefined);
    const refused = await ask(bodyOf(await tokenOf(other, now, { sid: "a" })));
    assert.deepEqual([refused.status, ((await refused.json()) as any).error], [400, "invalid_request"]);
    assert.equal((await ask("{}", { "content-type": "application/json" })).status, 400);
    assert.equal((await ask("a=b")).status, 400);
    assert.equal((await ask(large)).status, what.includes("urlencoded") ? 400 : 413);
    assert.equal((await ask(bodyOf(await tokenOf(key, now, { sid: "a" })))).status, 200);
    if (what === "node:http") assert.equal((await fetch(at)).status, 405);
  });
});

test("R64: options that are not valid → refused at once", () => {
  const wrong: Partial<Record<keyof BackChannelLogoutOptions | "secret", unknown>>[] = [
    { issuer: "" },
    { issuer: "x".repeat(256) },
    { clientId: [] },
    { clientId: "" },
    { jwks: undefined },
    { jwks: {} },
    { jwksUri: "https://idp.example/jwks", jwks: { keys: [] } },
    { jwks: undefined, jwksUri: "http://idp.example/jwks" },
    { jwks: undefined, jwksUri: "nonsense" },
    { algorithms: ["HS256"] },
    { algorithms: ["none"] },
    { algorithms: [] },
    { clockTolerance: "soon" },
    { maxAge: 0 },
    { link: "idp" },
    { secret: "x" },
    { sessions: {} },
  ];
  for (const one of wrong)
    assert.throws(
      () => receiver(one as never),
      /OptionsError|TypeError|backChannelLogout|SessionManager/,
      JSON.stringify(one),
    );
  assert.deepEqual(oidcLinks({ iss: "i", sub: "u", sid: "s" }), { "oidc.sub": "i|u", "oidc.sid": "i|s" });
  assert.deepEqual(oidcLinks({ iss: "i", sub: "u" }), { "oidc.sub": "i|u" });
});
