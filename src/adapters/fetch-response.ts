import { settledWithoutStore } from "../session/settled.ts";
import type { SessionState } from "../session/state.ts";

/**
 * Returns the response, or a copy if its headers are immutable, so that session headers can be added.
 * @throws {TypeError} the response cannot be sent, so the session would be saved without its cookie
 */
export function deliverableOf(response: Response, state: SessionState): Response {
  try {
    const { status } = response;
    if (status !== 101 && !(Number.isInteger(status) && status >= 200 && status <= 599))
      throw new RangeError(`Its status is ${status}.`);
    if (!settledWithoutStore(state) && isRead(response)) throw new TypeError("Its body was already read.");
    return withMutableHeaders(response);
  } catch (cause) {
    throw new TypeError(
      `This response cannot be sent with the session's headers. Nothing was saved. ${(cause as Error).message} Return a \`new Response(…)\`.`,
      { cause },
    );
  }
}

/** Headers of a response that came from fetch() or Response.redirect() are immutable. */
export function withMutableHeaders(response: Response): Response {
  const { headers } = response; // throws if the response cannot have headers
  try {
    headers.delete("x-stored-session"); // throws if they are immutable
    return response;
  } catch {
    return new Response(response.body, response);
  }
}

function isRead(response: Response): boolean {
  if (isUnopened(response)) return false;
  return response.bodyUsed || response.body?.locked === true;
}

/** A response of @hono/node-server whose body was not accessed. Accessing it would disable its fast path. */
function isUnopened(response: Response): boolean {
  return Object.getOwnPropertySymbols(response).some(({ description }) => description === "cache");
}
