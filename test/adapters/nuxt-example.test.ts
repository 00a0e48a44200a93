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
  const { VITEST: _, ...environment } = process.env;
  execFileSync(process.execPath, [join(root, "node_modules/nuxt/bin/nuxt.mjs"), "build"], {
    cwd: join(root, "examples/nuxt"),
    env: { ...environment, NODE_ENV: "production", NUXT_TELEMETRY_DISABLED: "1" },
    stdio: "pipe",
  });
  example = await startExample("nuxt", ["dist/output/server/index.mjs"], {
    NODE_ENV: "production",
    HOST: "127.0.0.1",
    PORT: String(await freePort()),
  });
}, 180_000);

afterAll(() => example?.stop());

walkThrough("Nuxt", () => example);

test("Nuxt: a page asks its own API while it is rendered → both share the session, and the page sends its cookie", async () => {
  const visitor = new Visitor(example.url);
  const first = await visitor.get("/");
  assert.equal(first.setCookies.length, 1);
  assert.equal(first.headers.get("cache-control"), "no-store");
  assert.match(first.body, /Visits: 1\./);
  assert.match((await visitor.get("/")).body, /Visits: 2\./);
  assert.equal((JSON.parse((await visitor.get("/api/visit")).body) as { visits: number }).visits, 3);
});
