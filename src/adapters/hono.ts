import type { Context, MiddlewareHandler } from "hono";
import { STATUS_CODES } from "node:http";
import type { SessionData } from "../session/data.ts";
import { commitForResponse, settingsOf, type SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import { ofBody } from "./node/earlier-headers.ts";
import { deliverableOf, withMutableHeaders } from "./fetch-response.ts";
import { forbidStoringIn, warn, writeResponseHeaders } from "./fetch.ts";
import { statusOf } from "./node/response-calls.ts";
import { isIdle, refuseNull, tellOfLateChanges } from "./state.ts";

/** What the middleware adds to `c.var`, for `new Hono<SessionEnv<MyData>>()`. */
export interface SessionEnv<Data = SessionData> {
  Variables: { session: Session<Data> };
}

export interface HonoSessionOptions {
  /**
   * The client's address, kept with the session. Default: that of the connection, on @hono/node-server; elsewhere
   * none. Called when a session is begun.
   */
  address?: (c: Context) => string | undefined;
}

/**
 * Hono middleware: `c.var.session`, loaded before the handlers after it and committed when they have answered,
 * before the response is sent.
 *
 * A session that cannot be loaded or saved goes to `app.onError`, in place of the handler's response. What a handler
 * changed before it threw is saved. Mounted twice, it loads once.
 */
export function session<Data>(
  sessions: SessionManager<Data>,
  options: HonoSessionOptions = {},
): MiddlewareHandler<SessionEnv<Data>> {
  const { address = connectionAddress } = options;
  const settings = settingsOf(sessions as SessionManager<never>);
  return async function storedSession(c, next) {
    const present = c.get("session") as Session<never> | undefined;
    if (present !== undefined && stateOf(present).settings === settings) {
      await next();
      return;
    }
    void connectionAddress(c); // the socket remembers it when the client has gone
    const client = () => ({ address: address(c), userAgent: c.req.header("user-agent") });
    const loaded = await sessions.load(c.req.header("cookie"), client).catch((error: unknown) => {
      answerWithStatus(c, error);
      throw error;
    });
    c.set("session", loaded);
    const earlier = new Headers(c.newResponse(null, 200).headers); // reading c.res would begin a response
    let thrown: { error: unknown } | null = null;
    try {
      await next();
    } catch (error) {
      // Hono gives an Error to `app.onError` before it goes on here. All else that is thrown comes this way.
      thrown = { error };
    }

    const state = stateOf(loaded as Session<never>);
    let setCookie: string | null;
    try {
      refuseNull(c.get("session"));
      if (thrown === null && !isIdle(state)) replace(c, deliverableOf(c.res, state));
      setCookie = await commitForResponse(sessions as SessionManager<never>, loaded as Session<never>);
    } catch (error) {
      dropAnswer(c, earlier, state.accessed);
      answerWithStatus(c, error);
      throw error;
    }
    const { accessed } = state;
    tellOfLateChanges(state);
    if (thrown !== null) {
      dropAnswer(c, earlier, accessed, setCookie);
      throw asError(thrown.error);
    }
    if (setCookie === null && !accessed) return;
    if (setCookie !== null) warn(setCookie, c.req.raw, connectionAddress(c));
    replace(c, withMutableHeaders(c.res));
    writeResponseHeaders(c.res.headers, { accessed, setCookie });
  };
}

function replace(c: Context, response: Response): void {
  if (c.res === response) return;
  c.res = undefined; // assigning would merge the two
  c.res = response;
}

/**
 * Takes back what the handler said: neither its status, headers nor body may show in the error's answer, and no cache
 * may keep that (R12). Headers from before this middleware stay.
 */
function dropAnswer(c: Context, earlier: Headers, accessed: boolean, setCookie: string | null = null): void {
  if (c.res.status >= 200) c.res.body?.cancel().catch(() => {}); // rejects where somebody reads it
  for (const name of ofBody) earlier.delete(name);
  writeResponseHeaders(earlier, { accessed, setCookie });
  forbidStoringIn(earlier);
  replace(c, new Response(null, { headers: earlier }));
}

/** `app.onError` is given nothing but an Error, and answers with the session's cookie. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error("A handler threw a value that is no Error: see `cause`.", { cause: thrown });
}

/** Gives the error's answer its status, also where Hono's own error handler makes it, which looks for `getResponse`. */
function answerWithStatus(c: Context, error: unknown): void {
  const status = statusOf(error);
  c.status(status as 500);
  if (status === 500 || !(error instanceof Error) || "getResponse" in error || !Object.isExtensible(error))
    return;
  Object.defineProperty(error, "getResponse", {
    configurable: true,
    value: () => {
      console.error(error); // as Hono does with errors that have no response
      return new Response(STATUS_CODES[status], { status });
    },
  });
}

function connectionAddress(c: Context): string | undefined {
  const { incoming } = (c.env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return incoming?.socket?.remoteAddress;
}
