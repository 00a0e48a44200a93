import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileAnchor, syslogAnchor, webhookAnchor } from "../../src/audit/anchors.ts";
import type { Anchored } from "../../src/audit/checkpoint.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { login, world } from "./world.ts";

async function signed(anchor: (checkpoint: Anchored) => Promise<void>, times = 2): Promise<Anchored[]> {
  const it = world();
  const trail = it.trail(memoryStore(), { anchor });
  const checkpoints: Anchored[] = [];
  for (let time = 0; time < times; time++) {
    await trail.record(login("ann"));
    checkpoints.push((await trail.checkpoint())!);
  }
  return checkpoints;
}

test("file: each checkpoint → a line with what verification needs", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-anchor-"));
  const path = join(folder, "anchors.ndjson");
  const checkpoints = await signed(fileAnchor(path));
  const lines = readFileSync(path, "utf8").trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(JSON.parse(JSON.stringify(checkpoints)));
  rmSync(folder, { recursive: true });
});

test("webhook: each checkpoint → posted as JSON; a refusal is a warning, and the trail goes on", async () => {
  const bodies: string[] = [];
  let status = 204;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += String(chunk)));
    request.on("end", () => {
      bodies.push(body);
      response.writeHead(status).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const checkpoints = await signed(webhookAnchor(url));
  expect(bodies.map((body) => (JSON.parse(body) as Anchored).hash)).toEqual(
    checkpoints.map(({ hash }) => hash),
  );
  status = 500;
  const warned = once(process, "warning");
  expect(await signed(webhookAnchor(url), 1)).toHaveLength(1);
  expect(((await warned)[0] as Error & { code: string }).code).toBe("STORED_SESSION_AUDIT_NOT_ANCHORED");
  server.close();
});

test("syslog: each checkpoint → a message of RFC 5424 with its number and hash", async () => {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const received = once(socket, "message");
  const [checkpoint] = await signed(syslogAnchor({ port: socket.address().port }), 1);
  const [message] = (await received) as [Buffer];
  expect(String(message)).toMatch(
    /^<109>1 \d{4}-\d\d-\d\dT\S+Z \S+ stored-session \d+ CHECKPOINT \[checkpoint@32473 number="1" /,
  );
  expect(String(message)).toContain(checkpoint!.hash);
  socket.close();
});
