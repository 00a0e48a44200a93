/** Bytes of a request's body. A logout token has one or two thousand. */
const MOST_BYTES = 16_384;

/** Why a request carries no token. */
export class FormError extends Error {
  override readonly name = "FormError";
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/**
 * The `logout_token` of a form (OpenID Connect Back-Channel Logout 1.0 §2.5).
 * @throws {FormError} it is no form, too large, or does not have exactly one token
 */
export async function tokenIn(
  contentType: string | null,
  chunks: AsyncIterable<Uint8Array>,
): Promise<string> {
  assertForm(contentType);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new FormError(`The body is larger than ${MOST_BYTES} bytes.`, 413);
    parts.push(chunk);
  }
  return tokenOf(new URLSearchParams(new TextDecoder().decode(Buffer.concat(parts))));
}

/** The same of a body that a middleware has parsed, such as `express.urlencoded()`. */
export function parsedToken(contentType: string | null, body: unknown): string {
  assertForm(contentType);
  if (typeof body === "string" || body instanceof Uint8Array) {
    if (body.length > MOST_BYTES) throw new FormError(`The body is larger than ${MOST_BYTES} bytes.`, 413);
    return tokenOf(new URLSearchParams(typeof body === "string" ? body : new TextDecoder().decode(body)));
  }
  const { logout_token: token } = (body ?? {}) as { logout_token?: unknown };
  return assertToken(typeof token === "string" ? [token] : []);
}

function assertForm(contentType: string | null): void {
  const [type = ""] = (contentType ?? "").split(";");
  if (type.trim().toLowerCase() === "application/x-www-form-urlencoded") return;
  throw new FormError("The body must have the type application/x-www-form-urlencoded.");
}

function tokenOf(form: URLSearchParams): string {
  return assertToken(form.getAll("logout_token"));
}

function assertToken(tokens: readonly string[]): string {
  const [token] = tokens;
  if (token !== undefined && token !== "" && tokens.length === 1) return token;
  throw new FormError("The form must have one `logout_token`.");
}
