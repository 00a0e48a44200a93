import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { root, startExample, type RunningExample } from "./example-process.ts";
import { walkThrough } from "./example-walk.ts";

let example: RunningExample;

beforeAll(async () => {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  example = await startExample("hapi", ["server.ts"], { NODE_ENV: "production" });
}, 120_000);

afterAll(() => example?.stop());

walkThrough("hapi", () => example);

test("hapi: the example against the built package → type-checks", { timeout: 120_000 }, () => {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", join(root, "examples/hapi"), "--noEmit"], { stdio: "pipe" });
});
