import fastify, { type FastifyRequest } from "fastify";
import { createSessionManager, generateKey } from "stored-session";
import { sessionOf, storedSession } from "stored-session/fastify";
import { sqliteStore } from "stored-session/sqlite";

const sessions = createSessionManager<{ visits: number }>({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
});

const app = fastify({ forceCloseConnections: true });
await app.register(storedSession, { sessions });
app.addContentTypeParser(
  "application/x-www-form-urlencoded",
  { parseAs: "string" },
  (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(body as string)));
  },
);

app.get("/", (request, reply) => {
  const { data, user } = sessionOf(sessions, request);
  data.visits = (data.visits ?? 0) + 1;
  return reply.type("text/html").send(page(user, data.visits, request.session.takeFlash("notice")));
});

app.post("/login", (request: FastifyRequest<{ Body: { user?: string } }>, reply) => {
  const user = request.body.user === "ada" || request.body.user === "ben" ? request.body.user : null;
  if (user === null) return reply.code(403).send("Only ada and ben live here.");
  request.session.login(user);
  request.session.flash("notice", "Welcome back.");
  return reply.redirect("/", 303);
});

app.post("/logout", (request, reply) => {
  request.session.destroy();
  return reply.redirect("/", 303);
});

function page(user: string | undefined, visits: number, notice: unknown): string {
  const form = user
    ? `<form method="post" action="/logout"><button>Log out</button></form>`
    : `<form method="post" action="/login"><button name="user" value="ada">Log in as Ada</button></form>`;
  return `<!doctype html><title>Fastify</title><p>Hello ${user ?? "nobody"}. Visits: ${visits}. ${String(notice ?? "")}</p>${form}`;
}

const address = await app.listen({ port: Number(process.env["PORT"] ?? 3000), host: "localhost" });
console.log(`Open ${address}`);
process.once("SIGTERM", async () => {
  await app.close();
  await sessions.close();
});
