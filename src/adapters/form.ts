/** No form that this package reads is longer, in bytes. */
const MOST_BYTES = 16_384;

/** Why a request carries no form that can be used. */
export class FormError extends Error {
  override readonly name = "FormError";
  /** Of the response. */
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/**
 * The fields of a form in the body of a request.
 * @throws {FormError} it is no form (400), or too large (413)
 */
export async function formIn(
  contentType: string | null,
  chunks: AsyncIterable<Uint8Array>,
): Promise<URLSearchParams> {
  assertForm(contentType);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    assertLength(length);
    parts.push(chunk);
  }
  return new URLSearchParams(new TextDecoder().decode(Buffer.concat(parts)));
}

/** @throws {FormError} another type than that of a form */
export function assertForm(contentType: string | null): void {
  const [type = ""] = (contentType ?? "").split(";");
  if (type.trim().toLowerCase() === "application/x-www-form-urlencoded") return;
  throw new FormError("The body must have the type application/x-www-form-urlencoded.");
}

/** @throws {FormError} a body of this many bytes is too large */
export function assertLength(bytes: number): void {
  if (bytes > MOST_BYTES) throw new FormError(`The body is larger than ${MOST_BYTES} bytes.`, 413);
}
