/** How failures of databases behind a network are told apart: what is an outage, and what became of a write. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createClient } from "@libsql/client/http";
import { Miniflare } from "miniflare";
import { describe, expect, test } from "vitest";
import { freePort } from "../../scripts/services/processes.ts";
import { d1Store, type D1 } from "../../src/sql/sqlite/d1.ts";
import { libsqlStore } from "../../src/sql/sqlite/libsql.ts";
import { randomRow } from "../servers/rows.ts";

/** A D1 whose batches fail with this message: Cloudflare's own failures cannot be caused here. */
function failing(message: string): D1 {
  const statement = { bind: () => statement };
  return { prepare: () => statement, batch: () => Promise.reject(new Error(message)) } as never;
}

describe("D1 (promise 8, R37)", () => {
  // https://developers.cloudflare.com/d1/observability/debug-d1/#error-list
  test.each([
    "D1_ERROR: Network connection lost.",
    "D1_ERROR: D1 DB reset because its code was updated.",
    "D1_ERROR: Internal error while starting up D1 DB storage caused object to be reset.",
    "D1_ERROR: Internal error in D1 DB storage caused object to be reset.",
    "D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.",
    "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
    "D1_ERROR: D1 DB exceeded its memory limit and was reset.",
    "D1_ERROR: D1 DB exceeded its CPU time limit and was reset.",
    "D1_ERROR: D1 DB is overloaded. Too many requests queued.",
    "D1_ERROR: D1 DB is overloaded. Requests queued for too long.",
  ])("%s → an outage, and the outcome of a write is unknown", async (message) => {
    const store = d1Store(failing(message));
    await expect(store.read([randomRow().id])).rejects.toMatchObject({ status: 503, outcome: "none" });
    await expect(store.insert([randomRow()])).rejects.toMatchObject({
      code: "ERR_STORED_SESSION_STORE_UNAVAILABLE",
      status: 503,
      outcome: "unknown",
      mayBeOneRow: false,
    });
  });

  test("a failure that nobody knows → the outcome of a write is unknown", async () => {
    const store = d1Store(failing("D1_ERROR: something new"));
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ outcome: "unknown" });
    await expect(store.read([randomRow().id])).rejects.toMatchObject({ outcome: "none" });
  });

  test("the database has reached its size → a StoreReadOnlyError", async () => {
    const store = d1Store(failing("D1_ERROR: Exceeded maximum DB size"));
    await expect(store.insert([randomRow()])).rejects.toMatchObject({
      code: "ERR_STORED_SESSION_STORE_READ_ONLY",
      outcome: "none",
    });
  });

  test("a value that D1 refuses → nothing was sent", async () => {
    const statement = {
      bind(): never {
        throw new Error("D1_TYPE_ERROR: Type 'undefined' not supported for value 'undefined'");
      },
    };
    const store = d1Store({ prepare: () => statement, batch: () => Promise.resolve([]) } as never);
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 500, outcome: "none" });
  });

  test("a D1 session, whose reads a replica may answer → an error says to pass the binding", async () => {
    const miniflare = new Miniflare({ modules: true, script: "export default {}", d1Databases: ["DB"] });
    const database = (await miniflare.getD1Database("DB")) as unknown as { withSession(): D1 };
    expect(() => d1Store(database.withSession())).toThrow(/withSession.*Pass env\.DB itself/);
    await miniflare.dispose();
  });
});

describe("libSQL over HTTP (promise 8, R37)", () => {
  const at = (port: number) => {
    const client = createClient({ url: `http://127.0.0.1:${port}` });
    return { store: libsqlStore(client), client };
  };

  test("nobody listens → an outage, and a write did not happen", async () => {
    const { store } = at(await freePort());
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503, outcome: "none" });
  });

  test.each([
    ["an answer that is none of libSQL's", "<html>Bad gateway</html>", 200],
    ["a status of a proxy", "Bad gateway", 502],
    ["a connection that breaks", null, 0],
  ])("%s → an outage, and the outcome of a write is unknown", async (_, body, status) => {
    const server = createServer((request, response) => {
      request.resume();
      if (body === null) request.socket.destroy();
      else response.writeHead(status, { "content-type": "text/html" }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { store } = at((server.address() as AddressInfo).port);
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503, outcome: "unknown" });
    await expect(store.read([randomRow().id])).rejects.toMatchObject({ status: 503, outcome: "none" });
    await new Promise((resolve) => server.close(resolve));
  });

  test("a runtime whose fetch has errors of its own → an outage all the same", async () => {
    for (const [error, outcome] of [
      [Object.assign(new Error("Unable to connect."), { code: "ConnectionRefused" }), "none"],
      [
        Object.assign(new Error("The socket connection was closed."), { code: "ConnectionClosed" }),
        "unknown",
      ],
      [new TypeError("error sending request for url (http://127.0.0.1:1/)"), "unknown"],
      [new Error("Network connection lost."), "unknown"],
    ] as const) {
      const client = createClient({ url: "http://127.0.0.1:1", fetch: () => Promise.reject(error) });
      const failed = libsqlStore(client).insert([randomRow()]);
      await expect(failed, error.message).rejects.toMatchObject({ status: 503, outcome });
    }
  });
});
