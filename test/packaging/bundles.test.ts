import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeFileTrace } from "@vercel/nft";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { afterAll, beforeAll, describe, test } from "vitest";
import webpack from "webpack";
import { sqliteDrivers } from "../servers/chosen.ts";
import { pack, Project, root } from "./projects.ts";

// What an application bundles: it opens the store that the command line names, and prints what a read answers.
const application = `
import { createSessionManager, generateKey } from "stored-session";
import { mysqlStore } from "stored-session/mysql";
import { postgresStore } from "stored-session/postgres";
import { sqliteStore } from "stored-session/sqlite";

const stores = {
  postgres: () => postgresStore("postgres://nobody:secret@127.0.0.1:1/none"),
  mysql: () => mysqlStore("mysql://nobody:secret@127.0.0.1:1/none"),
  "better-sqlite3": () => sqliteStore(":memory:", { driver: "better-sqlite3" }),
  "node:sqlite": () => sqliteStore(":memory:"),
};
async function main() {
  const sessions = createSessionManager({ store: stores[process.argv[2]](), keys: generateKey(), cookie: { secure: false } });
  const session = await sessions.load(null);
  session.data.visits = 1;
  try {
    console.log(JSON.stringify({ saved: (await sessions.commit(session)) !== null }));
  } catch ({ name, code, status, message }) {
    console.log(JSON.stringify({ name, code, status, message }));
  }
  await sessions.close();
}
main();
`;
const drivers = ["pg", "mysql2", "better-sqlite3"];

type Bundle = (folder: string, entry: string, output: string) => Promise<void>;

const bundlers: Record<string, Bundle> = {
  esbuild: async (folder, entry, output) => {
    const entryPoints = [join(folder, entry)];
    const options = { bundle: true, platform: "node", format: "cjs", logLevel: "silent" } as const;
    await esbuild({ ...options, entryPoints, outfile: join(folder, output), external: ["better-sqlite3"] });
  },
  "Vite (Rolldown)": async (folder, entry, output) => {
    await vite({
      root: folder,
      configFile: false,
      logLevel: "silent",
      ssr: { noExternal: true, external: ["better-sqlite3"] },
      build: {
        ssr: join(folder, entry),
        outDir: folder,
        emptyOutDir: false,
        rolldownOptions: { output: { entryFileNames: output, format: "cjs", codeSplitting: false } },
      },
    });
  },
  webpack: async (folder, entry, output) => {
    await new Promise<void>((done, fail) => {
      webpack(
        {
          context: folder,
          entry: join(folder, entry),
          mode: "none",
          target: "node",
          externals: { "better-sqlite3": "commonjs better-sqlite3" },
          output: { path: folder, filename: output },
          plugins: [new webpack.optimize.LimitChunkCountPlugin({ maxChunks: 1 })],
        },
        (error, stats) => {
          if (error) fail(error);
          else if (stats!.hasErrors()) fail(new Error(stats!.toString("errors-only")));
          else done();
        },
      );
    });
  },
};

let scratch: string;
let tarball: string;
const projects: Project[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "stored-session-bundles-"));
  tarball = pack(scratch);
}, 180_000);

afterAll(() => {
  for (const made of projects) made.remove();
  rmSync(scratch, { recursive: true });
});

function project(others: readonly string[]): Project {
  const made = new Project(tarball, "module", others);
  projects.push(made);
  made.write("main.js", application);
  return made;
}

interface Answer {
  readonly saved?: boolean;
  readonly code?: string;
  readonly status?: number;
  readonly message?: string;
}

function run(made: Project, file: string, store: string): Answer {
  return JSON.parse(made.node(file, store)) as Answer;
}

function assertInstall(answer: Answer, name: string): void {
  assert.equal(answer.code, "ERR_STORED_SESSION_OPTIONS", JSON.stringify(answer));
  assert.equal(answer.status, 500);
  assert.match(answer.message!, new RegExp(`needs the package "${name}"\\. Run "npm install ${name}"`));
}

function assertWithout(made: Project, file: string): void {
  assertInstall(run(made, file, "postgres"), "pg");
  assertInstall(run(made, file, "mysql"), "mysql2");
  assertInstall(run(made, file, "better-sqlite3"), "better-sqlite3");
  assert.deepEqual(run(made, file, "node:sqlite"), { saved: true });
}

function assertWith(made: Project, file: string): void {
  for (const name of ["postgres", "mysql"]) {
    const answer = run(made, file, name);
    assert.equal(answer.code, "ERR_STORED_SESSION_STORE_UNAVAILABLE", JSON.stringify(answer));
    assert.equal(answer.status, 503);
  }
  for (const name of sqliteDrivers) assert.deepEqual(run(made, file, name), { saved: true });
}

describe("a driver is missing → a configuration error, no outage (promise 8)", () => {
  test("no bundler", { timeout: 60_000 }, () => assertWithout(project([]), "main.js"));

  test.each(Object.entries(bundlers))("%s", { timeout: 120_000 }, async (_name, bundle) => {
    const made = project([]);
    await bundle(made.folder, "main.js", "bundle.cjs");
    assertWithout(made, "bundle.cjs");
  });
});

describe("drivers are installed → the bundle finds them", () => {
  test("no bundler", { timeout: 60_000 }, () => assertWith(project(drivers), "main.js"));

  test.each(Object.entries(bundlers))("%s", { timeout: 120_000 }, async (_name, bundle) => {
    const made = project(drivers);
    await bundle(made.folder, "main.js", "bundle.cjs");
    // in a folder without pg and mysql2: they are in the bundle
    const elsewhere = new Project(tarball, "commonjs", ["better-sqlite3"]);
    projects.push(elsewhere);
    copyFileSync(join(made.folder, "bundle.cjs"), join(elsewhere.folder, "bundle.cjs"));
    assertWith(elsewhere, "bundle.cjs");
  });

  test(
    'file tracing, as Next traces for output: "standalone" → every driver is among the files',
    { timeout: 120_000 },
    async () => {
      const made = project(drivers);
      const { fileList } = await nodeFileTrace([join(made.folder, "main.js")], { base: "/" });
      const real = (name: string) => createRequire(join(root, "package.json")).resolve(name).slice(1);
      for (const name of ["pg", "mysql2/promise", "better-sqlite3"]) {
        assert.ok(fileList.has(real(name)), `${name} is not traced`);
      }
    },
  );
});
