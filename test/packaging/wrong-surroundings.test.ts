import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, test } from "vitest";
import { nodeProblem } from "../../src/node-version.ts";
import { manifest, pack, Project, subpaths } from "./projects.ts";

let scratch: string;
let tarball: string;
const projects: Project[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "stored-session-surroundings-"));
  tarball = pack(scratch);
}, 180_000);

afterAll(() => {
  for (const made of projects) made.remove();
  rmSync(scratch, { recursive: true });
});

function project(type: "module" | "commonjs", others: readonly string[] = []): Project {
  const made = new Project(tarball, type, others);
  projects.push(made);
  return made;
}

describe("a Node that is too old", () => {
  const message = /needs Node 22\.13 or later .* this is Node 20\.19\.0\. Install the current LTS release/;
  // What the real ones do was tried with Node 18.20, 20.11, 20.19, 22.0 and 22.12.
  const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.19.0" } });`;
  // They read or subscribe only, and load nothing that could fail.
  const harmless = ["stored-session/log", "stored-session/opentelemetry", "stored-session/prometheus"];
  const guarded = subpaths.filter((name) => !harmless.includes(name));

  test.each([
    ["18.20.4", false],
    ["20.19.0", false],
    ["22.0.0", false],
    ["22.12.0", false],
    ["22.13.0", true],
    ["23.3.0", false],
    ["23.4.0", true],
    ["24.0.0", true],
    ["26.1.0", true],
    [undefined, true],
    ["", true],
  ])("%s → fit: %s", (version, fit) => {
    assert.equal(nodeProblem(version ?? "") === null, fit);
  });

  test("import of each subpath → an error that names both versions", { timeout: 60_000 }, () => {
    const esm = project("module");
    esm.write(
      "main.js",
      `${pretend}
       for (const name of ${JSON.stringify(guarded)}) {
         const { code, message } = await import(name).then(() => ({}), (error) => error);
         console.log(code, name, message);
       }`,
    );
    const lines = esm.node("main.js").trim().split("\n");
    assert.equal(lines.length, guarded.length);
    for (const line of lines) {
      assert.match(line, /^ERR_STORED_SESSION_NODE /);
      assert.match(line, message);
    }
  });

  test("require → the same", { timeout: 60_000 }, () => {
    const commonjs = project("commonjs");
    commonjs.write(
      "main.js",
      `${pretend}
       try { require("stored-session"); } catch ({ code, message }) { console.log(code, message); }`,
    );
    assert.match(commonjs.node("main.js"), message);
  });

  test("the command → one line and the exit code of wrong use", { timeout: 60_000 }, () => {
    const esm = project("module");
    esm.write("pretend.mjs", pretend);
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      ["--import", "./pretend.mjs", "node_modules/stored-session/dist/cli/main.js", "--help"],
      { cwd: esm.folder, encoding: "utf8" },
    );
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(stderr, message);
    assert.equal(stderr.trim().split("\n").length, 1);
  });

  test(
    "bundled by esbuild → the same: every side effect of the package is named",
    { timeout: 60_000 },
    async () => {
      const made = project("module");
      const { sideEffects } = manifest as unknown as { sideEffects: string[] };
      const installed = join(made.folder, "node_modules/stored-session");
      // The build of dist reads the list as well, before it puts the check into other files.
      const missing = sideEffects.filter((file) => !existsSync(join(installed, file)));
      assert.deepEqual(missing, ["./dist/node-check.js"]);
      for (const [place, name] of [
        "stored-session",
        "stored-session/express",
        "stored-session/sqlite",
      ].entries()) {
        // What it imports has no side effect, so without the check nothing of the package would run.
        made.write(
          `main${place}.js`,
          `${pretend} const { name } = await import("./app${place}.js"); console.log(name);`,
        );
        made.write(
          `app${place}.js`,
          `import * as it from ${JSON.stringify(name)}; export const name = typeof Object.values(it)[0];`,
        );
        await build({
          entryPoints: [join(made.folder, `app${place}.js`)],
          outfile: join(made.folder, `app${place}.js`),
          allowOverwrite: true,
          bundle: true,
          minify: true,
          platform: "node",
          format: "esm",
          packages: "bundle",
          external: ["better-sqlite3", "express"],
          logLevel: "error",
        });
        made.write(
          `try${place}.js`,
          `await import("./main${place}.js").catch(({ code, message }) => console.log(code, message));`,
        );
        assert.match(made.node(`try${place}.js`), message, name);
      }
    },
  );
});

