import type { RequestHandler } from "express";
import type { SessionManager } from "stored-session";
import { dashboard, toNode } from "stored-session/dashboard";
import { host } from "./tls.ts";

export const operatorsPath = "/operators";

const ownHosts = new Set(["localhost", "127.0.0.1", host]);

/**
 * The dashboard. This server listens on the loopback interface only, so whoever reaches it sits at this machine, and is an
 * operator. The name in the address is checked all the same: a website could point a name of its own at 127.0.0.1 (DNS
 * rebinding), and read the pages from the visitor's browser. A real application asks who is logged in.
 */
export function operators(sessions: SessionManager): RequestHandler {
  const handler = dashboard({
    sessions,
    basePath: operatorsPath,
    authorize: (request) =>
      ownHosts.has(new URL(request.url).hostname)
        ? { actor: "operator@example.org", may: ["view", "audit", "revoke", "reveal", "export"] }
        : null,
  });
  return toNode(handler);
}
