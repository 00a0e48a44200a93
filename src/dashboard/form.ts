/** A form that was not sent as this package sends it. */
export class FormError extends Error {
  readonly status: 413 | 415;

  constructor(status: 413 | 415, message: string) {
    super(message);
    this.status = status;
  }
}

/** No form of the dashboard is longer, in bytes. */
const LONGEST = 16_384;

/** @throws {FormError} it is too long, or no form */
export async function fieldsOf(request: Request): Promise<URLSearchParams> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
    throw new FormError(415, "The dashboard accepts forms only. Nothing was changed.");
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > LONGEST) throw new FormError(413, "This form is too long. Nothing was changed.");
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString());
}
