import type { Lifecycle, Plugin, Request, RequestRoute, ResponseToolkit, Server } from "@hapi/hapi";
import type { SessionData } from "../session/data.ts";
import type { SessionManager } from "../manager.ts";
import type { Duration } from "../shared/duration.ts";
import type { Session } from "../session/session.ts";
import { assertManager } from "./assert-manager.ts";
import { nodeBounce, nodeDeviceAnswer } from "./device.ts";
import { freshGuard, type GuardOptions } from "./fresh.ts";
import { boomOf } from "./hapi/boom.ts";
import { sessionScheme } from "./hapi/scheme.ts";
import { sendHapi, hapiRequest } from "./hapi/challenge.ts";
import { onlySession, remember } from "./loaded.ts";
import { checkHead } from "./node/deliverable.ts";
import { addressOf, isSecure } from "./node/forwarded.ts";
import { answerError, guard } from "./node/node-response.ts";
import type { GuardedResponse } from "./node/response-calls.ts";
import type { ResponseGuard } from "./node/response-guard.ts";

export { sessionOf } from "./loaded.ts";
export type { FreshOptions, GuardOptions } from "./fresh.ts";
export type { SessionStrategyOptions } from "./hapi/scheme.ts";

declare module "@hapi/hapi" {
  interface Request {
    /** The visitor's session, loaded by the plugin. */
    session: Session<SessionData>;
  }
}

export interface HapiSessionOptions<Data = SessionData> {
  sessions: SessionManager<Data>;
  /** The property of the request that holds the session. Default "session". */
  property?: string;
  /**
   * Number of trusted proxies in front of this server, for `X-Forwarded-For` and `X-Forwarded-Proto`. `true` means 1.
   * Default 0: these headers are ignored, because any client can send them.
   */
  trustProxy?: boolean | number;
}

/** Managers by property, of each server. */
const served = new WeakMap<object, Map<string, unknown>>();

const guarding = Symbol("stored-session.guard");
type Guarded = Request & { [guarding]?: ResponseGuard };

/**
 * Plugin for hapi 21 that provides `request.session`: `await server.register({ plugin: storedSession, options: { sessions }
 * })`. Loads the session in `onRequest`, and commits it in `onPreResponse`, before the first byte of the response. Register
 * it before extensions that answer errors: they see a failed commit as `request.response`, a Boom error with the status 503
 * or 500. What later extensions change is committed with the first byte, and so is a response that a handler writes to
 * `request.raw.res` (`h.abandon`).
 *
 * It also registers the authentication scheme `stored-session`: see {@link SessionStrategyOptions}. Registering it again
 * with the same manager and property has no effect.
 */
export const storedSession: Plugin<HapiSessionOptions<any>> = {
  name: "stored-session",
  multiple: true,
  requirements: { hapi: ">=21" },
  register(server, options) {
    register(server, options as HapiSessionOptions);
  },
};

function register(server: Server, options: HapiSessionOptions): void {
  const { sessions, property = "session" } = options;
  if (sessions === undefined) {
    throw new TypeError(
      "server.register({ plugin: storedSession, options: { sessions } }): the `sessions` option is missing. Pass the result of createSessionManager(…).",
    );
  }
  assertManager(sessions);
  const managers = served.get(server.listener) ?? new Map<string, unknown>();
  if (managers.get(property) === (sessions as unknown)) return;
  // Refuses a name that hapi or another plugin uses.
  server.decorate("request", property as "session", null as never);
  if (managers.size === 0) server.auth.scheme("stored-session", sessionScheme);
  served.set(server.listener, managers.set(property, sessions));
  const hops = Number(options.trustProxy ?? 0);

  server.ext("onRequest", async (request: Guarded, h) => {
    const { req, res } = request.raw;
    const isHttps = () => server.info.protocol === "https" || isSecure(req, hops);
    void req.socket.remoteAddress; // cache the address on the socket, so that it is available after a disconnect
    let loaded: Session<SessionData>;
    try {
      const answering = nodeDeviceAnswer(sessions, req);
      if (answering !== null) return sendHapi(h, await answering);
      loaded = await sessions.load(req.headers.cookie, () => ({
        address: addressOf(req, hops),
        userAgent: req.headers["user-agent"],
      }));
    } catch (error) {
      throw boomOf(error);
    }
    const bounced = nodeBounce(loaded, req);
    if (bounced !== null) return sendHapi(h, bounced);
    remember(sessions, request, loaded);
    const properties = request as unknown as Record<string, unknown>;
    properties[property] = loaded;
    request[guarding] = guard(sessions, loaded, res, {
      onError(error) {
        // hapi is sending its response, or the handler its own.
        request.log(["error", "stored-session"], error as Error);
        answerError(error, req, res);
      },
      isSecure: isHttps,
      request: req,
      current: () => properties[property],
    });
    return h.continue;
  });

  server.ext("onPreResponse", async (request: Guarded, h) => {
    try {
      await request[guarding]?.commitNow(() => checkResponse(request));
    } catch (error) {
      // Returned, it would keep later extensions from answering it.
      const { response } = request;
      Object.assign(request, { response: boomOf(error) });
      (response as { _close?: () => void })["_close"]?.();
    }
    return h.continue;
  });

  for (const route of server.table()) watchHandler(route);
  server.events.on("route", watchHandler);
}

const watched = new WeakSet<object>();

/** hapi tells nobody when the handler of a client that disconnected has finished: its request is over by then. */
function watchHandler({ settings }: RequestRoute): void {
  const { handler } = settings;
  if (typeof handler !== "function" || watched.has(settings)) return;
  watched.add(settings);
  async function storedSessionHandler(this: unknown, request: Request, h: ResponseToolkit) {
    let answer: unknown;
    try {
      answer = await (handler as Lifecycle.Method).call(this as never, request, h);
      return answer as Lifecycle.ReturnValue;
    } finally {
      if (!request.active() && answer !== h.abandon) await leave(request);
    }
  }
  settings.handler = Object.defineProperty(storedSessionHandler, "name", { value: handler.name });
}

async function leave(request: Guarded): Promise<void> {
  try {
    await request[guarding]?.handlerDone();
  } catch (error) {
    request.log(["error", "stored-session"], error as Error);
  }
}

/** Throws if Node would reject the head, so that no session is saved for a response that cannot be sent. */
function checkResponse({ response, raw }: Request): void {
  if ("isBoom" in response) return;
  const { statusCode: status, headers, settings } = response;
  const { message } = settings as { message?: string };
  checkHead(raw.res as unknown as GuardedResponse, { status, message, headers });
}

/**
 * A prerequisite or extension that lets a request pass only if its user proved who they are within this time, by
 * `session.login` or `session.elevate`: `options: { pre: [requireFresh("5 min", { redirectTo: "/confirm" })] }`. Otherwise it
 * answers 401, or redirects pages and forms to `redirectTo`.
 */
export function requireFresh(within: Duration, options: GuardOptions = {}): Lifecycle.Method {
  const fresh = freshGuard(within, options);
  return function requireFreshSession(request: Request, h: ResponseToolkit) {
    const challenge = fresh(onlySession(request, options.sessions), hapiRequest(request));
    return challenge === null ? h.continue : sendHapi(h, challenge);
  };
}

export default storedSession;
