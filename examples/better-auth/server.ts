import { serve } from "@hono/node-server";
import { Hono, type Context } from "hono";
import { html } from "hono/html";
import type { Server } from "node:http";
import { session } from "stored-session/hono";
import { auth, createUsers, password } from "./auth.ts";
import { sessions } from "./sessions.ts";

/** Sends the cookies of a response of better-auth with a redirect. */
function redirectWith(c: Context, response: Response): Response {
  for (const cookie of response.headers.getSetCookie()) c.header("set-cookie", cookie, { append: true });
  return c.redirect("/", 303);
}

const app = new Hono()
  .on(["GET", "POST"], "/api/auth/*", (c) => auth.handler(c.req.raw))
  .use(session(sessions))
  .get("/", async (c) => {
    const login = await auth.api.getSession({ headers: c.req.raw.headers });
    const notice = c.var.session.takeFlash("notice") as string | undefined;
    const user = login?.user.name;
    const forms =
      user === undefined
        ? html`<form method="post" action="/login">
            <button name="user" value="ada">Log in as Ada</button>
          </form>`
        : html`<form method="post" action="/logout"><button>Log out</button></form>
            <form method="post" action="/logout-everywhere"><button>Log out everywhere</button></form>`;
    return c.html(
      html`<!doctype html><title>better-auth</title>
        <p>
          Hello ${user ?? "nobody"}. In your cart: ${c.var.session.data.cart?.join(", ") ?? "nothing"}.
          ${notice}
        </p>
        <form method="post" action="/add"><button name="item" value="tea">Add tea</button></form>
        ${forms}`,
    );
  })
  .post("/login", async (c) => {
    const { user } = await c.req.parseBody<{ user: string }>();
    const response = await auth.api.signInEmail({
      body: { email: `${user}@example.com`, password },
      headers: c.req.raw.headers,
      asResponse: true,
    });
    if (!response.ok) return c.text("Only ada and ben live here.", 403);
    c.var.session.regenerate();
    c.var.session.flash("notice", "Welcome back.");
    return redirectWith(c, response);
  })
  .post("/add", async (c) => {
    const { item } = await c.req.parseBody<{ item: string }>();
    await sessions.update(c.var.session, (data) => {
      data.cart = [...(data.cart ?? []), item];
    });
    return c.redirect("/", 303);
  })
  .post("/logout", async (c) => {
    c.var.session.destroy();
    return redirectWith(c, await auth.api.signOut({ headers: c.req.raw.headers, asResponse: true }));
  })
  .post("/logout-everywhere", async (c) => {
    const login = await auth.api.getSession({ headers: c.req.raw.headers });
    if (login !== null) await sessions.forUser(login.user.id).revokeAll(); // better-auth's sessions are rows of their user
    c.var.session.destroy();
    return c.redirect("/", 303);
  });

await createUsers();
const server = serve(
  { fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000), hostname: "localhost" },
  ({ port }) => console.log(`Open http://localhost:${port}`),
) as Server;
process.once("SIGTERM", () => {
  server.close(() => void sessions.close());
  server.closeAllConnections();
});
