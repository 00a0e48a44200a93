import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, test } from "vitest";
import { root, startExample } from "./example-process.ts";

const node = process.execPath;
const tsc = join(root, "node_modules/typescript/bin/tsc");

interface Example {
  readonly folder: string;
  readonly start: readonly string[];
  /** Run before it starts: builds it. */
  readonly build?: readonly string[];
  readonly environment?: Record<string, string>;
  readonly flashes?: boolean;
}

const examples: readonly Example[] = [
  { folder: "fastify", start: ["server.ts"] },
  { folder: "koa", start: ["server.ts"] },
  { folder: "hono", start: ["server.ts"] },
  { folder: "react-router", start: ["server.ts"] },
  { folder: "nest", build: [tsc, "-p", "."], start: ["dist/main.js"] },
  { folder: "nest", start: ["dist/main.js"], environment: { PLATFORM: "fastify" } },
  { folder: "express-session-passport", start: ["server.js"], flashes: false },
];

beforeAll(() => {
  execFileSync(node, [join(root, "scripts/build.ts")], { stdio: "inherit" });
}, 120_000);

/** Starts an example as its package.json does, on any free port, and ends it after the test. */
async function running(example: Example, body: (url: string) => Promise<void>): Promise<void> {
  const cwd = join(root, "examples", example.folder);
  if (example.build !== undefined)
    execFileSync(node, example.build, {
      cwd,
      env: { ...process.env, NODE_ENV: "production" },
      stdio: "pipe",
    });
  const { url, printed, stop } = await startExample(example.folder, example.start, example.environment);
  try {
    await body(url);
  } finally {
    await stop();
  }
  assert.doesNotMatch(printed(), /STORED_SESSION_|error/i);
}

for (const example of examples) {
  const platform = example.environment?.["PLATFORM"];
  test(
    `the example ${example.folder}${platform === undefined ? "" : ` on ${platform}`}: visits, login and logout → counted, a new id, and out (promise 4, R17, R13)`,
    { timeout: 60_000 },
    () =>
      running(example, async (url) => {
        const jar = new Map<string, string>();
        const ask = async (path: string, form?: Record<string, string>) => {
          const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
          const answer = await fetch(url + path, {
            redirect: "manual",
            headers: { ...(cookie !== "" && { cookie }), origin: url, accept: "text/html" },
            ...(form !== undefined && { method: "POST", body: new URLSearchParams(form) }),
          });
          for (const line of answer.headers.getSetCookie()) {
            const [pair = ""] = line.split(";");
            const name = pair.slice(0, pair.indexOf("="));
            if (/max-age=0/i.test(line)) jar.delete(name);
            else jar.set(name, pair.slice(name.length + 1));
          }
          // React puts comments between the pieces of a text
          return { status: answer.status, text: (await answer.text()).replaceAll("<!-- -->", "") };
        };
        assert.match((await ask("/")).text, /Hello nobody\. Visits: 1\./);
        assert.match((await ask("/")).text, /Hello nobody\. Visits: 2\./);
        const before = new Map(jar);
        assert.ok([302, 303].includes((await ask("/login", { user: "ada" })).status));
        assert.notDeepEqual(jar, before);
        const home = await ask("/");
        assert.match(home.text, /Hello ada\. Visits: 3\./);
        if (example.flashes !== false) {
          assert.match(home.text, /Welcome back/);
          assert.doesNotMatch((await ask("/")).text, /Welcome back/);
        }
        assert.ok([302, 303].includes((await ask("/logout", { user: "" })).status));
        assert.match((await ask("/")).text, /Hello nobody\. Visits: 1\./);
      }),
  );
}

test("examples: against the built package → type-check", { timeout: 120_000 }, () => {
  for (const folder of ["fastify", "koa", "hono", "react-router"]) {
    try {
      execFileSync(node, [tsc, "-p", join(root, "examples", folder), "--noEmit"], { stdio: "pipe" });
    } catch (error) {
      assert.fail(String((error as { stdout: Buffer }).stdout));
    }
  }
});
