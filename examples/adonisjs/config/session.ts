import { defineConfig } from "@adonisjs/session";
import { generateKey } from "stored-session";
import { adonisSessionStore } from "stored-session/adonisjs";
import { sqliteStore } from "stored-session/sqlite";

const stored = adonisSessionStore({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
});
export const { sessions } = stored;

export default defineConfig({
  store: "stored",
  stores: { stored },
  age: "30 days",
  cookie: { httpOnly: true, sameSite: "lax", path: "/", secure: process.env["NODE_ENV"] !== "development" },
});
