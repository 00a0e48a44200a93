import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import type { Session } from "../../session/session.ts";

type Data = { n?: number; list?: number[] };
type Handler = (response: ServerResponse, session: Session<Data>) => void;

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});

/** The codes of the warnings that a request causes whose session is stored already. */
async function warningsOf(environment: string, handler: Handler): Promise<unknown[]> {
  vi.stubEnv("NODE_ENV", environment);
  vi.resetModules();
  const { createSessionManager, generateKey, memoryStore } = await import("../../index.ts");
  const { withSession } = await import("./node-response.ts");
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: generateKey() });
  const begun = await sessions.load(null);
  begun.data = { n: 1, list: [1] };
  const cookie = (await sessions.commit(begun))!.split(";")[0]!;
  const handle = (_request: IncomingMessage, response: ServerResponse, session: Session<Data>) =>
    handler(response, session);
  const server = createServer(withSession(sessions, handle)).listen(0);
  await once(server, "listening");
  const codes: unknown[] = [];
  const note = (warning: Error & { code?: string }) => void codes.push(warning.code);
  process.on("warning", note);
  const { port } = server.address() as AddressInfo;
  await (await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie } })).text();
  server.close();
  server.closeAllConnections();
  await once(server, "close");
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  process.off("warning", note);
  return codes;
}

const late = ["STORED_SESSION_CHANGED_AFTER_RESPONSE"];

const changes: [string, Handler, { development: string[]; production: string[] }][] = [
  [
    "through the session",
    (response, session) => {
      void session.data.n;
      response.end("done");
      session.data.n = 2;
    },
    { development: late, production: late },
  ],
  [
    "of an object that was taken from it before",
    (response, session) => {
      const { data } = session;
      response.end("done");
      data.list!.push(2);
    },
    { development: late, production: [] },
  ],
  [
    "none, although it was looked at",
    (response, session) => {
      response.end("done");
      void session.data.n;
    },
    { development: [], production: [] },
  ],
];

for (const [name, handler, expected] of changes) {
  for (const environment of ["development", "production"] as const) {
    test(`change after the response, ${name}: ${environment} → ${expected[environment].length > 0 ? "a warning" : "none"}`, async () => {
      expect(await warningsOf(environment, handler)).toEqual(expected[environment]);
    });
  }
}
