import { rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { createSessionManager } from "stored-session";
import { sqliteStore } from "stored-session/sqlite";
import { shop } from "./app.ts";
import { keysIn } from "./keys.ts";
import { operatorsPath } from "./operators.ts";
import { tlsIn } from "./tls.ts";
import { weekOfTraffic } from "./traffic.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

// With --tls, logins are bound to the device.
const tls = process.argv.includes("--tls") ? tlsIn(`${here}demo-tls`) : null;
const server: Server = tls === null ? createServer() : createSecureServer(tls);
const port = await listen(server, Number(process.env["PORT"] ?? 3000));

// Named by the port, so that two demos on one machine do not share a file.
const file = `${here}sessions-${port}.sqlite3`;
for (const suffix of ["", "-wal", "-shm"]) rmSync(file + suffix, { force: true });

const keyFile = `${here}demo.keys`;
const { keys, made } = keysIn(keyFile);

// Safari keeps no Secure cookie from plain http, not even from localhost. This server listens there and nowhere else,
// whatever NODE_ENV says; an application in production keeps the default.
const plain = { cookie: { secure: false, insecureInProduction: true } } as const;

// With --traffic, the dashboard has a past to show.
const hasTraffic = process.argv.includes("--traffic");
const common = {
  keys,
  audit: true,
  idleTimeout: hasTraffic ? "2 d" : "2 h",
  absoluteTimeout: hasTraffic ? "14 d" : "12 h",
} as const;
if (hasTraffic) {
  console.log("\n  Filling a week of fictional traffic …");
  const clock = { now: Date.now() };
  const past = createSessionManager({ ...common, store: sqliteStore(file), clock: () => clock.now });
  await weekOfTraffic(past, clock);
  await past.close();
}

const sessions = createSessionManager({
  ...common,
  store: sqliteStore(file),
  ...(tls === null ? plain : { deviceBinding: { mode: "offer" } }),
});
sessions.scheduleExpiry();
server.on("request", shop(sessions, { file, isBinding: tls !== null }));
console.log(`
  Kettle & Leaf, a demo of Stored Session

    Open      ${tls === null ? `http://localhost:${port}` : tls.command(port)}
    Dashboard ${operatorsPath}: what your operators see${hasTraffic ? "" : ". With a past: npm run demo -- --traffic"}
    Sessions  ${shown(file)}, ${hasTraffic ? "new, with a week of fictional traffic" : "new and empty"}
    Keys      ${shown(keyFile)}, ${made ? "made just now, readable by you only" : "from an earlier start"}

  Ctrl+C stops it.
`);

process.once("SIGINT", stop);
process.once("SIGTERM", stop);

/** Answers the requests under way, then closes the sessions. */
async function stop(): Promise<void> {
  console.log("\n  Stopping …");
  const patience = setTimeout(() => server.closeAllConnections(), 2_000);
  await new Promise((resolve) => server.close(resolve));
  clearTimeout(patience);
  await sessions.close();
  console.log("  Stopped.");
}

/** On this port of the loopback interface, or on the next one that is free. */
function listen(on: Server, wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let attempt = wanted;
    on.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE" || attempt >= wanted + 20) return reject(error);
      on.listen(++attempt, "127.0.0.1");
    });
    on.once("listening", () => resolve((on.address() as { port: number }).port));
    on.listen(attempt, "127.0.0.1");
  });
}

function shown(path: string): string {
  return relative(process.cwd(), path);
}
