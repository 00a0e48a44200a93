import assert from "node:assert/strict";
import { Writable } from "node:stream";
import pino from "pino";
import { test } from "vitest";
import winston from "winston";
import { channels, trace, type WriteEvent } from "./channels.ts";
import { logSessions } from "./log.ts";

async function events(): Promise<void> {
  await trace(
    "read",
    () => ({ operation: "read", handle: "H1" }),
    async () => null,
    (event) => (event.found = false),
  );
  const write: WriteEvent = { operation: "update", reason: "save", handle: "H2", bytes: 70 };
  await trace(
    "write",
    () => write,
    async () => false,
    (event, applied) => (event.applied = applied),
  );
  const login: WriteEvent = {
    operation: "replace",
    reason: "login",
    handle: "H3",
    previousHandle: "H2",
    bytes: 70,
  };
  await trace(
    "write",
    () => login,
    async () => true,
    (event, applied) => (event.applied = applied),
  );
  await trace(
    "delete",
    () => ({ operation: "revoke-all" }),
    async () => 3,
    (event, count) => (event.deleted = count),
  );
  await trace(
    "touch",
    () => ({ operation: "touch", handle: "H4" }),
    () => Promise.reject(new RangeError("secret text")),
  ).catch(() => {});
  channels.refuse.publish({ handle: "H5", reason: "commitment" });
  channels.conflict.publish({ handle: "H6", outcome: "merged", attempt: 1 });
}

const lines = [
  ["debug", /^Session read miss \(\d+\.\dms\) H1$/],
  ["debug", /^Session update not applied \(\d+\.\dms\) H2$/],
  ["debug", /^Session replace for login \(\d+\.\dms\) H3$/],
  ["debug", /^Session revoke-all deleted 3 \(\d+\.\dms\)$/],
  ["debug", /^Session touch failed: RangeError \(\d+\.\dms\) H4$/],
  ["warn", /^Session refused \(commitment\) H5$/],
  ["debug", /^Session conflict \(merged, attempt 1\) H6$/],
] as const;

test("R48 each operation → a debug line; each refusal → a warning; after stop → nothing", async () => {
  const said: [string, string][] = [];
  const stop = logSessions({
    debug: (message) => said.push(["debug", message]),
    warn: (message) => said.push(["warn", message]),
  });
  await events();
  stop();
  await events();
  assert.equal(said.length, lines.length);
  for (const [index, [level, pattern]] of lines.entries()) {
    assert.equal(said[index]![0], level);
    assert.match(said[index]![1], pattern);
  }
  assert.equal(channels.read.hasSubscribers, false);
});

test("pino and winston → accepted without an adapter", async () => {
  let text = "";
  const sink = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  const stops = [
    logSessions(pino({ level: "debug" }, sink)),
    logSessions(
      winston.createLogger({ level: "debug", transports: [new winston.transports.Stream({ stream: sink })] }),
    ),
  ];
  await events();
  for (const stop of stops) stop();
  const logged = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { msg?: string; message?: string });
  assert.equal(logged.length, 2 * lines.length);
  assert.ok(!text.includes("secret text"));
});
