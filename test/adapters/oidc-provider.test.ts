/** The example of docs/oidc-logout.md with the npm package `oidc-provider` on this machine: sign in, log out there (R64). */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";
import { Provider } from "oidc-provider";
import { afterEach, test } from "vitest";
import { createSessionManager, memoryStore, type SessionManager } from "../../src/index.ts";
import { testKeys } from "../session/doubles.ts";

const root = new URL("../..", import.meta.url).pathname;
const clientId = "shop";
const secret = "a secret of the client";

let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

async function listen(handler: RequestListener): Promise<{ at: string; server: Server }> {
  const server = createServer(handler).listen(0, "localhost");
  ends.push(() => (server.closeAllConnections(), server.close()));
  await once(server, "listening");
  return { at: `http://localhost:${(server.address() as AddressInfo).port}`, server };
}

/** A browser: follows redirects, and keeps the cookies of each origin. */
class Browser {
  readonly #cookies = new Map<string, Map<string, string>>();

  async go(
    url: string,
    form?: Record<string, string>,
  ): Promise<{ url: string; status: number; text: string }> {
    let [at, body] = [new URL(url), form && new URLSearchParams(form).toString()];
    for (let hop = 0; hop < 20; hop++) {
      const jar = this.#cookies.get(at.origin) ?? new Map<string, string>();
      this.#cookies.set(at.origin, jar);
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
      const response = await fetch(at, {
        method: body === undefined ? "GET" : "POST",
        redirect: "manual",
        headers: {
          cookie,
          ...(body !== undefined && { "content-type": "application/x-www-form-urlencoded" }),
        },
        ...(body !== undefined && { body }),
      });
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
        if (value === "") jar.delete(name!);
        else jar.set(name!, value!);
      }
      const location = response.headers.get("location");
      if (location === null) return { url: at.href, status: response.status, text: await response.text() };
      at = new URL(location, at);
      body = undefined;
    }
    throw new Error(`Too many redirects at ${at.href}`);
  }
}

/** The provider, which logs everybody in as the user that `login_hint` names. */
async function provide(appAt: string): Promise<{ issuer: string; sent: string[] }> {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  let provider: Provider;
  const { at: issuer } = await listen((request, response) => {
    const work = request.url!.startsWith("/interaction/") ? interact(request, response) : null;
    if (work === null) void provider.callback()(request, response);
    else work.catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: secret,
        redirect_uris: [`${appAt}/callback`],
        backchannel_logout_uri: `${appAt}/backchannel-logout`,
        backchannel_logout_session_required: true,
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: "provider", alg: "RS256", use: "sig" }] },
    cookies: { keys: ["a key of the provider's cookies"] },
    pkce: { required: () => false },
    features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: false } },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    // Its own refuses addresses of this machine.
    fetch: (url: string, options: object) => fetch(url, { ...options, dispatcher: undefined } as never),
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  } as never);
  const sent: string[] = [];
  provider.on("backchannel.success", () => void sent.push("accepted"));
  provider.on("backchannel.error", (_context: unknown, error: unknown) => void sent.push(String(error)));

  async function interact(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    if (prompt.name === "login") {
      const login = { accountId: params["login_hint"] as string };
      return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
    }
    const grant =
      (grantId === undefined ? undefined : await provider.Grant.find(grantId)) ??
      new provider.Grant({ accountId: session!.accountId, clientId });
    grant.addOIDCScope("openid");
    const consent = { grantId: await grant.save() };
    return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
  }
  return { issuer, sent };
}

/** The code of the page as an application has it, with what it declares from here. */
async function example(sessions: SessionManager<any>, claimsOf: unknown): Promise<RequestListener> {
  const page = readFileSync(join(root, "docs/oidc-logout.md"), "utf8");
  const [, code] = /^```ts\n(import express.*?)^```$/ms.exec(page)!;
  const folder = mkdtempSync(join(tmpdir(), "stored-session-oidc-"));
  ends.push(() => rmSync(folder, { recursive: true }));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  Object.assign(globalThis, { example: { sessions, claimsOf } });
  const text = code!
    .replace(/"stored-session\/(\w+)"/g, (_, name) => JSON.stringify(join(root, `src/adapters/${name}.ts`)))
    .replace(
      'import { sessions } from "./sessions.ts";',
      "const { sessions, claimsOf } = globalThis.example;",
    )
    .replace(/^declare function claimsOf.*\n/m, "");
  assert.ok(!text.includes("declare") && !text.includes("./sessions.ts"));
  const file = join(folder, "app.ts");
  writeFileSync(file, text);
  return ((await import(pathToFileURL(file).href)) as { app: RequestListener }).app;
}

test(
  "R64: sign in at a provider, log out there → the session of the application ends, and others do not",
  { timeout: 60_000 },
  async () => {
    const sessions = createSessionManager<any>({
      store: memoryStore(),
      keys: testKeys,
      cookie: { secure: false },
    });
    let app: RequestListener | null = null;
    const { at } = await listen((request, response) => app!(request, response));
    const { issuer, sent } = await provide(at);
    const callback = `${at}/callback`;

    /** Exchanges the code for an ID token and verifies it, as an OpenID Connect library does. */
    const claimsOf = async (request: { query: { code: string } }) => {
      const answer = await fetch(`${issuer}/token`, {
        method: "POST",
        headers: {
          authorization: `Basic ${Buffer.from(`${clientId}:${encodeURIComponent(secret)}`).toString("base64")}`,
        },
        body: new URLSearchParams({
          grant_type: "authorization_code",
          code: request.query.code,
          redirect_uri: callback,
        }),
      });
      const { id_token: idToken } = (await answer.json()) as { id_token: string };
      const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
      const { payload } = await jwtVerify(idToken, keys, { issuer, audience: clientId });
      return payload;
    };
    process.env["OIDC_ISSUER"] = issuer;
    process.env["OIDC_CLIENT_ID"] = clientId;
    process.env["OIDC_JWKS_URI"] = `${issuer}/jwks`;
    app = await example(sessions, claimsOf);

    const signIn = async (user: string): Promise<Browser> => {
      const browser = new Browser();
      const query = new URLSearchParams({
        client_id: clientId,
        response_type: "code",
        scope: "openid",
        redirect_uri: callback,
        login_hint: user,
      });
      const page = await browser.go(`${issuer}/auth?${query}`);
      assert.deepEqual([page.url, page.status, page.text], [`${at}/`, 200, user]);
      return browser;
    };
    const [laptop, phone, other] = [await signIn("ann"), await signIn("ann"), await signIn("bob")];
    const shown = async () =>
      Promise.all([laptop, phone, other].map(async (one) => (await one.go(`${at}/`)).text));
    assert.deepEqual(await shown(), ["ann", "ann", "bob"]);

    const page = await laptop.go(`${issuer}/session/end`);
    const [, xsrf] = /name="xsrf" value="([^"]+)"/.exec(page.text)!;
    const done = await laptop.go(`${issuer}/session/end/confirm`, { xsrf: xsrf!, logout: "yes" });
    assert.equal(done.status, 200, done.text);
    assert.deepEqual(sent, ["accepted"]);
    assert.deepEqual(await shown(), ["nobody", "ann", "bob"]);
  },
);
