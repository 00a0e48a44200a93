/** The example of docs/oidc-logout.md with the npm package `oidc-provider` on this machine: sign in, log out there (R64). */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { test } from "vitest";
import { createSessionManager, memoryStore, type SessionManager } from "../../src/index.ts";
import { testKeys } from "../session/doubles.ts";
import { Browser, clientId, listen, onEnd, provide, secret } from "./oidc-loopback.ts";

const root = new URL("../..", import.meta.url).pathname;
/** The code of the page as an application has it, with what it declares from here. */
async function example(sessions: SessionManager<any>, claimsOf: unknown): Promise<RequestListener> {
  const page = readFileSync(join(root, "docs/oidc-logout.md"), "utf8");
  const [, code] = /^```ts\n(import express.*?)^```$/ms.exec(page)!;
  const folder = mkdtempSync(join(tmpdir(), "stored-session-oidc-"));
  onEnd(() => rmSync(folder, { recursive: true }));
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
    const { issuer, sent } = await provide(at, "/callback");
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
