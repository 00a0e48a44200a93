import express from "express";
import { createSessionManager } from "stored-session";
import { session } from "stored-session/express";
import {
  railsCsrfToken,
  railsFlash,
  railsFormat,
  railsStore,
  verifyRailsCsrfToken,
} from "stored-session/rails";

const {
  DATABASE_URL = "rails-sessions.sqlite3",
  RAILS_ENCRYPTION_PRIMARY_KEY = "",
  RAILS_ENCRYPTION_SALT = "",
  PORT = "3001",
} = process.env;

/** Data of a session as the Rails application has it. */
interface Data {
  user_id?: number;
  visits?: number;
}

// `createTable` is for trying this without Rails: there the gem's migration makes the table.
const store = railsStore(DATABASE_URL, { createTable: process.env["CREATE_TABLE"] === "yes" });
await store.migrate();

const sessions = createSessionManager<Data>({
  store,
  format: railsFormat({
    primaryKey: RAILS_ENCRYPTION_PRIMARY_KEY,
    keyDerivationSalt: RAILS_ENCRYPTION_SALT,
    hashDigestClass: "SHA256",
    userOf: ({ user_id }) => (user_id === undefined ? undefined : String(user_id)),
  }),
  cookie: { name: "_my_app_session", persist: false, secure: process.env["NODE_ENV"] === "production" },
});

const app = express();
app.use(session(sessions), express.urlencoded({ extended: false }));

app.get("/node", (request, response) => {
  const { data, user } = request.session as unknown as {
    data: Data & Record<string, unknown>;
    user?: string;
  };
  data.visits = (data.visits ?? 0) + 1;
  const { notice } = railsFlash(data);
  response.type("html").send(`<!doctype html><title>Node beside Rails</title>
<p>${typeof notice === "string" ? escape(notice) : ""}</p>
<p>${user === undefined ? "Nobody is logged in." : `User ${escape(user)} is logged in.`} Visit ${data.visits}.</p>
<form method="post" action="/node/notes">
  <input type="hidden" name="authenticity_token" value="${railsCsrfToken(data)}">
  <button>Leave a note for the next page, here or in Rails</button>
</form>`);
});

app.post("/node/notes", (request, response) => {
  const { data } = request.session as unknown as { data: Record<string, unknown> };
  const { authenticity_token: token } = (request.body ?? {}) as Record<string, unknown>;
  // The form may have been rendered by either side.
  if (!verifyRailsCsrfToken(data, token)) {
    response.status(422).send("The form is too old. Go back, reload the page and send it again.");
    return;
  }
  railsFlash(data).notice = "A note from Node.";
  response.redirect(303, "/node");
});

app.listen(Number(PORT), "127.0.0.1", () => console.log(`http://localhost:${PORT}/node`));

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
