/**
 * An application on express-session whose database fails: calls every method of the store with a callback, with a
 * promise and with neither, and prints what became of each. An unhandled rejection ends this process, as any other.
 */
import express, { type Request, type RequestHandler } from "express";
import { createRequire } from "node:module";
import { StoredSessionStore } from "../../../src/adapters/drop-in/express-session.ts";
import { memoryStore } from "../../../src/index.ts";
import { WatchedStore } from "../../../src/testing/watched-store.ts";
import { testKeys } from "../../session/doubles.ts";
import { running } from "../server.ts";

const expressSession = createRequire(import.meta.url)("express-session") as (o: object) => RequestHandler;
const warnings: string[] = [];
process.on("warning", (warning: Error & { code?: string }) => {
  warnings.push(`${warning.code} ${warning.message.split(" ")[0]}`);
});
const quiet = () => new Promise((resolve) => setTimeout(resolve, 20));

const watched = new WatchedStore(memoryStore());
const store = new StoredSessionStore({ store: watched.store, keys: testKeys });
const app = express();
app.set("env", "test");
app.use(expressSession({ store, secret: "a secret", resave: false, saveUninitialized: false }));
const bare: Record<string, (session: any) => void> = {
  "/destroy": (session) => session.destroy(),
  "/regenerate": (session) => session.regenerate(),
  "/save": (session) => {
    session.changed = true;
    session.save();
  },
};
app.use((request: Request & any, response, next) => {
  const session = request.session;
  if (request.path === "/login") session.user = 1;
  if (request.path === "/told") watched.down("all");
  const act = bare[request.path];
  if (request.path === "/told") session.destroy((error: unknown) => (error ? next(error) : response.end()));
  else if (act === undefined) response.json(session?.user ?? null);
  else {
    watched.down("all");
    act(session);
    setTimeout(() => response.json("answered"), 5);
  }
});
app.use(((error, _request, response, next) => {
  if (response.headersSent) next(error);
  else response.status(error.status).end();
}) as express.ErrorRequestHandler);
const { url, close } = await running(app.listen(0, "127.0.0.1"));

const results: Record<string, unknown> = {};
for (const path of ["/destroy", "/regenerate", "/save", "/told"]) {
  watched.up();
  const login = await fetch(`${url}/login`);
  const headers = { cookie: login.headers.getSetCookie()[0]!.split(";")[0]! };
  const { status } = await fetch(url + path, { headers }).catch(() => ({ status: "cut off" }));
  await quiet();
  watched.up();
  const user = await (await fetch(`${url}/`, { headers })).json();
  results[path] = { status, user, warnings: warnings.splice(0) };
}

await store.set("id", { user: 1, cookie: {} });
const session = await store.get("id");
const request = { sessionID: "id", headers: {}, session };
const calls: Record<string, (...callback: any[]) => unknown> = {
  get: (...callback) => store.get("id", ...(callback as [])),
  set: (...callback) => store.set("new", { user: 2 }, ...(callback as [])),
  "set of a loaded session": (...callback) => {
    session.changed = true;
    return store.set("id", session, ...(callback as []));
  },
  touch: (...callback) => store.touch("other", { cookie: {} }, ...(callback as [])),
  destroy: (...callback) => store.destroy("id", ...(callback as [])),
  regenerate: (...callback) => store.regenerate(request, ...(callback as [])),
  load: (...callback) => store.load("id", ...(callback as [])),
  length: (...callback) => store.length(...(callback as [])),
  all: (...callback) => store.all(...(callback as [])),
  clear: (...callback) => store.clear(...(callback as [])),
};
await store.close();
for (const [name, call] of Object.entries(calls)) {
  const told: unknown[] = [];
  const code = (error: unknown) => (error as { code?: string } | null)?.code ?? null;
  await new Promise<void>((resolve) => {
    call((error: unknown) => {
      told.push(code(error));
      resolve();
    });
  });
  await (call() as Promise<unknown>).catch((error: unknown) => told.push(code(error)));
  await (call() as Promise<unknown>).then(
    () => told.push("no error"),
    (error: unknown) => told.push(code(error)),
  );
  await quiet();
  const heard = warnings.splice(0);
  void call(undefined);
  void call(null);
  call({}); // what a caller takes for options, say
  await quiet();
  results[name] = { told, heard, unheard: warnings.splice(0) };
}
await close();
console.log(JSON.stringify(results));
