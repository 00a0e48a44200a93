import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { test } from "vitest";
import {
  answerDeviceBinding,
  answerError,
  attachSession,
  requireFresh,
  withSession,
} from "../../src/adapters/node/node-response.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { Visitor } from "../../src/testing/adapter-world.ts";
import {
  contractError,
  contractFresh,
  contractHeaders,
  type ContractApp,
  type ContractSession,
} from "../../src/testing/index.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

function start(contract: ContractApp) {
  const fresh = requireFresh(contractFresh.within, contractFresh.options);
  const listener = withSession(
    contract.sessions,
    async (request, response: ServerResponse, session) => {
      if (request.url!.startsWith("/fresh/")) {
        if (fresh(request, response, session)) response.end("passed");
        return;
      }
      const answer = await contract.route(request.url!, () => session as unknown as ContractSession);
      for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
      if (answer.redirect !== undefined) response.setHeader("location", answer.redirect);
      response.statusCode = answer.status;
      if (answer.chunks !== undefined)
        await pipeline(Readable.from(answer.chunks, { objectMode: false }), response);
      else if (answer.file !== undefined) createReadStream(answer.file).pipe(response);
      else response.end(answer.body ?? undefined);
    },
    {
      onError(error, _request, response) {
        if (response.headersSent) return void response.destroy();
        const { status, body } = contractError(error);
        response.statusCode = status;
        response.end(body);
      },
    },
  );
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(contractHeaders)) response.setHeader(name, value);
    listener(request, response);
  });
  return running(server.listen(0, "127.0.0.1"));
}

adapterOnEachDatabase("node:http", { start, ways: ["file", "raw"] });

test("node:http with attachSession: answerDeviceBinding → registers, refreshes and refuses; other requests pass (R60)", async () => {
  let now = 1_800_000_000_000;
  const sessions = createSessionManager({
    store: memoryStore(),
    keys: generateKey(),
    clock: () => now,
    deviceBinding: { mode: "offer", path: "/device" },
  });
  const server = createServer(async (request, response) => {
    try {
      if (await answerDeviceBinding(sessions, request, response)) return;
      const session = await attachSession(sessions, request, response);
      if (request.url === "/login") session.login("42");
      response.end(session.user ?? "nobody");
    } catch (error) {
      answerError(error, request, response);
    }
  });
  const { url, close } = await running(server.listen(0, "127.0.0.1"));
  try {
    const owner = new Visitor(url);
    const device = new SoftwareDevice();
    const post = (headers: Record<string, string>) => owner.get("/device?x", { method: "POST", headers });
    const login = await owner.get("/login");
    const challenge = challengeIn(login.headers.get("secure-session-registration"));
    const refused = await post({ "secure-session-response": new SoftwareDevice().proof(challenge) });
    assert.deepEqual([refused.status, JSON.parse(refused.body)], [400, { error: "device_proof_key" }]);
    const registered = await post({ "secure-session-response": device.registration(challenge) });
    assert.equal(registered.status, 200);
    const { session_identifier: id } = JSON.parse(registered.body) as { session_identifier: string };
    now += 20 * 60_000;
    assert.equal((await new Visitor(url, owner.cookie).get("/")).body, "nobody");
    const asked = await post({ "sec-secure-session-id": id });
    const proof = device.proof(challengeIn(asked.headers.get("secure-session-challenge")));
    assert.equal((await post({ "sec-secure-session-id": id, "secure-session-response": proof })).status, 200);
    assert.equal((await owner.get("/")).body, "42");
    assert.equal((await owner.get("/devices")).body, "42", "another path");
  } finally {
    await close();
    await sessions.close();
  }
});
