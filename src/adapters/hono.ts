import type { Context, MiddlewareHandler } from "hono";
import type { SessionData } from "../session/data.ts";
import { settingsOf, type SessionManager } from "../session/manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import { warn, writeResponseHeaders } from "./fetch.ts";
import { tellOfLateChanges } from "./state.ts";

/** What the middleware adds to `c.var`, for `new Hono<SessionEnv<MyData>>()`. */
export interface SessionEnv<Data = SessionData> {
  Variables: { session: Session<Data> };
}

export interface HonoSessionOptions {
  /**
   * The client's address, kept with the session. Default: that of the connection, on @hono/node-server; elsewhere
   * none.
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
    const loaded = await sessions.load(c.req.header("cookie"), {
      address: address(c),
      userAgent: c.req.header("user-agent"),
    });
    c.set("session", loaded);
    await next();

    const state = stateOf(loaded as Session<never>);
    let setCookie: string | null;
    try {
      setCookie = await sessions.commit(loaded);
    } catch (error) {
      c.res = undefined; // nothing of it may show in the error's answer
      throw error;
    }
    const { accessed } = state;
    tellOfLateChanges(state);
    if (setCookie === null && !accessed) return;
    if (setCookie !== null) warn(setCookie, c.req.raw);
    const { res } = c;
    try {
      writeResponseHeaders(res.headers, { accessed, setCookie });
    } catch {
      // The headers of a response that came from fetch() or Response.redirect() are immutable.
      const copy = new Response(res.body, res);
      writeResponseHeaders(copy.headers, { accessed, setCookie });
      c.res = undefined; // assigning would merge the two
      c.res = copy;
    }
  };
}

function connectionAddress(c: Context): string | undefined {
  const { incoming } = (c.env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return incoming?.socket?.remoteAddress;
}
