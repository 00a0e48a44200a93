import { createHmac, timingSafeEqual } from "node:crypto";
import { randomBytes } from "../sealing/random.ts";

const TOKEN_BYTES = 32;
const KEY = "_csrf_token";
const GLOBAL = "!real_csrf_token";

/** The form that a per-form token (`config.action_controller.per_form_csrf_tokens`) is for. */
export interface RailsForm {
  /** Path the form is posted to, without a query: "/posts". */
  readonly path: string;
  /** "post", "patch", … */
  readonly method: string;
}

/**
 * An authenticity token for a form or an `X-CSRF-Token` header, as `form_authenticity_token` of Rails 6.1 and later
 * gives one: masked afresh on every call, so that compression does not reveal it (BREACH). The session's own
 * `_csrf_token` is made where there is none.
 * @param form gives a token that Rails accepts for this form only; without, one for all forms
 */
export function railsCsrfToken(data: Record<string, unknown>, form?: RailsForm): string {
  let real = decode(data[KEY]);
  if (real?.length !== TOKEN_BYTES) {
    real = Buffer.from(randomBytes(TOKEN_BYTES));
    data[KEY] = real.toString("base64url");
  }
  const pad = Buffer.from(randomBytes(TOKEN_BYTES));
  const raw = form === undefined ? hmac(real, GLOBAL) : hmac(real, formName(form));
  return Buffer.concat([pad, xor(pad, raw)]).toString("base64url");
}

/**
 * Whether a token from a form or a header belongs to this session. Takes what Rails takes: masked tokens for all
 * forms, masked and unmasked forms of the session's own token, in either alphabet of base64; and, where `form` says
 * which form was posted, a token for that form. Compares in constant time. False, never an error, for anything else.
 */
export function verifyRailsCsrfToken(
  data: Readonly<Record<string, unknown>>,
  token: unknown,
  form?: RailsForm,
): boolean {
  const real = decode(data[KEY]);
  const given = decode(token);
  if (real?.length !== TOKEN_BYTES || given === null) return false;
  if (given.length === TOKEN_BYTES) return timingSafeEqual(given, real);
  if (given.length !== 2 * TOKEN_BYTES) return false;
  const unmasked = xor(given.subarray(0, TOKEN_BYTES), given.subarray(TOKEN_BYTES));
  const accepted = [hmac(real, GLOBAL), real, ...(form === undefined ? [] : [hmac(real, formName(form))])];
  return accepted.reduce((found, candidate) => timingSafeEqual(unmasked, candidate) || found, false);
}

/** Bytes of canonical base64, padded or not; null for anything else. */
function decode(text: unknown): Buffer | null {
  if (typeof text !== "string" || text.length > 4 * TOKEN_BYTES) return null;
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Buffer.from(standard, "base64");
  const canonical = bytes.toString("base64");
  return standard === canonical || standard === canonical.replace(/=+$/, "") ? bytes : null;
}

function formName({ path, method }: RailsForm): string {
  return `${path.replace(/\/$/, "")}#${method.toLowerCase()}`;
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function xor(a: Uint8Array, b: Uint8Array): Buffer {
  const out = Buffer.from(a);
  for (let index = 0; index < out.length; index++) out[index] = (out[index] ?? 0) ^ (b[index] ?? 0);
  return out;
}
