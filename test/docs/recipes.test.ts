import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, test } from "vitest";
import { databases } from "../servers/databases.ts";

const root = join(import.meta.dirname, "../..");
const node = process.execPath;
const folders: string[] = [];

beforeAll(() => {
  execFileSync(node, [join(root, "scripts/build.ts")], { stdio: "inherit" });
}, 120_000);

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** The code of a page of the documentation, by the file name in the first line of each block. */
function codeOf(page: string): Map<string, string> {
  const text = readFileSync(join(root, "docs", page), "utf8");
  const blocks = text.matchAll(/^```js\n\/\/ (\S+)\n(.*?)^```$/gms);
  return new Map(Array.from(blocks, ([, name, code]) => [name!, code!]));
}

/** A folder with files in it, where packages are found as in an application. */
function projectOf(files: Iterable<readonly [string, string]>): string {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-docs-"));
  folders.push(folder);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), "{}");
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  return folder;
}

/** Runs a program of Node; answers what it printed, and throws that when it fails. */
async function run(cwd: string, words: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { VITEST: _, ...environment } = process.env;
  const options = { cwd, env: { ...environment, ...env } };
  const { stdout, stderr } = await promisify(execFile)(node, words, options).catch((error) => {
    throw new Error(`${String(error.stdout)}\n${String(error.stderr)}`, { cause: error });
  });
  return stdout + stderr;
}

describe("docs/testing.md", () => {
  const files = codeOf("testing.md");
  const jest = ["--experimental-vm-modules", join(root, "node_modules/jest/bin/jest.js"), "--rootDir", "."];

  test("Vitest and supertest → the tests of the page pass", { timeout: 120_000 }, async () => {
    const cwd = projectOf(files);
    const words = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--root", cwd, "cart.vitest"];
    writeFileSync(join(cwd, "vitest.config.mjs"), 'export default { test: { include: ["*.vitest.mjs"] } };');
    assert.match(await run(cwd, words, { NO_COLOR: "1" }), /Tests +2 passed/);
  });

  for (const [kind, name, count] of [
    ["ES modules", "cart.test.mjs", 2],
    ["CommonJS", "cart.test.cjs", 1],
  ] as const) {
    test(`Jest, ${kind} → the tests of the page pass`, { timeout: 120_000 }, async () => {
      const cwd = projectOf(files);
      assert.match(
        await run(cwd, [...jest, name], { NO_COLOR: "1" }),
        new RegExp(`${count} passed, ${count} total`),
      );
    });
  }
});

describe("docs/development.md", () => {
  const recipe = codeOf("development.md").get("sessions.mjs")!;
  const reload = `
    import { readdirSync } from "node:fs";
    const counts = [];
    for (let n = 0; n < 25; n++) {
      const { sessions } = await import("./sessions.mjs?" + n);
      await Promise.all(Array.from({ length: 5 }, () => sessions.count()));
      counts.push(readdirSync("/dev/fd").length);
    }
    console.log(JSON.stringify(counts));
    process.exit(0);
  `;
  const openFiles = async (sessions: string, env: Record<string, string>) => {
    const { generateKey } = await import("../../src/index.ts");
    const cwd = projectOf([
      ["sessions.mjs", sessions],
      ["reload.mjs", reload],
    ]);
    const keys = { STORED_SESSION_KEYS: generateKey(), NODE_NO_WARNINGS: "1" };
    return JSON.parse(await run(cwd, ["reload.mjs"], { ...keys, ...env })) as number[];
  };

  test("SQLite, 25 reloads → as many open files as after the first; without the recipe more each time", async () => {
    const kept = await openFiles(recipe, {});
    assert.equal(kept.at(-1), kept[0]);
    const naive = recipe.replace("(globalThis.storedSessions ??= makeSessions())", "makeSessions()");
    assert.notEqual(naive, recipe);
    const leaked = await openFiles(naive, {});
    assert.ok(leaked.at(-1)! >= leaked[0]! + 24, String(leaked));
  });

  for (const database of databases.filter(({ url }) => url !== null)) {
    test(
      `${database.name}, 25 reloads → no connection more than one pool has`,
      { timeout: 60_000 },
      async () => {
        await using created = await database.createStore();
        await created.store.migrate();
        const make = database.kind === "postgres" ? "postgres" : "mysql";
        const sessions = recipe
          .replace("sqliteStore }", `${make}Store }`)
          .replace("stored-session/sqlite", `stored-session/${make}`)
          .replace(
            'sqliteStore("sessions.sqlite3")',
            `${make}Store(process.env.URL, { table: process.env.TABLE })`,
          );
        const counts = await openFiles(sessions, { URL: database.url!, TABLE: created.table });
        assert.ok(counts.at(-1)! <= counts[0]! + 10, String(counts)); // the pool opens up to `poolSize`
      },
    );
  }
});

