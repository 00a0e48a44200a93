import { serve } from "@hono/node-server";
import { Elysia, t } from "elysia";
import type { Server } from "node:http";
import { createSessionManager, generateKey } from "stored-session";
import { storedSession } from "stored-session/elysia";
import { sqliteStore } from "stored-session/sqlite";

const sessions = createSessionManager<{ cart: string[] }>({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
});

const home = () => new Response(null, { status: 303, headers: { location: "/" } });
const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

const app = new Elysia()
  .use(storedSession(sessions))
  .get("/", ({ session, set }) => {
    const { user, data } = session;
    const notice = session.takeFlash("notice") as string | undefined;
    set.headers["content-type"] = "text/html; charset=utf-8";
    return `<!doctype html><title>Elysia</title>
      <p>Hello ${user ?? "nobody"}. In your cart: ${escaped(data.cart?.join(", ") ?? "nothing")}. ${notice ?? ""}</p>
      <form method="post" action="/add"><button name="item" value="tea">Add tea</button></form>
      ${
        user === undefined
          ? '<form method="post" action="/login"><button name="user" value="ada">Log in as Ada</button></form>'
          : '<form method="post" action="/logout"><button>Log out</button></form><form method="post" action="/logout-everywhere"><button>Log out everywhere</button></form>'
      }`;
  })
  .post(
    "/login",
    ({ session, body: { user } }) => {
      session.login(user);
      session.flash("notice", "Welcome back.");
      return home();
    },
    { body: t.Object({ user: t.Union([t.Literal("ada"), t.Literal("ben")]) }) },
  )
  // Two tabs may add at the same time: `update` keeps what both added.
  .post(
    "/add",
    async ({ session, body: { item } }) => {
      await sessions.update(session, (data) => {
        data.cart = [...(data.cart ?? []), item];
      });
      return home();
    },
    { body: t.Object({ item: t.String() }) },
  )
  .post("/logout", ({ session }) => {
    session.destroy();
    return home();
  })
  .post("/logout-everywhere", async ({ session }) => {
    if (session.user !== undefined) await sessions.forUser(session.user).revokeAll({ except: session });
    session.destroy();
    return home();
  });

// On Bun: app.listen(3000)
const server = serve(
  { fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000), hostname: "localhost" },
  ({ port }) => console.log(`Open http://localhost:${port}`),
) as Server;
process.once("SIGTERM", () => {
  server.close(() => void sessions.close());
  server.closeAllConnections();
});
