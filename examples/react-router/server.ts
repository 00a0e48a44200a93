import { serve } from "@hono/node-server";
import type { Server } from "node:http";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { createStaticHandler, createStaticRouter, StaticRouterProvider } from "react-router";
import { routes, sessions } from "./routes.ts";

const handler = createStaticHandler(routes);

async function respond(request: Request): Promise<Response> {
  const context = await handler.query(request);
  if (context instanceof Response) return context; // a redirect
  const router = createStaticRouter(handler.dataRoutes, context);
  const body = renderToString(createElement(StaticRouterProvider, { router, context }));
  const headers = new Headers({ "content-type": "text/html; charset=utf-8" });
  for (const loaded of Object.values(context.loaderHeaders)) {
    for (const [name, value] of loaded) headers.append(name, value);
  }
  return new Response(`<!doctype html><title>React Router</title>${body}`, {
    status: context.statusCode,
    headers,
  });
}

const server = serve(
  { fetch: respond, port: Number(process.env["PORT"] ?? 3000), hostname: "localhost" },
  ({ port }) => console.log(`Open http://localhost:${port}`),
) as Server;
process.once("SIGTERM", () => {
  server.close(() => void sessions.close());
  server.closeAllConnections();
});
