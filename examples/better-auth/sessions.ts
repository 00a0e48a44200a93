import { createSessionManager, generateKey } from "stored-session";
import { sqliteStore } from "stored-session/sqlite";

export const file: string = process.env["DATABASE"] ?? "sessions.sqlite3";

/** One table for both: better-auth's sessions, and a cart for every visitor. */
export const sessions = createSessionManager<{ cart: string[] }>({
  store: sqliteStore(file),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
  absoluteTimeout: "400 days", // better-auth's `session.expiresIn` decides
});
