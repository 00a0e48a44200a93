import { assertOptions, isText } from "../shared/option-checks.ts";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { subscribe } from "node:diagnostics_channel";
import type { SessionData } from "../session/data.ts";
import type { SessionManager } from "../manager.ts";
import type { Duration } from "../shared/duration.ts";
import type { Session } from "../session/session.ts";
import { checkPayload } from "./fastify-payload.ts";
import { copyOfHeaders, type HeaderFields } from "./node/earlier-headers.ts";
import { assertManager } from "./assert-manager.ts";
import type { DeviceAnswer } from "../device-binding/endpoint.ts";
import { nodeBounce, nodeDeviceAnswer } from "./device.ts";
import { freshGuard, type GuardOptions } from "./fresh.ts";
import { onlySession, remember } from "./loaded.ts";
import { answerError, guard } from "./node/node-response.ts";
import type { ResponseGuard } from "./node/response-guard.ts";

export { sessionOf } from "./loaded.ts";
export type { FreshOptions, GuardOptions } from "./fresh.ts";

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
 * Fastify plugin that provides `request.session`. Loads the session in `onRequest` and commits it in `onSend`, before the
 * first byte of the response. For a hijacked reply, commits on the first write.
 *
 * Applies to the scope in which it is registered and to nested scopes. If loading or saving fails, the error is passed to
 * the error handler of the scope. After a failed commit, the error response keeps the headers that were set before the
 * session was loaded and drops those of the handler. Client address and protocol follow Fastify's `trustProxy`.
 * Registering it again in its own scope has no effect.
 */
export async function storedSession<Data = SessionData>(
  app: FastifyInstance,
  options: FastifySessionOptions<Data>,
): Promise<void> {
  const { sessions, property = "session" } = options;
  if (sessions === undefined)
    throw new TypeError(
      "app.register(storedSession, { sessions }): the `sessions` option is missing. Pass the result of createSessionManager(…).",
    );
  assertManager(sessions);
  // Fastify puts options of its own, such as `prefix`, beside these.
  assertOptions("storedSession", { property }, { property: isText });
  const serving = served(app);
  if (serving.get(property) === (sessions as unknown)) return;
  app.decorateRequest(property, null);
  serving.set(property, sessions);
  watchHandlers();

  app.addHook("onRequest", async (request, reply) => {
    const answering = nodeDeviceAnswer(sessions, request.raw);
    if (answering !== null) return answer(reply, await answering);
    const { headers } = request;
    void request.raw.socket.remoteAddress; // cache the address on the socket, so that it is available after a disconnect
    const loaded = await sessions.load(headers.cookie, () => ({
      address: request.ip,
      userAgent: headers["user-agent"],
    }));
    const bounced = nodeBounce(loaded, request.raw);
    if (bounced !== null) return answer(reply, bounced);
    remember(sessions, request, loaded);
    (request as unknown as Record<string, unknown>)[property] = loaded;
    const guarded = request as Guarded;
    const before = (guarded[earlier] ??= copyOfHeaders(reply.getHeaders()));
    guarded[guarding] = guard(sessions, loaded, reply.raw, {
      onError(error) {
        // Only for a hijacked reply, whose headers Fastify does not send.
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

async function answer(reply: FastifyReply, { status, headers, body }: DeviceAnswer): Promise<void> {
  await reply.code(status).headers(headers).send(body);
}

type Guarded = FastifyRequest & { [guarding]?: ResponseGuard; [earlier]?: HeaderFields };

let watching = false;

/**
 * Fastify calls neither `reply.send` nor the `onSend` hooks for an async handler that resolves with undefined after the
 * client has disconnected. This diagnostics channel reports that case.
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

/** Destroys a payload stream that will not be read. */
function dropPayload(payload: unknown): void {
  const { destroy, cancel, body } = (payload ?? {}) as {
    destroy?: () => void;
    cancel?: () => Promise<void>;
    body?: { cancel?: () => Promise<void> } | null;
  };
  if (destroy !== undefined) destroy.call(payload);
  else if (cancel !== undefined) cancel.call(payload).catch(() => {});
  else body?.cancel?.().catch(() => {}); // rejects if the stream has a reader
}

/** Removes the handler's headers. The guard cannot see them, because a Fastify reply keeps its own. */
function dropHeaders(reply: FastifyReply, before: HeaderFields): void {
  const raw = copyOfHeaders(reply.raw.getHeaders()); // the guard's headers, for the error response
  for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name);
  for (const [name, value] of Object.entries(raw)) reply.raw.setHeader(name, value);
  for (const [name, value] of Object.entries(before)) {
    if (!(name in raw)) reply.header(name, value);
  }
  const internals = reply as unknown as Record<symbol, unknown>;
  const trailers = Object.getOwnPropertySymbols(reply).find(
    ({ description }) => description === "fastify.reply.trailers",
  );
  if (trailers !== undefined) internals[trailers] = null; // Fastify has no API to list trailers
}

const properties = Symbol("stored-session.properties");

/** Managers by property, of a scope and, copied from its prototype, of the enclosing scopes. */
function served(app: FastifyInstance): Map<string, unknown> {
  const scope = app as FastifyInstance & { [properties]?: Map<string, unknown> };
  if (!Object.hasOwn(scope, properties)) scope[properties] = new Map(scope[properties]);
  return scope[properties]!;
}

/**
 * A hook that lets a request pass only if its user proved who they are within this time, by `session.login` or
 * `session.elevate`: `app.post("/email", { preHandler: requireFresh("5 min", { redirectTo: "/confirm" }) }, …)`. Otherwise it
 * answers 401, or redirects pages and forms to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: GuardOptions = {},
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const fresh = freshGuard(within, options);
  return async function requireFreshSession(request, reply) {
    const challenge = fresh(onlySession(request, options.sessions), {
      method: request.method,
      url: request.originalUrl,
      header: (name) => (name === "host" ? request.host : (request.headers[name] as string | undefined)),
    });
    if (challenge === null) return;
    reply.code(challenge.status).headers(challenge.headers);
    await reply.send(challenge.body ?? "");
  };
}

// The metadata that fastify-plugin sets, without the dependency: hooks apply to the registering scope.
Object.assign(storedSession, {
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "stored-session",
  [Symbol.for("plugin-meta")]: { name: "stored-session", fastify: "5.x" },
});

export default storedSession;
