/**
 * Sessions for plain `node:http`, `node:https` and the compatibility API of HTTP/2. The adapters of frameworks that
 * write to a Node response use the same guard.
 */
import { assertOptions, isFunction, isProxyTrust } from "../../shared/option-checks.ts";
import type { SessionData } from "../../session/data.ts";
import { commitForResponse, type SessionManager } from "../../manager.ts";
import { stateOf, type Session } from "../../session/session.ts";
import type { SessionState } from "../../session/state.ts";
import { settledWithoutStore } from "../../session/settled.ts";
import { assertManager } from "../assert-manager.ts";
import { nodeBounce, nodeDeviceAnswer, sendDeviceAnswer } from "../device.ts";
import type { Duration } from "../../shared/duration.ts";
import { freshGuard, type FreshOptions } from "../fresh.ts";
import { forbidStoring } from "../headers.ts";
import { warnOfInsecureRequest } from "../insecure-request.ts";
import { nodeRequest, sendChallenge } from "./challenge.ts";
import { addressOf, isSecure } from "./forwarded.ts";
import type { Guarded } from "./guarded-sessions.ts";
import { NodeHeaders } from "./node-headers.ts";
import { statusOf } from "./response-calls.ts";
import type { NodeRequest, NodeResponse } from "./request-types.ts";
import { ResponseGuard } from "./response-guard.ts";
import { isIdle, refuseNull } from "../state.ts";

export type { FreshOptions } from "../fresh.ts";
export type { NodeRequest, NodeResponse } from "./request-types.ts";

const nodeChecks = { trustProxy: isProxyTrust, onError: isFunction };

export interface NodeSessionOptions<Request = NodeRequest, Response = NodeResponse> {
  /**
   * Number of trusted proxies in front of this server, for `X-Forwarded-For` and `X-Forwarded-Proto`. `true` means 1.
   * Default 0: these headers are ignored, because any client can send them.
   */
  trustProxy?: boolean | number;
  /**
   * Answers in place of the handler if the session could not be saved (or, under `withSession`, loaded, or if the
   * handler threw). Nothing has been sent. Default: the error's status with a short text.
   */
  onError?: (error: unknown, request: Request, response: Response) => void;
}

/**
 * Loads the session of a request, and makes the response wait for its commit: the first byte is sent after the session
 * is saved (promise 4). A later change of the session is not saved and emits a process warning. If the client
 * disconnects and the handler starts no response, the session is not committed; if it starts one, the session is,
 * whether or not the client still listens.
 * @throws {StoreError} the store is unavailable; nothing was attached to the response
 */
export async function attachSession<Data = SessionData>(
  sessions: SessionManager<Data>,
  request: NodeRequest,
  response: NodeResponse,
  options: NodeSessionOptions = {},
): Promise<Session<Data>> {
  return (await attach(sessions, request, response, options)).session;
}

async function attach<Data>(
  sessions: SessionManager<Data>,
  request: NodeRequest,
  response: NodeResponse,
  options: NodeSessionOptions,
): Promise<{ session: Session<Data>; guarding: ResponseGuard }> {
  assertManager(sessions);
  assertOptions("attachSession", options, nodeChecks);
  const { onError = answerError } = options;
  const hops = Number(options.trustProxy ?? 0);
  const session = await sessions.load(request.headers.cookie, {
    address: addressOf(request, hops),
    userAgent: request.headers["user-agent"],
  });
  const guarding = guard(sessions, session, response, {
    onError: (error) => onError(error, request, response),
    isSecure: () => isSecure(request, hops),
    request,
  });
  return { session, guarding };
}

/**
 * Creates a request listener whose handler receives the session: `createServer(withSession(sessions, (request,
 * response, session) => …))`. Errors of the handler, also asynchronous ones, and of loading the session go to
 * `onError`.
 */
export function withSession<Data, Request extends NodeRequest, Response extends NodeResponse>(
  sessions: SessionManager<Data>,
  handler: (request: Request, response: Response, session: Session<Data>) => unknown,
  options: NodeSessionOptions<Request, Response> = {},
): (request: Request, response: Response) => void {
  assertManager(sessions);
  assertOptions("withSession", options, nodeChecks);
  const { onError = answerError } = options;
  return (request, response) => {
    const answer = (error: unknown) => {
      try {
        onError(error, request, response);
      } catch (failure) {
        response.destroy(failure as Error);
      }
    };
    const handle = async () => {
      const answering = nodeDeviceAnswer(sessions, request);
      if (answering !== null) return sendDeviceAnswer(response, await answering);
      const { session, guarding } = await attach(sessions, request, response, options as NodeSessionOptions);
      const bounced = nodeBounce(session, request);
      if (bounced !== null) return sendDeviceAnswer(response, bounced);
      let done: unknown;
      try {
        done = handler(request, response, session);
        if (!isPromise(done)) return; // callbacks may continue
        await done;
      } catch (error) {
        answer(error);
      }
      await guarding.handlerDone();
    };
    handle().catch(answer);
  };
}

