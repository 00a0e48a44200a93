// The module that documentation pages import as "./sessions.ts": an application's session manager.
import { createSessionManager } from "stored-session";
import { sqliteStore } from "stored-session/sqlite";

declare module "stored-session" {
  interface SessionData {
    cart: { sku: string; at: Date }[];
    visits: number;
  }
}

export const sessions = createSessionManager({
  store: sqliteStore("sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"],
});
