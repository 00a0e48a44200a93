import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { html } from "hono/html";
import type { Server } from "node:http";
import { createSessionManager, generateKey } from "stored-session";
import { session } from "stored-session/hono";
import { sqliteStore } from "stored-session/sqlite";

const sessions = createSessionManager<{ visits: number }>({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
});

const app = new Hono()
  .use(session(sessions))
  .get("/", (c) => {
    const { data, user } = c.var.session;
    data.visits = (data.visits ?? 0) + 1;
    const notice = c.var.session.takeFlash("notice") as string | undefined;
    const form = user
      ? html`<form method="post" action="/logout"><button>Log out</button></form>`
      : html`<form method="post" action="/login">
          <button name="user" value="ada">Log in as Ada</button>
        </form>`;
    return c.html(
      html`<!doctype html><title>Hono</title>
        <p>Hello ${user ?? "nobody"}. Visits: ${data.visits}. ${notice}</p>
        ${form}`,
    );
  })
  .post("/login", async (c) => {
    const { user } = await c.req.parseBody<{ user: string }>();
    if (user !== "ada" && user !== "ben") return c.text("Only ada and ben live here.", 403);
    c.var.session.login(user);
    c.var.session.flash("notice", "Welcome back.");
    return c.redirect("/", 303);
  })
  .post("/logout", (c) => {
    c.var.session.destroy();
    return c.redirect("/", 303);
  });

const server = serve(
  { fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000), hostname: "localhost" },
  ({ port }) => console.log(`Open http://localhost:${port}`),
) as Server;
process.once("SIGTERM", () => {
  server.close(() => void sessions.close());
  server.closeAllConnections();
});