describe("two copies of the package in one process", () => {
  const message = /comes from another copy of stored-session.*npm ls stored-session/;

  /** A project whose node_modules has the package twice, the second as `other-copy`. */
  function twice(others: readonly string[] = []): Project {
    const made = project("module", others);
    const second = project("module");
    const folder = join(made.folder, "node_modules/other-copy");
    renameSync(join(second.folder, "node_modules/stored-session"), folder);
    const text = readFileSync(join(folder, "package.json"), "utf8");
    writeFileSync(
      join(folder, "package.json"),
      text.replace('"name": "stored-session"', '"name": "other-copy"'),
    );
    return made;
  }

  test("a manager of one and an adapter of the other → a TypeError that says so", { timeout: 60_000 }, () => {
    const made = twice(["fastify"]);
    made.write(
      "main.js",
      `import fastify from "fastify";
       import { createSessionManager, generateKey, memoryStore } from "stored-session";
       import { createServer } from "node:http";
       import { session as express } from "other-copy/express";
       import { storedSession } from "other-copy/fastify";
       import { fetchSessions } from "other-copy/fetch";
       import { session as hono } from "other-copy/hono";
       import { session as koa } from "other-copy/koa";
       import { attachSession } from "other-copy/node";
       import { createStoredSessionStorage } from "other-copy/react-router";

       const sessions = createSessionManager({ store: memoryStore(), keys: generateKey(), cookie: { secure: false } });
       const request = { headers: {}, socket: {}, on() {}, once() {} };
       const raw = { get: () => undefined, headers: new Headers() };
       const context = { req: { raw: new Request("http://a/"), header() {} }, set() {}, get() {}, header() {}, app: {}, request: { req: request }, res: request, state: {} };
       const tries = {
         express: () => new Promise((done, fail) => express(sessions)(request, { ...request, getHeaderNames: () => [], on() {}, once() {} }, (error) => error ? fail(error) : done())),
         fastify: async () => {
           const server = fastify();
           await server.register(storedSession, { sessions });
           server.get("/", (request) => String(request.session.isNew));
           throw new TypeError((await server.inject("/")).json().message);
         },
         fetch: async () => fetchSessions(sessions).commit(await fetchSessions(sessions).load(new Request("http://a/")), new Response()),
         hono: () => hono(sessions)(context, async () => {}),
         koa: () => koa(sessions)({ ...context, req: request }, async () => {}),
         node: () => attachSession(sessions, request, { ...request, getHeaderNames: () => [] }),
         "react-router": async () => { const s = createStoredSessionStorage({ sessions }); await s.commitSession(await s.getSession()); },
       };
       for (const [name, attempt] of Object.entries(tries)) {
         try { await attempt(); console.log(name, "nothing"); } catch (error) { console.log(name, error.name, error.message); }
       }
       process.exit();`,
    );
    const lines = made.node("main.js").trim().split("\n");
    assert.equal(lines.length, 7);
    for (const line of lines) assert.match(line, message);
  });

  test("a session or a key ring of the other copy → the same", { timeout: 60_000 }, () => {
    const made = twice();
    made.write(
      "main.js",
      `import * as one from "stored-session";
       import * as other from "other-copy";
       const options = { store: one.memoryStore(), keys: one.generateKey() };
       const session = await other.createSessionManager({ ...options, store: other.memoryStore() }).load(null);
       for (const attempt of [
         () => one.createSessionManager(options).commit(session),
         () => one.createSessionManager(options).update(session, () => {}),
         () => one.createSessionManager({ ...options, keys: other.KeyRing.from(other.generateKey()) }),
       ]) {
         try { await attempt(); console.log("nothing"); } catch (error) { console.log(error.name, error.message); }
       }`,
    );
    const lines = made.node("main.js").trim().split("\n");
    assert.equal(lines.length, 3);
    for (const line of lines) assert.match(line, message);
  });
});
