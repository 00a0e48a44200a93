import { building } from "$app/env";
import { createSessionManager, generateKey } from "stored-session";
import { fetchSessions } from "stored-session/fetch";
import { sqliteStore } from "stored-session/sqlite";

const manager = building
  ? undefined
  : createSessionManager({
      store: sqliteStore(process.env.DATABASE ?? "sessions.sqlite3"),
      keys: process.env.STORED_SESSION_KEYS ?? generateKey(), // set them, or every start logs everybody out
    });
const sessions = manager && fetchSessions(manager);

/** @type {import("@sveltejs/kit").Handle} */
export async function handle({ event, resolve }) {
  if (sessions === undefined) return resolve(event);
  event.locals.session = await sessions.load(event.request, { address: event.getClientAddress() });
  return sessions.commit(event.locals.session, await resolve(event));
}

process.once("sveltekit:shutdown", () => manager?.close());
