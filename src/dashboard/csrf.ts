import { timingSafeEqual } from "node:crypto";
import { parseCookie } from "cookie";
import { hash } from "../sealing/hash.ts";
import { label } from "../sealing/label.ts";
import { randomBytes } from "../sealing/random.ts";
import { stateOf } from "../session/session.ts";
import { publicPrefixOf, type DashboardAccess, type DashboardOptions } from "./options.ts";

const SECRET_BYTES = 32;
const LABEL = label("dashboard-form");

/** What ties a form to the browser that it was sent to. */
export interface FormBinding {
  /** Goes into each form, and must come back with it. */
  readonly token: string;
  /** The cookie to set, or null. */
  readonly setCookie: string | null;
}

/**
 * Tokens of forms, against cross-site request forgery. A token is a hash of a secret that only the operator's browser sends:
 * the secret of their session if `authorize` returned it, otherwise of a cookie of the dashboard's own. Processes need not
 * share anything for it.
 */
export function formBinding(
  request: Request,
  access: DashboardAccess,
  options: DashboardOptions,
): FormBinding {
  const own = access.session && stateOf(access.session as never).stored?.token.sid;
  if (own !== undefined) return { token: tokenOf(own, access.actor), setCookie: null };
  const isSecure =
    new URL(options.publicUrl ?? request.url).protocol === "https:" ||
    request.headers.get("x-forwarded-proto")?.split(",", 1)[0]?.trim() === "https";
  const name = isSecure ? "__Host-stored-session-dashboard" : "stored-session-dashboard";
  const sent = Buffer.from(parseCookie(request.headers.get("cookie") ?? "")[name] ?? "", "base64url");
  if (sent.length === SECRET_BYTES) return { token: tokenOf(sent, access.actor), setCookie: null };
  const secret = randomBytes(SECRET_BYTES);
  const attributes = isSecure ? "Path=/; Secure" : `Path=${publicPrefixOf(options) || "/"}`;
  const value = Buffer.from(secret).toString("base64url");
  return {
    token: tokenOf(secret, access.actor),
    // Not Strict: a page opened from a link in a chat would come without it, and get another, which spends the forms of every
    // other tab. It lets nobody in, and forms are accepted from the same origin only.
    setCookie: `${name}=${value}; ${attributes}; HttpOnly; SameSite=Lax`,
  };
}

export function isTokenOf(binding: FormBinding, given: unknown): boolean {
  if (typeof given !== "string" || binding.setCookie !== null) return false;
  const [expected, actual] = [Buffer.from(binding.token), Buffer.from(given)];
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

function tokenOf(secret: Uint8Array, actor: string): string {
  return hash("sha256", Buffer.concat([LABEL, secret, Buffer.from(actor)]), "base64url");
}

/**
 * Whether a page of another origin loads a page of the dashboard, as an image for instance, instead of leading the operator
 * there. It would learn nothing, but each look at a page is recorded in the operator's name.
 */
export function isFromElsewhere({ method, headers }: Request): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  const site = headers.get("sec-fetch-site");
  if (site !== "cross-site" && site !== "same-site") return false;
  return headers.get("sec-fetch-mode") !== "navigate" || headers.get("sec-fetch-dest") !== "document";
}

/**
 * Whether a browser sent this from a page of the dashboard. `Sec-Fetch-Site` says so where browsers send it (all since 2023);
 * otherwise `Origin`, which every browser adds to a POST, names the same host, or that of `publicUrl`.
 */
export function isSameOrigin(request: Request, { publicUrl }: DashboardOptions): boolean {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  if (site !== null && site !== "same-origin") return false;
  if (origin !== null && publicUrl !== undefined) return origin === new URL(publicUrl).origin;
  if (origin !== null) return URL.canParse(origin) && new URL(origin).host === hostOf(request);
  return site === "same-origin";
}

function hostOf(request: Request): string {
  return request.headers.get("host") ?? new URL(request.url).host;
}
