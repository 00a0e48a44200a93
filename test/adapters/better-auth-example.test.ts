import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { freePort } from "../../scripts/services/processes.ts";
import { Visitor } from "../../src/testing/adapter-world.ts";
import { root, startExample, type RunningExample } from "./example-process.ts";
import { walkThrough } from "./example-walk.ts";

let example: RunningExample;

beforeAll(async () => {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const port = String(await freePort());
  example = await startExample("better-auth", ["server.ts"], {
    NODE_ENV: "production",
    PORT: port,
    BASE_URL: `http://localhost:${port}`,
  });
}, 120_000);

afterAll(() => example?.stop());

walkThrough("better-auth", () => example);

test("better-auth: its own routes and client → list-sessions lists what is stored", async () => {
  const visitor = new Visitor(example.url);
  const form = {
    method: "POST",
    body: new URLSearchParams({ user: "ben" }),
    headers: { origin: example.url },
  };
  await visitor.get("/login", form);
  await visitor.get("/login", form);
  const { body } = await visitor.get("/api/auth/list-sessions");
  assert.equal((JSON.parse(body) as object[]).length, 2);
});

test("better-auth: the example against the built package → type-checks", { timeout: 120_000 }, () => {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", join(root, "examples/better-auth"), "--noEmit"], {
    stdio: "pipe",
  });
});