describe("docs/shutdown.md", () => {
  const server = codeOf("shutdown.md").get("server.mjs")!;
  const files = [
    ["server.mjs", server],
    ["sessions.mjs", codeOf("development.md").get("sessions.mjs")!],
    [
      "app.mjs",
      `
      import express from "express";
      import { once } from "node:events";
      import { session } from "stored-session/express";
      import { sessions } from "./sessions.mjs";
      export const app = express();
      app.use(session(sessions));
      app.get("/slow", async (req, res) => {
        console.log("slow");
        await once(process, "SIGTERM");
        await new Promise((resolve) => setImmediate(resolve));
        req.session.data.slow = "saved";
        res.send("done");
      });
      const listen = app.listen.bind(app);
      app.listen = (port) => {
        const server = listen(port, "127.0.0.1", () => console.log("port " + server.address().port));
        return server;
      };
    `,
    ],
  ] as const;

  test(
    "SIGTERM while a request is under way → it is answered and its session saved, then the process ends with 0 (promise 7)",
    { timeout: 60_000 },
    async () => {
      const { createSessionManager, generateKey } = await import("../../src/index.ts");
      const { sqliteStore } = await import("../../src/sql/sqlite/store.ts");
      const cwd = projectOf(files);
      const keys = generateKey();
      const env = { ...process.env, PORT: "0", STORED_SESSION_KEYS: keys, NODE_ENV: "development" };
      const child = spawn(node, ["server.mjs"], { cwd, env, stdio: ["ignore", "pipe", "inherit"] });
      const exited = once(child, "exit");
      let printed = "";
      const until = async (pattern: RegExp) => {
        for (;;) {
          const found = pattern.exec(printed);
          if (found !== null) return found;
          const [chunk] = (await once(child.stdout, "data")) as [Buffer];
          printed += String(chunk);
        }
      };
      const [, port] = await until(/port (\d+)/);
      const answer = fetch(`http://127.0.0.1:${port}/slow`);
      await until(/slow/);
      child.kill("SIGTERM");
      const response = await answer;
      assert.equal(await response.text(), "done");
      assert.deepEqual(await exited, [0, null]);
      const sessions = createSessionManager<{ slow: string }>({
        store: sqliteStore(join(cwd, "sessions.sqlite3")),
        keys,
        cookie: { secure: false },
      });
      const session = await sessions.load(response.headers.getSetCookie()[0]!.split(";")[0]);
      assert.equal(session.data.slow, "saved");
      await sessions.close();
    },
  );

  test("close() before the server has stopped → a later request gets a 503 that says so", async () => {
    const { createSessionManager, generateKey, memoryStore } = await import("../../src/index.ts");
    const sessions = createSessionManager({ store: memoryStore(), keys: generateKey() });
    const visit = await sessions.load(undefined);
    visit.login("42");
    const cookie = (await sessions.commit(visit))!.split(";")[0];
    await sessions.close();
    await assert.rejects(sessions.load(cookie), { code: "ERR_STORED_SESSION_CLOSED", status: 503 });
  });
});
