import { assertOptions, isText } from "../shared/option-checks.ts";
import type { Context, Next } from "koa";
import type { SessionData } from "../session/data.ts";
import type { SessionManager } from "../manager.ts";
import type { Duration } from "../shared/duration.ts";
import type { Session } from "../session/session.ts";
import { assertManager } from "./assert-manager.ts";
import type { DeviceAnswer } from "../device-binding/endpoint.ts";
import { nodeBounce, nodeDeviceAnswer } from "./device.ts";
import { freshGuard, type GuardOptions } from "./fresh.ts";
import { loadedFor, onlySession, remember } from "./loaded.ts";
import { guard } from "./node/node-response.ts";
import type { ResponseGuard } from "./node/response-guard.ts";

export { sessionOf } from "./loaded.ts";
export type { FreshOptions, GuardOptions } from "./fresh.ts";

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
 * Koa middleware that provides `ctx.session`. Loads the session before downstream middleware runs and commits it afterwards,
 * before the first byte of the response.
 *
 * If loading or saving fails, the error is thrown to upstream middleware and reaches `app.on("error")`. If the handler
 * throws, its changes are saved with the error response. After a failed commit, the error response keeps the headers set
 * before this middleware and drops those of the handler. Client address and protocol follow Koa's `app.proxy`. Mounting it
 * twice loads the session once.
 */
export function session<Data>(
  sessions: SessionManager<Data>,
  options: KoaSessionOptions = {},
): (ctx: Context, next: Next) => Promise<void> {
  assertManager(sessions);
  assertOptions("session", options, { property: isText });
  const { property = "session" } = options;
  return async function storedSession(ctx, next) {
    if (loadedFor(sessions, ctx) !== undefined) {
      await next();
      return;
    }
    const answer = ({ status, headers: fields, body }: DeviceAnswer) => {
      ctx.set(fields as Record<string, string>);
      ctx.body = body;
      ctx.status = status;
    };
    const answering = nodeDeviceAnswer(sessions, ctx.req);
    if (answering !== null) return answer(await answering);
    const { headers } = ctx.req;
    void ctx.req.socket.remoteAddress; // cache the address on the socket, so that it is available after a disconnect
    const loaded = await sessions.load(headers.cookie, () => ({
      address: ctx.ip,
      userAgent: headers["user-agent"],
    }));
    const bounced = nodeBounce(loaded, ctx.req);
    if (bounced !== null) return answer(bounced);
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
      // Koa does not respond to a disconnected client, so this error would be lost.
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

/** Koa's error handling, which removes all headers. The headers from before the session are restored. */
function answerAsKoa(ctx: Context, guarding: ResponseGuard, error: unknown): void {
  guarding.keepHeaders();
  (Object.getPrototypeOf(ctx) as Context).onerror.call(ctx, error as Error);
}

/** Removes the handler's body, which error handling that only sets a status would send. */
function dropBody(ctx: Context): void {
  const { status, body } = ctx; // the guard has set the status
  const type = ctx.res.getHeader("Content-Type");
  ctx.remove("Content-Type"); // for JSON, Koa would make the body "null"
  ctx.body = undefined;
  ctx.status = status;
  if (type !== undefined) ctx.res.setHeader("Content-Type", type);
  (body as { destroy?: () => void } | null | undefined)?.destroy?.(); // a stream that will not be read
}

/**
 * Koa middleware that continues only if the user proved who they are within this time, by `session.login` or
 * `session.elevate`. Mount it after the session. Otherwise it answers 401, or redirects pages and forms to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: GuardOptions = {},
): (ctx: Context, next: Next) => Promise<void> {
  const fresh = freshGuard(within, options);
  return async function requireFreshSession(ctx, next) {
    const challenge = fresh(onlySession(ctx, options.sessions), {
      method: ctx.method,
      url: ctx.originalUrl,
      header: (name) => (name === "host" ? ctx.host : (ctx.headers[name] as string | undefined)),
    });
    if (challenge === null) {
      await next();
      return;
    }
    ctx.set(challenge.headers as Record<string, string>);
    ctx.body = challenge.body ?? "";
    ctx.status = challenge.status;
  };
}
