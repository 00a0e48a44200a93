import assert from "node:assert/strict";
import client from "prom-client";
import { afterEach, beforeEach, test } from "vitest";
import { createSessionManager, type SessionManager } from "../../src/index.ts";
import { channels } from "../../src/telemetry/channels.ts";
import { logSessions } from "../../src/telemetry/log.ts";
import { instrumentSessions } from "../../src/telemetry/opentelemetry.ts";
import { measureSessions } from "../../src/telemetry/prometheus.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import { mintToken } from "../../src/session/token.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { fakeClock, type FakeClock } from "../../src/testing/clock.ts";
import { cookieOf, counted, olderKey, testKeys } from "./doubles.ts";

type Data = Record<string, unknown>;

let clock: FakeClock;
let statements: ReturnType<typeof counted>;
let sessions: SessionManager<Data>;
let warnings: (Error & { code?: string })[];
const listen = (warning: Error) => void warnings.push(warning);

beforeEach(() => {
  clock = fakeClock();
  statements = counted(memoryStore());
  sessions = createSessionManager<Data>({ store: statements.store, keys: testKeys, clock: clock.now });
  warnings = [];
  process.on("warning", listen);
});
afterEach(() => process.off("warning", listen));

const others = KeyRing.from(olderKey);
const forged = () => `__Host-session=${mintToken(others).text}`;
const malformed = "__Host-session=nonsense";

async function warned(): Promise<string[]> {
  await new Promise((resolve) => setImmediate(resolve));
  return warnings.filter(({ code }) => code === "STORED_SESSION_UNKNOWN_KEY").map(({ message }) => message);
}

test("promise 1: cookies of another key, malformed and empty ones → each told with its reason, and no statement", async () => {
  const told: unknown[] = [];
  const subscriber = (event: unknown) => void told.push(event);
  channels.refuse.subscribe(subscriber);
  try {
    for (const cookie of [forged(), malformed, "__Host-session=", "other=1"]) {
      assert.equal((await sessions.load(cookie)).isNew, true);
    }
  } finally {
    channels.refuse.unsubscribe(subscriber);
  }
  assert.deepEqual(told, [{ reason: "unknown_key" }, { reason: "malformed" }]);
  assert.equal(statements.total(), 0);
});

test("rejected cookies: 20 of another key within a minute → one process warning that says what to do, however many follow", async () => {
  for (let i = 0; i < 19; i++) await sessions.load(forged());
  assert.deepEqual(await warned(), []);
  for (let i = 0; i < 100; i++) await sessions.load(forged());
  const [message, ...more] = await warned();
  assert.match(message!, /^20 session cookies within a minute .* 0 were accepted.*STORED_SESSION_KEYS/);
  assert.deepEqual(more, []);
});

test("rejected cookies: 19 a minute, or malformed ones in any number → no warning", async () => {
  for (let minute = 0; minute < 5; minute++) {
    for (let i = 0; i < 19; i++) await sessions.load(forged());
    for (let i = 0; i < 100; i++) await sessions.load(malformed);
    clock.advance(60_000);
  }
  clock.advance(-3_600_000);
  for (let i = 0; i < 19; i++) await sessions.load(forged());
  assert.deepEqual(await warned(), []);
});

test("rejected cookies: more are accepted than rejected → no warning", async () => {
  const session = await sessions.load(null);
  session.data["n"] = 1;
  const cookie = cookieOf(await sessions.commit(session));
  for (let i = 0; i < 100; i++) {
    await sessions.load(forged());
    await sessions.load(cookie);
    await sessions.load(cookie);
  }
  assert.deepEqual(await warned(), []);
});

test("rejected cookies: Prometheus → counted by reason, from zero", async () => {
  const registry = new client.Registry();
  const stop = measureSessions(client, { registry });
  const values = async () => {
    const { values: found } = await registry.getSingleMetric("stored_session_cookies_rejected_total")!.get();
    return Object.fromEntries(found.map(({ labels, value }) => [labels["reason"], value]));
  };
  assert.deepEqual(await values(), { malformed: 0, unknown_key: 0 });
  await sessions.load(forged());
  await sessions.load(forged());
  await sessions.load(malformed);
  assert.deepEqual(await values(), { malformed: 1, unknown_key: 2 });
  assert.doesNotMatch(await registry.metrics(), /refusals_total\{[^}]*\} [1-9]/);
  stop();
});

test("rejected cookies: OpenTelemetry → counted by reason, from zero", async () => {
  const added: [string, number, unknown][] = [];
  const meter = {
    createHistogram: () => ({ record() {} }),
    createCounter: (name: string) => ({
      add: (value: number, attributes: unknown) => void added.push([name, value, attributes]),
    }),
  };
  const stop = instrumentSessions({ meter });
  await sessions.load(forged());
  stop();
  const name = "stored_session.cookies.rejected";
  assert.deepEqual(
    added.filter(([counter, value]) => counter !== name && value !== 0),
    [],
  );
  assert.deepEqual(
    added.filter(([counter]) => counter === name),
    [
      [name, 0, { "stored_session.reason": "malformed" }],
      [name, 0, { "stored_session.reason": "unknown_key" }],
      [name, 1, { "stored_session.reason": "unknown_key" }],
    ],
  );
});

test("rejected cookies: log lines → one a minute for each reason, with the number of the others", async () => {
  const lines: string[] = [];
  let now = 0;
  const stop = logSessions({ debug() {}, warn: (line) => lines.push(line) }, { now: () => now });
  for (let i = 0; i < 5; i++) await sessions.load(forged());
  await sessions.load(malformed);
  now = 60_000;
  await sessions.load(forged());
  stop();
  assert.deepEqual(lines, [
    "Session cookie rejected (unknown_key)",
    "Session cookie rejected (malformed)",
    "Session cookie rejected (unknown_key), and 4 more since the previous line",
  ]);
});
