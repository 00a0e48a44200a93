import { STATUS_CODES } from "node:http";
import type { Session } from "../../session/session.ts";
import { forbidStoringIn, writeResponseHeaders } from "../fetch.ts";
import { statusOf } from "../node/response-calls.ts";
import { controlFlowOf } from "./control-flow.ts";
import { outcomeOf, type Outcome } from "./outcome.ts";
import type { SharedManager } from "./shared.ts";

export type ErrorResponder = (error: unknown, request: Request) => Response | Promise<Response>;

/** One request to a route handler, or to the proxy. */
export interface Responding<Data> {
  readonly shared: SharedManager<Data>;
  readonly request: Request;
  load(): Promise<Session<Data>>;
  handler(session: Session<Data>): Response | Promise<Response>;
  /** Called when the response has a session cookie. */
  onCookie(response: Response, setCookie: string): void;
  readonly onError: ErrorResponder | undefined;
}

/** Loads the session, runs the handler, saves, and gives the response the headers of the session. */
export async function respond<Data>(responding: Responding<Data>): Promise<Response> {
  const { shared, load, handler } = responding;
  let session: Session<Data>;
  try {
    session = await load();
  } catch (error) {
    return fail(responding, error, true);
  }
  const outcome = await outcomeOf(() => shared.running.run(session, () => handler(session)));
  const response = await responseOf(responding, outcome);
  if (!(response instanceof Response)) return response; // Next.js says what is wrong with it
  let answer: Response;
  try {
    answer = await shared.sessions.commit(session, response);
  } catch (error) {
    return fail(responding, error, shared.effectOf(session).accessed);
  }
  const { setCookie } = shared.effectOf(session);
  if (setCookie !== null) responding.onCookie(answer, setCookie);
  return answer;
}

async function responseOf<Data>(
  { request, onError }: Responding<Data>,
  outcome: Outcome<Response>,
): Promise<Response> {
  if (outcome.ok) return outcome.value;
  const flow = controlFlowOf(outcome.error);
  if (flow?.kind === "redirect")
    return new Response(null, { status: flow.status, headers: { location: flow.location } });
  if (flow?.kind === "status") return new Response(null, { status: flow.status });
  if (onError === undefined) throw outcome.error;
  return onError(outcome.error, request);
}

async function fail<Data>(
  { shared, request, onError = plainError }: Responding<Data>,
  error: unknown,
  accessed: boolean,
): Promise<Response> {
  shared.response.forbidStoring();
  const response = await onError(error, request);
  writeResponseHeaders(response.headers, { accessed, setCookie: null });
  forbidStoringIn(response.headers);
  return response;
}

/** @throws `error`, for Next.js to report, unless it is about the store or a conflict */
function plainError(error: unknown): Response {
  const status = statusOf(error);
  if (status === 500) throw error;
  console.error(error);
  return new Response(STATUS_CODES[status], { status });
}
