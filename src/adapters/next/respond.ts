import type { Session } from "../../session/session.ts";
import { plainError, respond } from "../respond.ts";
import { controlFlowOf } from "./control-flow.ts";
import { outcomeOf, type Outcome } from "./outcome.ts";
import type { NextManager } from "./shared.ts";

export type ErrorResponder = (error: unknown, request: Request) => Response | Promise<Response>;

/** One request to a route handler, or to the proxy. */
export interface NextRequesting<Data> {
  readonly shared: NextManager<Data>;
  readonly request: Request;
  load(): Promise<Session<Data>>;
  handler(session: Session<Data>): Response | Promise<Response>;
  /** Called when the response has a session cookie. */
  onCookie(response: Response, setCookie: string): void;
  readonly onError: ErrorResponder | undefined;
}

/** Responds with what the handler returned, or with the redirect or status that it threw. */
export async function respondOfNext<Data>(requesting: NextRequesting<Data>): Promise<Response> {
  const { shared, request, load, handler, onCookie, onError = plainError } = requesting;
  let loaded: Session<Data> | undefined;
  const response = await respond({
    shared,
    request,
    headers: request.headers,
    load,
    onPostponed() {
      loaded = undefined;
      shared.response.forbidStoring(); // next.config.js may have made the path public
    },
    async handler(session) {
      loaded = session;
      const outcome = await outcomeOf(() => shared.running.run(session, () => handler(session)));
      return responseOf(requesting, outcome);
    },
    onError(error) {
      loaded = undefined;
      shared.response.forbidStoring();
      return onError(error, request);
    },
  });
  const setCookie = loaded === undefined ? null : shared.effectOf(loaded).setCookie;
  if (setCookie !== null) onCookie(response, setCookie);
  return response;
}

async function responseOf<Data>(
  { request, onError }: NextRequesting<Data>,
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
