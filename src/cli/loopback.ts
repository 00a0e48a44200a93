import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { parseCookie } from "cookie";
import { randomBytes } from "../sealing/random.ts";

/** A web server that only the person at this machine reaches, and only with the link. */
export interface Loopback {
  /** Works once: whoever opens it first is let in. */
  readonly link: string;
  close(): Promise<void>;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Serves pages on the loopback interface to one browser. Other users of the machine can connect to the port, so the first
 * request must bring the token of the link, which is then spent, and later ones the cookie that it was answered with. Requests
 * under another host name are refused, or a page elsewhere could reach this server by DNS rebinding.
 *
 * Browsers send a cookie to every port of a host, so servers of others on this machine would get it. It is therefore for a
 * path that only this browser knows. The prefix `__Host-` would forbid the path, and needs https.
 * @param listenerAt what to serve below this path, which is a secret
 * @param port 0 for any that is free
 */
export async function serveOnce(listenerAt: (path: string) => Listener, port: number): Promise<Loopback> {
  const path = `/${secret()}`;
  const listener = listenerAt(path);
  const cookie = secret();
  // With the port, so that a browser that remembers an old path still tells the commands apart.
  const cookieName = (): string => `stored-session-operator-${portOf(server)}`;
  let token: string | null = secret();
  const server = createServer((request, response) => {
    const refuse = (status: number, text: string): void => {
      response.writeHead(status, {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-store",
      });
      response.end(`${text}\n`);
    };
    if (request.headers.host !== hostOf(server))
      return refuse(421, "Open the link that the command printed.");
    // Anything may be sent here as a path, also by those who do not have the link: "*", or a whole URL.
    const url = request.url?.startsWith("/") ? URL.parse(`http://${hostOf(server)}${request.url}`) : null;
    if (url === null) return refuse(400, "This is not a path.");
    const given = url.searchParams.get("token");
    if (url.pathname === "/" && given !== null) {
      if (token === null || !isSame(given, token)) {
        return refuse(403, "This link was used before. Start the command again for another one.");
      }
      token = null;
      response.writeHead(303, {
        location: `${path}/`,
        "set-cookie": `${cookieName()}=${cookie}; HttpOnly; SameSite=Strict; Path=${path}`,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
      });
      return void response.end();
    }
    if (!isSame(parseCookie(request.headers.cookie ?? "")[cookieName()] ?? "", cookie)) {
      return refuse(403, "Open the link that the command printed.");
    }
    listener(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    link: `http://${hostOf(server)}/?token=${token}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function hostOf(server: Server): string {
  return `127.0.0.1:${portOf(server)}`;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function secret(): string {
  return Buffer.from(randomBytes(32)).toString("base64url");
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
