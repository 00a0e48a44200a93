import type { Session } from "../session/session.ts";
import { withMutableHeaders } from "./fetch-response.ts";
import { forbidStoringIn, writeResponseHeaders } from "./fetch.ts";
import type { FetchRequest } from "./fresh.ts";
import { http } from "./node/http.ts";
import { statusOf } from "./node/response-calls.ts";
import type { SharedManager } from "./shared-manager.ts";

/** One request of a framework that hands over a `Request` and takes a `Response`. */
export interface Responding<Data> {
  readonly shared: Pick<SharedManager<Data>, "sessions" | "effectOf" | "isChanged" | "bounceOf">;
  readonly headers: Pick<Headers, "get">;
  /** Called before a prefetch is answered without what its handler did. */
  onPostponed?(): void;
  readonly request: FetchRequest;
  load(): Promise<Session<Data>>;
  /** Makes the response. If it throws, nothing is saved. */
  handler(session: Session<Data>): Promise<Response>;
  /** Responds if the session could not be loaded or saved. */
  onError(error: unknown): Response | Promise<Response>;
}

/** Loads the session, runs the handler, saves, and gives the response the headers of the session. */
export async function respond<Data>(responding: Responding<Data>): Promise<Response> {
  const { shared, request, headers, load, handler } = responding;
  let session: Session<Data>;
  try {
    const answer = await shared.sessions.deviceBinding(request);
    if (answer !== null) return answer;
    session = await load();
  } catch (error) {
    return fail(responding, error, true);
  }
  const bounced = shared.bounceOf(session, request);
  if (bounced !== null) return bounced;
  const response = await handler(session);
  if (!(response instanceof Response)) return response; // the framework says what is wrong with it
  if (isSpeculative(headers) && shared.isChanged(session)) {
    responding.onPostponed?.();
    return notYet(response);
  }
  try {
    return await shared.sessions.commit(session, response);
  } catch (error) {
    return fail(responding, error, shared.effectOf(session).accessed);
  }
}

async function fail<Data>(
  { onError }: Responding<Data>,
  error: unknown,
  accessed: boolean,
): Promise<Response> {
  const response = withMutableHeaders(await onError(error));
  writeResponseHeaders(response.headers, { accessed, setCookie: null });
  forbidStoringIn(response.headers);
  return response;
}

/** Whether a browser only prepares for a navigation that may never happen. */
export function isSpeculative(headers: Pick<Headers, "get">): boolean {
  const purpose = headers.get("sec-purpose") ?? headers.get("purpose");
  return purpose !== null && /^prefetch\b/i.test(purpose);
}

/**
 * A prefetch must not change a session: the visitor may never see the page. With this answer, the browser requests the page
 * again when the visitor goes there.
 */
function notYet(response: Response): Response {
  response.body?.cancel().catch(() => {}); // rejects if the stream has a reader
  return new Response(null, { status: 503, headers: { "cache-control": "no-store", vary: "Cookie" } });
}

/**
 * Logs errors of the store and conflicts, and responds with their status and a short text.
 * @throws `error`, for the framework to report, if it is any other
 */
export function plainError(error: unknown): Response {
  const status = statusOf(error);
  if (status === 500) throw error;
  console.error(error);
  return new Response(http().STATUS_CODES[status], { status });
}
