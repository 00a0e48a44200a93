import { createSessionManager, generateKey } from "stored-session";
import { sqliteStore } from "stored-session/sqlite";
import { tanStackSessions } from "stored-session/tanstack-start";

// The function runs at the first request. `vite build` needs no database and no keys.
export const sessions = tanStackSessions(() =>
  createSessionManager({
    store: sqliteStore(process.env.DATABASE ?? "sessions.sqlite3"),
    keys: process.env.STORED_SESSION_KEYS ?? generateKey(), // set them, or every start logs everybody out
    cookie: { secure: process.env.NODE_ENV !== "development" }, // Safari drops Secure cookies of http://localhost
  }),
);
