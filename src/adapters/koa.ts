import type { Context, Next } from "koa";
import type { SessionData } from "../session/data.ts";
import type { SessionManager } from "../manager.ts";
import type { Session } from "../session/session.ts";
import { assertManager } from "./assert-manager.ts";
import { loadedFor, remember } from "./loaded.ts";
import { guard } from "./node/node-response.ts";
import type { ResponseGuard } from "./node/response-guard.ts";

export { sessionOf } from "./loaded.ts";

declare module "koa" {
  interface ExtendableContext {
    /** The visitor's session, loaded by the `session` middleware. */
    session: Session<SessionData>;
  }
}

export interface KoaSessionOptions {
  /** The property of the context that holds the session. Default "session". */
  property?: string;
}

/**
 * Koa middleware: `ctx.session`, loaded before the middleware after it and committed when that is done, before the
 * response's first byte.
 *
 * A session that cannot be loaded or saved is thrown to the middleware before this one, and so to `app.on("error")`.
 * When the handler throws, what it had changed is saved with the error's answer. After a failed commit that answer
 * keeps the headers from before the session middleware, and none of the handler's. Addresses and https are those that
 * Koa believes (`app.proxy`). Mounted twice, it loads once.
 */
export function session<Data>(
  sessions: SessionManager<Data>,
  options: KoaSessionOptions = {},
): (ctx: Context, next: Next) => Promise<void> {
  assertManager(sessions);
  const { property = "session" } = options;
  return async function storedSession(ctx, next) {
    if (loadedFor(sessions, ctx) !== undefined) {
      await next();
      return;
    }
    const { headers } = ctx.req;
    void ctx.req.socket.remoteAddress; // the socket remembers it when the client has gone
    const loaded = await sessions.load(headers.cookie, () => ({
      address: ctx.ip,
      userAgent: headers["user-agent"],
    }));
    remember(sessions, ctx, loaded);
    (ctx as unknown as Record<string, unknown>)[property] = loaded;
    const guarding = guard(sessions, loaded, ctx.res, {
      onError: (error) => answerAsKoa(ctx, guarding, error),
      isSecure: () => ctx.secure,
      request: ctx.req,
      current: () => (ctx as unknown as Record<string, unknown>)[property],
    });
    try {
      await next();
    } catch (error) {
      // Koa answers nobody who has gone
      await guarding.handlerDone().catch((failure: unknown) => ctx.app.emit("error", failure, ctx));
      throw error;
    }
    try {
      await guarding.commitNow();
    } catch (error) {
      dropBody(ctx);
      Object.assign(ctx, { onerror: (answered: unknown) => answerAsKoa(ctx, guarding, answered) });
      throw error;
    }
  };
}

/** Koa's own error handling, which removes every header before it answers; those from before the session stay. */
function answerAsKoa(ctx: Context, guarding: ResponseGuard, error: unknown): void {
  guarding.keepHeaders();
  (Object.getPrototypeOf(ctx) as Context).onerror.call(ctx, error as Error);
}

/** Takes the handler's body back: error handling that only sets a status would send it. */
function dropBody(ctx: Context): void {
  const { status, body } = ctx; // the guard has set the status
  const type = ctx.res.getHeader("Content-Type");
  ctx.remove("Content-Type"); // for JSON, Koa would make the body "null"
  ctx.body = undefined;
  ctx.status = status;
  if (type !== undefined) ctx.res.setHeader("Content-Type", type);
  (body as { destroy?: () => void } | null | undefined)?.destroy?.(); // a stream that nobody will read
}
