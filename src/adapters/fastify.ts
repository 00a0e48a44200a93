import type { FastifyInstance, FastifyRequest } from "fastify";
import type { SessionData } from "../session/data.ts";
import type { SessionManager } from "../session/manager.ts";
import type { Session } from "../session/session.ts";
import { remember } from "./loaded.ts";
import { answerError, guard } from "./node-response.ts";
import type { ResponseGuard } from "./response-guard.ts";

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

/**
 * Fastify plugin: `request.session`, loaded in `onRequest` and committed in `onSend`, before the response's first
 * byte; a hijacked reply is committed when it begins to write.
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
  const serving = served(app);
  if (serving.get(property) === (sessions as unknown)) return;
  app.decorateRequest(property, null);
  serving.set(property, sessions);

  app.addHook("onRequest", async (request, reply) => {
    const { headers } = request;
    void request.raw.socket.remoteAddress; // the socket remembers it when the client has gone
    const loaded = await sessions.load(headers.cookie, () => ({
      address: request.ip,
      userAgent: headers["user-agent"],
    }));
    remember(sessions, request, loaded);
    (request as unknown as Record<string, unknown>)[property] = loaded;
    (request as Guarded)[guarding] = guard(sessions, loaded, reply.raw, {
      onError: (error) => answerError(error, request.raw, reply.raw), // of a hijacked reply
      isSecure: () => request.protocol === "https",
      request: request.raw,
      current: () => (request as unknown as Record<string, unknown>)[property],
    });
  });

  app.addHook("onSend", async (request: Guarded, _reply, payload) => {
    try {
      await request[guarding]?.commitNow();
    } catch (error) {
      (payload as { destroy?: () => void } | null)?.destroy?.(); // a stream that nobody will read
      throw error;
    }
    return payload;
  });
}

type Guarded = FastifyRequest & { [guarding]?: ResponseGuard };

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
