import { building } from "$app/env";
import { createSessionManager, generateKey, memoryStore } from "stored-session";
import { fetchSessions } from "stored-session/fetch";
import { sqliteStore } from "stored-session/sqlite";

const manager = createSessionManager({
  // Pages with `prerender = true` are made by the build, where there is no database and no visitor.
  store: building ? memoryStore() : sqliteStore(process.env.DATABASE ?? "sessions.sqlite3"),
  keys: process.env.STORED_SESSION_KEYS ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env.NODE_ENV !== "development" }, // Safari drops Secure cookies of http://localhost
});
const sessions = fetchSessions(manager);

/** @type {import("@sveltejs/kit").Handle} */
export async function handle({ event, resolve }) {
  // A function: the address is asked for when a session is begun. A build has none, and a health check need not send it.
  event.locals.session = await sessions.load(event.request, () => ({ address: event.getClientAddress() }));
  return sessions.commit(event.locals.session, await resolve(event));
}

process.once("sveltekit:shutdown", () => manager.close());