/**
 * Answers the endpoint of device-bound sessions, for servers that call {@link attachSession}; {@link withSession} does it by
 * itself: `if (await answerDeviceBinding(sessions, request, response)) return;`. Returns false for every other request.
 * @throws {StoreError} the store is unavailable
 */
export async function answerDeviceBinding<Data>(
  sessions: SessionManager<Data>,
  request: NodeRequest,
  response: NodeResponse,
): Promise<boolean> {
  assertManager(sessions);
  const answering = nodeDeviceAnswer(sessions, request);
  if (answering !== null) sendDeviceAnswer(response, await answering);
  return answering !== null;
}

/**
 * A guard for handlers: `if (!fresh(request, response, session)) return;`. Returns true if the user proved who they are within
 * this time, by `session.login` or `session.elevate`. Otherwise it answers 401, or redirects pages and forms to `redirectTo`,
 * and returns false.
 */
export function requireFresh(
  within: Duration,
  options: FreshOptions = {},
): <Data>(request: NodeRequest, response: NodeResponse, session: Session<Data>) => boolean {
  const fresh = freshGuard(within, options);
  return (request, response, session) => {
    const challenge = fresh(session as Session<never>, nodeRequest(request));
    if (challenge !== null) sendChallenge(response, challenge);
    return challenge === null;
  };
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/** What an adapter knows of the request whose response waits. */
export interface GuardedRequest {
  onError(error: unknown): void;
  /** Whether the framework considers the request HTTPS. */
  isSecure(): boolean;
  /** For the warning about cookies that browsers drop. */
  readonly request: Pick<NodeRequest, "headers"> & {
    readonly socket: { readonly remoteAddress?: string | undefined };
  };
  /**
   * The current value of the property in which the adapter put the session: in other libraries, assigning null ends a
   * session.
   */
  current?(): unknown;
}

/** For the adapters: makes a response wait for the commit of a session that was loaded. */
export function guard<Data>(
  sessions: SessionManager<Data>,
  session: Session<Data>,
  response: object,
  of: GuardedRequest,
): ResponseGuard {
  const guarding = ResponseGuard.on(response, of);
  guarding.add(new GuardedSession(sessions as SessionManager<never>, session as Session<never>, of));
  return guarding;
}

/** A class rather than closures, because every request makes one. */
class GuardedSession implements Guarded {
  readonly state: SessionState;
  readonly #sessions: SessionManager<never>;
  readonly #session: Session<never>;
  readonly #of: GuardedRequest;
  /** The commit or update before the handler ran; any other is the application's, and perhaps in progress. */
  readonly #turn: unknown;

  constructor(sessions: SessionManager<never>, session: Session<never>, of: GuardedRequest) {
    this.state = stateOf(session);
    this.#sessions = sessions;
    this.#session = session;
    this.#of = of;
    this.#turn = this.state.turn;
  }

  isSettled(): boolean {
    const { state } = this;
    if (this.#of.current?.() === null) return false;
    return isIdle(state) || (state.turn === this.#turn && settledWithoutStore(state));
  }

  async commit(): Promise<string | null> {
    if (this.#of.current !== undefined) refuseNull(this.#of.current());
    return commitForResponse(this.#sessions, this.#session);
  }

  onCookie(setCookie: string): void {
    warnOfInsecureRequest(setCookie, () => {
      const { headers, socket } = this.#of.request;
      return {
        secure: this.#of.isSecure(),
        host: headers.host ?? text(headers[":authority"]),
        peer: socket.remoteAddress,
        header: (name) => text(headers[name]),
      };
    });
  }
}

/** Answers with the error's status and a short text, whatever the handler had set. */
export function answerError(error: unknown, _request: NodeRequest, response: NodeResponse): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = statusOf(error);
  for (const name of response.getHeaderNames()) {
    if (ofAnswer.test(name)) response.removeHeader(name);
  }
  response.statusCode = status;
  forbidStoring(new NodeHeaders(response));
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(status === 503 ? "Service unavailable\n" : "Internal server error\n");
}

/** Headers of the response that the error response replaces. */
const ofAnswer =
  /^(?:content-(?!security-policy)[a-z-]+|transfer-encoding|trailer|etag|last-modified|cache-control|location)$/;

function text(header: string | string[] | undefined): string | undefined {
  return header === undefined ? undefined : String(header);
}
