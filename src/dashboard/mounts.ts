import type { IncomingMessage, ServerResponse } from "node:http";
import {
  fetchRequestOf,
  sendFetchResponse,
  sentPathOf,
  type NodeRequest,
} from "../adapters/node/fetch-handler.ts";
import type { DashboardHandler } from "./dashboard.ts";
import { textResponse } from "./responses.ts";

/** Middleware for Express, Connect, NestJS and `node:http`. */
export type NodeMount = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void;

/**
 * Mounts the dashboard in Express, Connect or NestJS with `app.use(toNode(handler))`, or in `node:http` as the listener.
 * Requests for other paths go to `next`; without one they are answered with 404.
 */
export function toNode(handler: DashboardHandler): NodeMount {
  return (request, response, next) => {
    handle(handler, request, response).then(
      (isOurs) => {
        if (isOurs) return;
        if (next !== undefined) return next();
        response.statusCode = 404;
        response.end("Not found\n");
      },
      (error: unknown) => {
        if (next !== undefined) return next(error);
        process.emitWarning(error as Error);
        if (response.headersSent) return void response.destroy();
        response.statusCode = 500;
        response.end("Internal server error\n");
      },
    );
  };
}

/** False if the path is not one of the dashboard. */
async function handle(
  handler: DashboardHandler,
  native: NodeRequest,
  response: ServerResponse,
): Promise<boolean> {
  if (!isSentToUs(handler, native)) return false;
  await sendFetchResponse(await answerTo(handler, native, response, native), response);
  return true;
}

/**
 * Whether the path as it was sent is one of the dashboard. Asked before anything touches the body: the application's parsers
 * read it where the path is not ours.
 */
function isSentToUs(handler: DashboardHandler, native: NodeRequest): boolean {
  const url = sentPathOf(native);
  return url !== null && handler.covers({ url: url.href });
}

/** What the dashboard answers; 400 to what is no request in the sense of fetch, such as one with an invalid `Host`. */
async function answerTo(
  handler: DashboardHandler,
  incoming: NodeRequest,
  response: ServerResponse,
  native: unknown,
): Promise<Response> {
  let request: Request;
  try {
    request = fetchRequestOf(incoming, response);
  } catch {
    return textResponse(400, "Bad request");
  }
  return handler(request, { native });
}

/** As much of Koa's context as a mount uses. */
interface KoaContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly request: { readonly body?: unknown };
  respond?: boolean;
}

/** Mounts the dashboard in Koa: `app.use(toKoa(handler))`. */
export function toKoa(
  handler: DashboardHandler,
): (context: KoaContext, next: () => Promise<unknown>) => Promise<unknown> {
  return async (context, next) => {
    if (!isSentToUs(handler, context.req)) return await next();
    const incoming = Object.assign(context.req, { body: context.request.body });
    const answer = await answerTo(handler, incoming, context.res, context);
    // Koa would send its own answer otherwise. What other middleware has set, such as the session's cookie, is sent too.
    context.respond = false;
    await sendFetchResponse(answer, context.res);
    return undefined;
  };
}

/** As much of Fastify as a mount uses. */
interface FastifyInstance {
  all(path: string, handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>): unknown;
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null) => void) => void,
  ): unknown;
  removeAllContentTypeParsers(): unknown;
}
interface FastifyRequest {
  readonly raw: IncomingMessage;
}
interface FastifyReply {
  readonly raw: ServerResponse;
  status(code: number): FastifyReply;
  header(name: string, value: string | readonly string[]): FastifyReply;
  send(payload: unknown): FastifyReply;
}

/** Mounts the dashboard in Fastify: `app.register(toFastify(handler))`. */
export function toFastify(handler: DashboardHandler): (app: any) => Promise<void> {
  return async (app: FastifyInstance) => {
    // Within this plugin, bodies are left for the dashboard to read.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
      const response = await answerTo(handler, request.raw, reply.raw, request);
      void reply.status(response.status);
      for (const [name, value] of response.headers) if (name !== "set-cookie") void reply.header(name, value);
      const cookies = response.headers.getSetCookie();
      if (cookies.length > 0) void reply.header("set-cookie", cookies);
      return reply.send(response.body);
    };
    for (const path of handler.paths) app.all(path, answer);
  };
}
