// What a user does, with the packed package: imports it, serves sessions from a file, and visits them.
// usage: walk.js PORT SUBPATH…
import { tracingChannel } from "node:diagnostics_channel";
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { createSessionManager, generateKey, memoryStore } from "stored-session";
import { fetchSessions } from "stored-session/fetch";
import { session as ofHono } from "stored-session/hono";
import { attachSession } from "stored-session/node";
import { sqliteStore } from "stored-session/sqlite";
import { Hono } from "hono";

const [port, ...subpaths] = process.argv.slice(2);
for (const name of subpaths) if (Object.keys(await import(name)).length === 0) throw new Error(name);
console.log(`imported ${subpaths.length}`);

const keys = generateKey();
const cookie = { secure: false };
const manager = (store) => createSessionManager({ store, keys, cookie });
const told = [];
let events = 0;
tracingChannel("stored-session.write").subscribe({ asyncEnd: () => events++ });

/** Two visits, a logout, and a visit with the old cookie. */
async function walk(name, visit) {
  const first = await visit("/login", "");
  const held = first.headers.getSetCookie()[0].split(";")[0];
  const second = await visit("/", held);
  const out = await visit("/logout", held);
  const after = await visit("/", held);
  told.push([name, await second.text(), out.status, await after.text()].join(" "));
}

function route(path, session) {
  if (path === "/login") session.login("42");
  if (path === "/logout") session.destroy();
  return `user ${session.user}`;
}

const onNode = manager(sqliteStore("sessions.sqlite3"));
const server = createServer(async (request, response) => {
  const session = await attachSession(onNode, request, response);
  response.end(route(request.url, session));
});
await new Promise((done) => server.listen(Number(port), "127.0.0.1", done));
const address = `http://127.0.0.1:${server.address().port}`;
await walk("node", (path, held) => fetch(address + path, { headers: { cookie: held } }));
const other = new DatabaseSync("sessions.sqlite3");
other.exec("BEGIN IMMEDIATE");
setTimeout(() => other.exec("COMMIT"), 100);
await walk("locked", (path, held) => fetch(address + path, { headers: { cookie: held } }));
other.close();
await new Promise((done) => server.close(done));
await onNode.close();

const onFetch = manager(memoryStore());
const served = fetchSessions(onFetch);
await walk("fetch", (path, held) =>
  served.handle(
    new Request(address + path, { headers: { cookie: held } }),
    (session) => new Response(route(path, session)),
  ),
);

const app = new Hono().use(ofHono(manager(memoryStore())));
app.all("*", (c) => c.text(route(c.req.path, c.var.session)));
await walk("hono", (path, held) => app.request(path, { headers: { cookie: held } }));

console.log(told.join("\n"));
console.log(`events ${events > 0}`);
