/** An OpenID Connect provider on this machine, by the npm package `oidc-provider`, and a browser for it. */
import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";
import { afterEach } from "vitest";

export const clientId = "shop";
export const secret = "a secret of the client";

let ends: (() => void)[] = [];
/** Registers what is to be done after the test. */
export function onEnd(work: () => void): void {
  ends.push(work);
}
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

export async function listen(handler: RequestListener): Promise<{ at: string; server: Server }> {
  const server = createServer(handler).listen(0, "localhost");
  onEnd(() => (server.closeAllConnections(), server.close()));
  await once(server, "listening");
  return { at: `http://localhost:${(server.address() as AddressInfo).port}`, server };
}

/** A browser: follows redirects, and keeps the cookies of each origin. */
export class Browser {
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
export async function provide(appAt: string, callback: string): Promise<{ issuer: string; sent: string[] }> {
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
        redirect_uris: [`${appAt}${callback}`],
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
