import { createSessionManager, generateKey } from "stored-session";
import { nextSessions } from "stored-session/next";
import { sqliteStore } from "stored-session/sqlite";

// The function runs at the first request. `next build` needs no database and no keys.
export const sessions = nextSessions(() =>
  createSessionManager({
    store: sqliteStore(process.env.DATABASE ?? "sessions.sqlite3"),
    keys: process.env.STORED_SESSION_KEYS ?? generateKey(), // set them, or every start logs everybody out
  }),
);
