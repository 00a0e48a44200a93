import Koa from "koa";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createSessionManager, generateKey } from "stored-session";
import { session, sessionOf } from "stored-session/koa";
import { sqliteStore } from "stored-session/sqlite";

const sessions = createSessionManager<{ visits: number }>({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
});

const app = new Koa();
app.use(session(sessions));
app.use(async (ctx) => {
  const route = `${ctx.method} ${ctx.path}`;
  if (route === "GET /") {
    const { data, user } = sessionOf(sessions, ctx);
    data.visits = (data.visits ?? 0) + 1;
    ctx.type = "html";
    ctx.body = page(user, data.visits, ctx.session.takeFlash("notice"));
  } else if (route === "POST /login") {
    const user = new URLSearchParams(await text(ctx.req)).get("user");
    if (user !== "ada" && user !== "ben") return ctx.throw(403, "Only ada and ben live here.");
    ctx.session.login(user);
    ctx.session.flash("notice", "Welcome back.");
    ctx.redirect("/");
  } else if (route === "POST /logout") {
    ctx.session.destroy();
    ctx.redirect("/");
  }
});

function page(user: string | undefined, visits: number, notice: unknown): string {
  const form = user
    ? `<form method="post" action="/logout"><button>Log out</button></form>`
    : `<form method="post" action="/login"><button name="user" value="ada">Log in as Ada</button></form>`;
  return `<!doctype html><title>Koa</title><p>Hello ${user ?? "nobody"}. Visits: ${visits}. ${String(notice ?? "")}</p>${form}`;
}

const server = app.listen(Number(process.env["PORT"] ?? 3000), "localhost", () => {
  console.log(`Open http://localhost:${(server.address() as AddressInfo).port}`);
});
process.once("SIGTERM", () => {
  server.close(() => void sessions.close());
  server.closeAllConnections();
});
