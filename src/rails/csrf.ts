import { createHmac, timingSafeEqual } from "node:crypto";
import { randomBytes } from "../sealing/random.ts";

const TOKEN_BYTES = 32;
const KEY = "_csrf_token";
const GLOBAL = "!real_csrf_token";

/** The form that a per-form token (`config.action_controller.per_form_csrf_tokens`) is valid for. */
export interface RailsForm {
  /** The path that the form posts to, without a query: "/posts". */
  readonly path: string;
  /** "post", "patch", … */
  readonly method: string;
}

/**
 * Returns an authenticity token for a form or an `X-CSRF-Token` header, like `form_authenticity_token` of Rails 6.1 and
 * later. It is masked anew on every call, so that compression does not reveal it (BREACH). Creates the session's
 * `_csrf_token` if it is missing.
 * @param form restricts the token to this form. Default: valid for all forms
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
 * Whether a token from a form or header belongs to this session. Accepts what Rails accepts: masked tokens for all
 * forms, masked and unmasked forms of the session's own token, in both base64 alphabets; and, if `form` is the posted
 * form, a token for that form. Compares in constant time. Returns false for anything else and never throws.
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

/** Decodes canonical base64, padded or not. Null for anything else. */
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
