import { assertOptions, isFunction } from "../shared/option-checks.ts";
import type { Context, MiddlewareHandler } from "hono";
import type { SessionData } from "../session/data.ts";
import type { Duration } from "../shared/duration.ts";
import { commitForResponse, settingsOf, type SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import { ofBody } from "./node/earlier-headers.ts";
import { http } from "./node/http.ts";
import { deliverableOf, withMutableHeaders } from "./fetch-response.ts";
import { forbidStoringIn, requireFresh as freshOfFetch, warn, writeResponseHeaders } from "./fetch.ts";
import { bounceResponse, deviceResponse } from "./device.ts";
import type { FreshOptions } from "./fresh.ts";
import type { SessionEffect } from "./headers.ts";
import { statusOf } from "./node/response-calls.ts";
import { isIdle, refuseNull, tellOfLateChanges } from "./state.ts";

export type { FreshOptions } from "./fresh.ts";

/** The variables that the middleware adds to `c.var`: `new Hono<SessionEnv<MyData>>()`. */
export interface SessionEnv<Data = SessionData> {
  Variables: { session: Session<Data> };
}

export interface HonoSessionOptions {
  /**
   * Returns the client address to store with the session. Called when a session is created. Default: the address of the
   * connection on @hono/node-server, none on other platforms.
   */
  address?: (c: Context) => string | undefined;
}

/**
 * Hono middleware that provides `c.var.session`. Loads the session before downstream handlers run and commits it afterwards,
 * before the response is sent.
 *
 * If loading or saving fails, `app.onError` handles the error and replaces the handler's response. If the handler throws,
 * its changes are saved. Mounting it twice loads the session once.
 */
export function session<Data>(
  sessions: SessionManager<Data>,
  options: HonoSessionOptions = {},
): MiddlewareHandler<SessionEnv<Data>> {
  assertOptions("session", options, { address: isFunction });
  const { address = connectionAddress } = options;
  const settings = settingsOf(sessions as SessionManager<never>);
  return async function storedSession(c, next) {
    const present = c.get("session") as Session<never> | undefined;
    if (present !== undefined && stateOf(present).settings === settings) {
      await next();
      return undefined;
    }
    const answering = deviceResponse(sessions, c.req.raw);
    if (answering !== null) {
      return answering.catch((error: unknown) => {
        answerWithStatus(c, error);
        throw error;
      });
    }
    void connectionAddress(c); // cache the address on the socket, so that it is available after a disconnect
    const client = () => ({ address: address(c), userAgent: c.req.header("user-agent") });
    const loaded = await sessions.load(c.req.header("cookie"), client).catch((error: unknown) => {
      answerWithStatus(c, error);
      throw error;
    });
    const bounced = bounceResponse(loaded, c.req.raw);
    if (bounced !== null) return bounced;
    c.set("session", loaded);
    const earlier = new Headers(c.newResponse(null, 200).headers); // reading c.res would create a response
    let thrown: { error: unknown } | null = null;
    try {
      await next();
    } catch (error) {
      // Hono passes an Error to `app.onError` before it continues here. Only other thrown values arrive here.
      thrown = { error };
    }

    const state = stateOf(loaded as Session<never>);
    const { uses } = state;
    let setCookie: string | null;
    try {
      refuseNull(c.get("session"));
      if (thrown === null && !isIdle(state)) replace(c, deliverableOf(c.res, state));
      setCookie = await commitForResponse(sessions as SessionManager<never>, loaded as Session<never>);
    } catch (error) {
      dropAnswer(c, earlier, { accessed: state.accessed, setCookie: null });
      answerWithStatus(c, error);
      throw error;
    }
    const { accessed } = state;
    const also = state.device.headers;
    tellOfLateChanges(state, uses);
    if (thrown !== null) {
      dropAnswer(c, earlier, { accessed, setCookie, also });
      throw asError(thrown.error);
    }
    if (setCookie === null && !accessed) return undefined;
    if (setCookie !== null) warn(setCookie, c.req.raw, connectionAddress(c));
    replace(c, withMutableHeaders(c.res));
    writeResponseHeaders(c.res.headers, { accessed, setCookie, also });
    return undefined;
  };
}

function replace(c: Context, response: Response): void {
  if (c.res === response) return;
  c.res = undefined; // otherwise the assignment would merge the two
  c.res = response;
}

/**
 * Discards the status, headers and body of the handler's response, and keeps caches from storing the error response (R12).
 * Headers from before this middleware are kept.
 */
function dropAnswer(c: Context, earlier: Headers, effect: SessionEffect): void {
  if (c.res.status >= 200) c.res.body?.cancel().catch(() => {}); // rejects if the stream has a reader
  for (const name of ofBody) earlier.delete(name);
  replace(c, new Response(null));
  // Before 4.8, Hono keeps the headers of `c.header` beside the response, and adds them to the next one.
  for (const name of new Headers(c.newResponse(null, 200).headers).keys()) c.header(name, undefined);
  writeResponseHeaders(earlier, effect);
  forbidStoringIn(earlier);
  replace(c, new Response(null, { headers: earlier }));
}

/** `app.onError` handles only instances of Error. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error("A handler threw a value that is not an Error: see `cause`.", { cause: thrown });
}

/** Sets the status of the error response, also for Hono's default error handler, which calls `getResponse`. */
function answerWithStatus(c: Context, error: unknown): void {
  const status = statusOf(error);
  c.status(status as 500);
  if (status === 500 || !(error instanceof Error) || "getResponse" in error || !Object.isExtensible(error))
    return;
  Object.defineProperty(error, "getResponse", {
    configurable: true,
    value: () => {
      console.error(error); // as Hono does for errors without `getResponse`
      return new Response(http().STATUS_CODES[status], { status });
    },
  });
}

function connectionAddress(c: Context): string | undefined {
  const { incoming } = (c.env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return incoming?.socket?.remoteAddress;
}

/**
 * Hono middleware that continues only if the user proved who they are within this time, by `session.login` or
 * `session.elevate`. Mount it after the session. Otherwise it answers 401, or redirects pages and forms to `redirectTo`.
 */
export function requireFresh<Data = any>(
  within: Duration,
  options: FreshOptions = {},
): MiddlewareHandler<SessionEnv<Data>> {
  const fresh = freshOfFetch(within, options);
  return async function requireFreshSession(c, next) {
    const loaded = c.get("session") as Session<Data> | undefined;
    if (loaded === undefined) {
      throw new TypeError("This request has no session. Mount the session middleware before requireFresh.");
    }
    const challenge = fresh(loaded, c.req.raw);
    if (challenge !== null) return challenge;
    await next();
    return undefined;
  };
}
