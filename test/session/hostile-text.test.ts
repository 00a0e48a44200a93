import assert from "node:assert/strict";
import { test } from "vitest";
import { explain, Failure } from "../../src/cli/failure.ts";
import {
  createSessionManager,
  generateKey,
  memoryStore,
  type SessionManager,
  type StandardSchema,
} from "../../src/index.ts";
import { logSessions } from "../../src/telemetry/log.ts";
import { channels } from "../../src/telemetry/channels.ts";
import { encodeRuby } from "../../src/rails/encode.ts";
import { RubyBigDecimal, RubySymbol } from "../../src/rails/types.ts";

const hostile = "a\u009b2J\u0085\u2028\u2029\u202e\u2066\u200b\u001b[2J\r\n";
const dangerous = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

function harmless(error: unknown): true {
  assert.ok(error instanceof Error);
  assert.doesNotMatch(error.message, dangerous);
  assert.match(error.message, /\\u009b/);
  if ("path" in error) assert.doesNotMatch(error.path as string, dangerous);
  return true;
}

const options = { store: memoryStore(), keys: generateKey() };

async function save(sessions: SessionManager<Record<string, unknown>>, value: unknown): Promise<void> {
  const session = await sessions.load(null);
  session.data[hostile] = value;
  await sessions.commit(session);
}

test("R50 a key that a visitor chose, with a value that cannot be stored → an error safe to log", async () => {
  const sessions = createSessionManager<Record<string, unknown>>(options);
  await assert.rejects(
    save(sessions, () => 1),
    harmless,
  );
  await assert.rejects(save(sessions, { [hostile]: new Map([[hostile, () => 1]]) }), harmless);
  await assert.rejects(save(sessions, "x".repeat(2_000_000)), harmless);
});

test("R50 a key that a visitor chose, which the schema refuses → an error safe to log", async () => {
  const schema: StandardSchema<unknown, Record<string, unknown>> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: () => ({
        issues: [{ message: `Unknown key ${hostile}`, path: [hostile, 0, { key: hostile }] }],
      }),
    },
  };
  await assert.rejects(save(createSessionManager({ ...options, schema }), 1), harmless);
});

test("R50 Rails mode, a key that a visitor chose → an error safe to log", () => {
  const refused = () => 1;
  for (const value of [
    { [hostile]: refused },
    new Map([[hostile, refused]]),
    new Map([[RubySymbol.for(hostile), refused]]),
    { [hostile]: "x".repeat(2_000_000) },
    { [hostile]: Array.from({ length: 40 }).reduce<unknown>((inner) => [inner], 1) },
  ]) {
    assert.throws(() => encodeRuby(value), harmless);
  }
  assert.throws(() => new RubyBigDecimal(hostile), harmless);
});

test("R50 the command line, an error that quotes what others wrote → no control character but its line breaks", () => {
  const errors = [new Failure(hostile), new TypeError(hostile), new Error(hostile), hostile];
  for (const error of errors) {
    assert.doesNotMatch(explain(error).message!.replaceAll("\n", ""), dangerous);
  }
});

test("R50 the log, an error whose name comes from outside → a line without control characters", async () => {
  const lines: string[] = [];
  const stop = logSessions({ debug: (line) => lines.push(line), warn: (line) => lines.push(line) });
  const error = Object.assign(new Error("no"), { name: hostile });
  await channels.read
    .tracePromise(() => Promise.reject(error), { operation: "read" } as never)
    .catch(() => {});
  stop();
  assert.equal(lines.length, 1);
  assert.doesNotMatch(lines[0]!, dangerous);
});
