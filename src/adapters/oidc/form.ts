import { assertForm, assertLength, FormError, formIn } from "../form.ts";

/**
 * The `logout_token` of a form (OpenID Connect Back-Channel Logout 1.0 §2.5).
 * @throws {FormError} it is no form, too large, or does not have exactly one token
 */
export async function tokenIn(
  contentType: string | null,
  chunks: AsyncIterable<Uint8Array>,
): Promise<string> {
  return tokenOf(await formIn(contentType, chunks));
}

/** The same of a body that a middleware has parsed, such as `express.urlencoded()`. */
export function parsedToken(contentType: string | null, body: unknown): string {
  assertForm(contentType);
  if (typeof body === "string" || body instanceof Uint8Array) {
    assertLength(body.length);
    return tokenOf(new URLSearchParams(typeof body === "string" ? body : new TextDecoder().decode(body)));
  }
  const { logout_token: token } = (body ?? {}) as { logout_token?: unknown };
  return assertToken(typeof token === "string" ? [token] : []);
}

function tokenOf(form: URLSearchParams): string {
  return assertToken(form.getAll("logout_token"));
}

function assertToken(tokens: readonly string[]): string {
  const [token] = tokens;
  if (token !== undefined && token !== "" && tokens.length === 1) return token;
  throw new FormError("The form must have one `logout_token`.");
}
