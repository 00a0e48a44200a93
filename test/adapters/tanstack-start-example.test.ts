import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { root, startExample, type RunningExample } from "./example-process.ts";
import { walkThrough } from "./example-walk.ts";
import { buildTanStackStart } from "./tanstack-server.ts";

const folder = join(root, "examples/tanstack-start");
let example: RunningExample;

beforeAll(async () => {
  buildTanStackStart(folder);
  assert.ok(!existsSync(join(folder, "sessions.sqlite3")), "the build opens no database");
  example = await startExample("tanstack-start", ["server.js"], { NODE_ENV: "production" });
}, 180_000);

afterAll(() => example?.stop());

walkThrough("TanStack Start", () => example);

test("TanStack Start: everything that the example printed → no error apart from the store that was down", () => {
  const errors = example.printed().match(/^(?:\w*Error|\(node:.*).*$/gm) ?? [];
  assert.deepEqual(
    errors.map((line) => line.replace(/[ :].*/, "")),
    ["NotMigratedError"],
    example.printed(),
  );
});
