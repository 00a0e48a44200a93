import Hapi, { type Request, type ResponseToolkit } from "@hapi/hapi";
import { createSessionManager, generateKey } from "stored-session";
import { sessionOf, storedSession } from "stored-session/hapi";
import { sqliteStore } from "stored-session/sqlite";

const sessions = createSessionManager<{ cart: string[] }>({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
});

const server = Hapi.server({ host: "localhost", port: Number(process.env["PORT"] ?? 3000) });
await server.register({ plugin: storedSession, options: { sessions } });
server.auth.strategy("login", "stored-session", { redirectTo: "/" });

const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
const home = (h: ResponseToolkit) => h.redirect("/").code(303);
const field = (request: Request, name: string) =>
  String((request.payload as Record<string, unknown> | null)?.[name] ?? "");

server.route([
  {
    method: "GET",
    path: "/",
    handler(request, h) {
      const session = sessionOf(sessions, request);
      const { user, data } = session;
      const notice = session.takeFlash("notice") as string | undefined;
      return h
        .response(
          `<!doctype html><title>hapi</title>
          <p>Hello ${user ?? "nobody"}. In your cart: ${escaped(data.cart?.join(", ") ?? "nothing")}. ${notice ?? ""}</p>
          <form method="post" action="/add"><button name="item" value="tea">Add tea</button></form>
          ${
            user === undefined
              ? '<form method="post" action="/login"><button name="user" value="ada">Log in as Ada</button></form>'
              : '<form method="post" action="/logout"><button>Log out</button></form><form method="post" action="/logout-everywhere"><button>Log out everywhere</button></form>'
          }`,
        )
        .type("text/html");
    },
  },
  {
    method: "POST",
    path: "/login",
    handler(request, h) {
      const user = field(request, "user");
      if (user !== "ada" && user !== "ben") return h.response("Only ada and ben live here.").code(403);
      request.session.login(user);
      request.session.flash("notice", "Welcome back.");
      return home(h);
    },
  },
  {
    method: "POST",
    path: "/add",
    async handler(request, h) {
      // Two tabs may add at the same time: `update` keeps what both added.
      await sessions.update(sessionOf(sessions, request), (data) => {
        data.cart = [...(data.cart ?? []), field(request, "item")];
      });
      return home(h);
    },
  },
  {
    method: "POST",
    path: "/logout",
    handler(request, h) {
      request.session.destroy();
      return home(h);
    },
  },
  {
    method: "POST",
    path: "/logout-everywhere",
    options: { auth: "login" },
    async handler(request, h) {
      const session = sessionOf(sessions, request);
      await sessions.forUser(session.user!).revokeAll({ except: session });
      session.destroy();
      return home(h);
    },
  },
]);

await server.start();
console.log(`Open http://localhost:${server.info.port}`);
process.once("SIGTERM", () => void server.stop({ timeout: 0 }).then(() => sessions.close()));
