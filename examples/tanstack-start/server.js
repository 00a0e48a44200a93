import { serve } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import start from "./dist/server/server.js";

const app = new Hono().use(serveStatic({ root: "dist/client" })).use(({ req }) => start.fetch(req.raw));

const server = serve(
  { fetch: app.fetch, port: Number(process.env.PORT ?? 3000), hostname: "localhost" },
  ({ port }) => console.log(`Open http://localhost:${port}`),
);
process.once("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});
