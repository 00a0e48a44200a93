import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { root, startExample, type RunningExample } from "./example-process.ts";
import { walkThrough } from "./example-walk.ts";

let example: RunningExample;

beforeAll(async () => {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", join(root, "examples/adonisjs")], { stdio: "inherit" });
  example = await startExample("adonisjs", ["dist/bin/server.js"], { NODE_ENV: "production" });
}, 120_000);

afterAll(() => example?.stop());

walkThrough("AdonisJS", () => example);
