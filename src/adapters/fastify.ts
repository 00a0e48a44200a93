import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { subscribe } from "node:diagnostics_channel";
import type { SessionData } from "../session/data.ts";
import type { SessionManager } from "../manager.ts";
import type { Session } from "../session/session.ts";
import { checkPayload } from "./fastify-payload.ts";
import { copyOfHeaders, type HeaderFields } from "./node/earlier-headers.ts";
import { assertManager } from "./assert-manager.ts";
import { remember } from "./loaded.ts";
import { answerError, guard } from "./node/node-response.ts";
import type { ResponseGuard } from "./node/response-guard.ts";

export { sessionOf } from "./loaded.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The visitor's session, loaded by the plugin. */
    session: Session<SessionData>;
  }
}

export interface FastifySessionOptions<Data = SessionData> {
  sessions: SessionManager<Data>;
  /** The property of the request that holds the session. Default "session". */
  property?: string;
}

const guarding = Symbol("stored-session.guard");
const earlier = Symbol("stored-session.earlier-headers");

/**
 * Fastify plugin: `request.session`, loaded in `onRequest` and committed in `onSend`, before the response's first
 * byte; a hijacked reply is committed when it begins to write.
 *
 * After a failed commit the error's answer keeps the headers that were set when the session was loaded, and none of
 * the handler's.
 *
 * It serves the scope it is registered in and the scopes inside. A session that cannot be loaded or saved goes to
 * the error handler of the scope. Addresses and https are those that Fastify believes (`trustProxy`). Registered
 * again inside its own scope, it does nothing.
 */
export async function storedSession<Data = SessionData>(
  app: FastifyInstance,
  options: FastifySessionOptions<Data>,
): Promise<void> {
  const { sessions, property = "session" } = options;
  if (sessions === undefined)
    throw new TypeError("app.register(storedSession, { sessions }): `sessions` is missing.");
  assertManager(sessions);
  const serving = served(app);
  if (serving.get(property) === (sessions as unknown)) return;
  app.decorateRequest(property, null);
  serving.set(property, sessions);
  watchHandlers();

  app.addHook("onRequest", async (request, reply) => {
    const { headers } = request;
    void request.raw.socket.remoteAddress; // the socket remembers it when the client has gone
    const loaded = await sessions.load(headers.cookie, () => ({
      address: request.ip,
      userAgent: headers["user-agent"],
    }));
    remember(sessions, request, loaded);
    (request as unknown as Record<string, unknown>)[property] = loaded;
    const guarded = request as Guarded;
    const before = (guarded[earlier] ??= copyOfHeaders(reply.getHeaders()));
    guarded[guarding] = guard(sessions, loaded, reply.raw, {
      onError(error) {
        // of a hijacked reply, whose headers Fastify does not send
        request.log.error({ err: error });
        for (const [name, value] of Object.entries(before)) reply.raw.setHeader(name, value!);
        answerError(error, request.raw, reply.raw);
      },
      isSecure: () => request.protocol === "https",
      request: request.raw,
      current: () => (request as unknown as Record<string, unknown>)[property],
    });
  });

  app.addHook("onSend", async (request: Guarded, reply, payload) => {
    try {
      await request[guarding]?.commitNow(() => checkPayload(reply, payload));
    } catch (error) {
      dropPayload(payload);
      dropHeaders(reply, request[earlier]!);
      throw error;
    }
    return payload;
  });
}

type Guarded = FastifyRequest & { [guarding]?: ResponseGuard; [earlier]?: HeaderFields };

let watching = false;

/**
 * Fastify does not call `reply.send`, and so no `onSend` hook, for an async handler that resolved with undefined after
 * its client had gone. It tells of it on this channel.
 */
function watchHandlers(): void {
  if (watching) return;
  watching = true;
  subscribe("tracing:fastify.request.handler:asyncEnd", (message) => {
    const { request, reply } = message as { request: Guarded; reply: FastifyReply };
    request[guarding]?.handlerDone().catch((error: unknown) => {
      dropHeaders(reply, request[earlier]!);
      if (reply.sent) request.log.error({ err: error });
      else reply.send(error);
    });
  });
}

/** A stream that nobody will read. */
function dropPayload(payload: unknown): void {
  const { destroy, cancel, body } = (payload ?? {}) as {
    destroy?: () => void;
    cancel?: () => Promise<void>;
    body?: { cancel?: () => Promise<void> } | null;
  };
  if (destroy !== undefined) destroy.call(payload);
  else if (cancel !== undefined) cancel.call(payload).catch(() => {});
  else body?.cancel?.().catch(() => {}); // rejects where somebody reads it
}

/** Takes the handler's headers back, which the guard does not see: a reply keeps its own. */
function dropHeaders(reply: FastifyReply, before: HeaderFields): void {
  const raw = copyOfHeaders(reply.raw.getHeaders()); // the guard's, for the error's answer
  for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name);
  for (const [name, value] of Object.entries(raw)) reply.raw.setHeader(name, value);
  for (const [name, value] of Object.entries(before)) {
    if (!(name in raw)) reply.header(name, value);
  }
  const internals = reply as unknown as Record<symbol, unknown>;
  const trailers = Object.getOwnPropertySymbols(reply).find(
    ({ description }) => description === "fastify.reply.trailers",
  );
  if (trailers !== undefined) internals[trailers] = null; // Fastify has no way to ask which there are
}

const properties = Symbol("stored-session.properties");

/** Managers by property, of a scope and, through its prototype, of those around it. */
function served(app: FastifyInstance): Map<string, unknown> {
  const scope = app as FastifyInstance & { [properties]?: Map<string, unknown> };
  if (!Object.hasOwn(scope, properties)) scope[properties] = new Map(scope[properties]);
  return scope[properties]!;
}

// What fastify-plugin sets, so that no dependency is needed for it: the hooks belong to the scope that registers.
Object.assign(storedSession, {
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "stored-session",
  [Symbol.for("plugin-meta")]: { name: "stored-session", fastify: "5.x" },
});

export default storedSession;
