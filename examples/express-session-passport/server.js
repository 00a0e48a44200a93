import express from "express";
import session from "express-session";
import passport from "passport";
import { Strategy } from "passport-local";
import { generateKey } from "stored-session";
import { StoredSessionStore } from "stored-session/express-session";
import { sqliteStore } from "stored-session/sqlite";

const store = new StoredSessionStore({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  userOf: (data) => data.passport?.user, // so that a user's sessions can be listed and ended
});

const users = new Map([
  ["ada", { id: "ada" }],
  ["ben", { id: "ben" }],
]);
passport.use(
  new Strategy({ usernameField: "user", passwordField: "user" }, (name, _password, done) => {
    done(null, users.get(name) ?? false);
  }),
);
passport.serializeUser((user, done) => done(null, user.id));
passport.deserializeUser((id, done) => done(null, users.get(id) ?? false));

const app = express();
app.use(
  session({
    store,
    secret: "only signs the cookie; take a long random one",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 7 * 86_400_000, sameSite: "lax" },
  }),
);
app.use(passport.session());
app.use(express.urlencoded({ extended: false }));

app.get("/", (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1;
  const forms = request.user
    ? `<form method="post" action="/logout"><button>Log out</button></form>
       <form method="post" action="/logout-everywhere"><button>Log out everywhere</button></form>`
    : `<form method="post" action="/login"><button name="user" value="ada">Log in as Ada</button></form>`;
  const name = request.user?.id ?? "nobody";
  response.send(
    `<!doctype html><title>Passport</title><p>Hello ${name}. Visits: ${request.session.visits}.</p>${forms}`,
  );
});

app.post("/login", passport.authenticate("local", { successRedirect: "/", keepSessionInfo: true }));

app.post("/logout", (request, response, next) => {
  request.logout((error) => (error ? next(error) : response.redirect("/")));
});

app.post("/logout-everywhere", async (request, response) => {
  await store.sessions.forUser(request.user.id).revokeAll();
  response.redirect("/");
});

const server = app.listen(Number(process.env["PORT"] ?? 3000), "localhost", () => {
  console.log(`Open http://localhost:${server.address().port}`);
});
process.once("SIGTERM", () => {
  server.close(() => void store.close());
  server.closeAllConnections();
});
