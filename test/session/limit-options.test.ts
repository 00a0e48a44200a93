import assert from "node:assert/strict";
import { test } from "vitest";
import { createSessionManager, generateKey, memoryStore, OptionsError } from "../../src/index.ts";
import { railsFormat } from "../../src/rails/format.ts";

type Options = Parameters<typeof createSessionManager>[0];

function problemsOf(options: object): readonly string[] {
  try {
    createSessionManager({ store: memoryStore(), keys: generateKey(), ...options } as Options);
    return [];
  } catch (error) {
    assert.ok(error instanceof OptionsError);
    return error.problems;
  }
}

test("maxSessions: a count below 1 or no whole number, an unknown behavior, another key → refused at start", () => {
  assert.deepEqual(problemsOf({ maxSessions: { count: 1, onLimit: "refuse" } }), []);
  for (const maxSessions of [
    { count: 0, onLimit: "refuse" },
    { count: 1.5, onLimit: "refuse" },
    { count: "3", onLimit: "refuse" },
    { count: 3 },
    { count: 3, onLimit: "endNewest" },
    { count: 3, onLimit: "refuse", per: "device" },
    3,
    null,
  ]) {
    const [problem, ...others] = problemsOf({ maxSessions });
    assert.match(problem!, /^`maxSessions` must be \{ count, onLimit \}/);
    assert.deepEqual(others, []);
  }
});

test("maxSessions: a store that cannot count in the transaction of a login → refused at start, with the reason", () => {
  const { login: _, ...methods } = memoryStore() as unknown as Record<string, unknown>;
  const store = Object.assign(Object.create(memoryStore()) as object, methods, { login: undefined });
  const [problem] = problemsOf({ store, maxSessions: { count: 3, onLimit: "refuse" } });
  assert.match(problem!, /^`maxSessions` requires a store that counts and logs in within one transaction/);
});

test("maxSessions: Rails mode → refused at start, with the reason", () => {
  const format = railsFormat({ primaryKey: "a", keyDerivationSalt: "b", hashDigestClass: "SHA256" });
  const [problem] = problemsOf({ keys: undefined, format, maxSessions: { count: 3, onLimit: "refuse" } });
  assert.match(problem!, /^`maxSessions` cannot be combined with `format`: the rows of Rails mode/);
});
