import { assertOptions, isFunction } from "../shared/option-checks.ts";
import type { AnyElysia, Elysia } from "elysia";
import { settingsOf, type SessionManager } from "../manager.ts";
import type { SessionData } from "../session/data.ts";
import { stateOf, type Session } from "../session/session.ts";
import type { Duration } from "../shared/duration.ts";
import { assertManager } from "./assert-manager.ts";
import {
  fetchSessions,
  forbidStoringIn,
  requireFresh as freshOfFetch,
  writeResponseHeaders,
  type FetchSessions,
} from "./fetch.ts";
import { bounceResponse, deviceResponse, mayBounce } from "./device.ts";
import type { GuardOptions } from "./fresh.ts";
import { withMutableHeaders } from "./fetch-response.ts";
import { loadedFor, onlySession, remember } from "./loaded.ts";

export type { FreshOptions, GuardOptions } from "./fresh.ts";

export interface ElysiaSessionOptions {
  /**
   * Returns the client address to store with a session. Called when a session is created. Default: the address of the
   * connection on Bun, none on other platforms.
   */
  address?: (context: { readonly request: Request }) => string | undefined;
}

/** What the plugin adds to an application: `session` in every context. */
export type ElysiaSession<Data = SessionData> = Elysia<
  "",
  { decorator: {}; store: {}; derive: { session: Session<Data> }; resolve: {} }
>;

/** As much of a context of Elysia as is used. */
interface Context {
  readonly request: Request;
  readonly server?: { requestIP?(request: Request): { address: string } | null } | null;
  readonly set: { headers: Record<string, unknown>; status?: unknown; cookie?: unknown };
}

/** What is known of a request. */
interface Arrival {
  context: Context;
  /** Address of the connection, asked for early: a connection that was cut has none. */
  peer: string | undefined;
  /** Headers of the response that were set before the handlers ran. */
  earlier: Record<string, unknown>;
}

interface Visit<Data> {
  readonly session: Session<Data>;
  readonly arrival: Arrival;
}

/** A method that the types of Elysia hide. Its compiled handlers call it in the same way. */
interface ErrorHandling {
  handleError(context: object, error: unknown): Promise<Response>;
}

type Handle = (request: Request, ...rest: unknown[]) => Response | Promise<Response>;

/**
 * Elysia plugin that provides `session` in every context: `new Elysia().use(storedSession(sessions))`. Loads the session before
 * the handlers of a route run and commits it when their response is made.
 *
 * If loading or saving fails, `onError` of the application handles the error and replaces the response. If a handler throws,
 * its changes are saved. Mounting it twice loads the session once.
 */
export function storedSession<Data>(
  sessions: SessionManager<Data>,
  options: ElysiaSessionOptions = {},
): (app: AnyElysia) => ElysiaSession<Data> {
  assertManager(sessions);
  assertOptions("storedSession", options, { address: isFunction });
  const fetched = fetchSessions(sessions);
  return (app) => {
    const visits = new WeakMap<Request, Visit<Data>>();
    const begin = async (context: Context): Promise<Session<Data>> => {
      const arrival = arrivalOf(context);
      const session = await load(fetched, arrival, options);
      remember(sessions, context.request, session);
      visits.set(context.request, { session, arrival });
      return session;
    };
    /** Requests whose session was loaded before their context was complete. */
    const early = new WeakSet<Request>();
    if (settingsOf(sessions as SessionManager<never>).device !== null)
      app.onRequest(async (given) => {
        const context = given as unknown as Context;
        const { request } = context;
        const answer = await deviceResponse(sessions, request);
        if (answer !== null) return answer;
        if (!mayBounce(sessions, request) || loadedFor(sessions, request) !== undefined) return undefined;
        early.add(request);
        return bounceResponse(await begin(context), request) ?? undefined;
      });
    app.derive({ as: "global" }, async (given) => {
      const context = given as unknown as Context;
      const { request } = context;
      if (early.delete(request)) Object.assign(visits.get(request)!.arrival, arrivalOf(context));
      return { session: loadedFor(sessions, request) ?? (await begin(context)) };
    });
    // Around everything, because Elysia makes responses in many places, and errors of its later hooks bypass `onError`.
    app.wrap(((handle: Handle) =>
      async (request: Request, ...rest: unknown[]) => {
        const response = await handle(request, ...rest);
        const visit = visits.get(request);
        return visit === undefined ? response : commit(app, fetched, visit, response);
      }) as never);
    return app as unknown as ElysiaSession<Data>;
  };
}

function arrivalOf(context: Context): Arrival {
  const { request, server, set } = context;
  return { context, peer: server?.requestIP?.(request)?.address, earlier: { ...set.headers } };
}

async function load<Data>(
  fetched: FetchSessions<Data>,
  arrival: Arrival,
  { address }: ElysiaSessionOptions,
): Promise<Session<Data>> {
  const { request, set } = arrival.context;
  try {
    return await fetched.load(request, () => ({
      address: address === undefined ? arrival.peer : address(arrival.context),
    }));
  } catch (error) {
    Object.assign(set.headers, { vary: "Cookie", "cache-control": "no-store" });
    throw error;
  }
}

async function commit<Data>(
  app: AnyElysia,
  fetched: FetchSessions<Data>,
  { session: loaded, arrival: { context, earlier } }: Visit<Data>,
  response: Response,
): Promise<Response> {
  try {
    return await fetched.commit(loaded, response);
  } catch (error) {
    // As the context was before the handlers ran.
    const fresh = {
      ...context,
      set: { headers: { ...earlier } },
      response: undefined,
      responseValue: undefined,
      code: undefined,
      error: undefined,
    };
    const { handleError } = app as unknown as Pick<ErrorHandling, "handleError">;
    const handled = await handleError(fresh, error);
    const answer = withMutableHeaders(handled);
    const { accessed } = stateOf(loaded as Session<never>);
    writeResponseHeaders(answer.headers, { accessed, setCookie: null });
    forbidStoringIn(answer.headers);
    return answer;
  }
}

/**
 * A hook that lets a request pass only if its user proved who they are within this time, by `session.login` or
 * `session.elevate`: `app.post("/email", handler, { beforeHandle: requireFresh("5 min", { redirectTo: "/confirm" }) })`.
 * Otherwise it answers 401, or redirects pages and forms to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: GuardOptions = {},
): (context: { readonly request: Request }) => Response | undefined {
  const fresh = freshOfFetch(within, options);
  return ({ request }) => fresh(onlySession(request, options.sessions), request) ?? undefined;
}
