import assert from "node:assert/strict";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import module from "node:module";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { pack, Project, root, subpaths } from "./projects.ts";
import { program } from "./program.ts";

// They stand on the client library that the user brings, and on nothing without it.
const needsPeer = ["stored-session/opentelemetry", "stored-session/prometheus"];
const bare = subpaths.filter((name) => !needsPeer.includes(name));

let folder: string;
let tarball: string;
const projects: Project[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-pack-"));
  tarball = pack(folder);
}, 180_000);

afterAll(() => {
  for (const made of projects) made.remove();
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

function project(type: "module" | "commonjs", others: readonly string[] = []): Project {
  const made = new Project(tarball, type, others);
  projects.push(made);
  return made;
}

test(
  "an empty ESM project without frameworks or drivers → imports every subpath",
  { timeout: 60_000 },
  () => {
    const esm = project("module");
    esm.write(
      "main.js",
      `for (const name of ${JSON.stringify(bare)}) if (Object.keys(await import(name)).length === 0) throw new Error(name);
     console.log("all");`,
    );
    assert.equal(esm.node("main.js"), "all\n");
  },
);

test("a page that a message or comment of the sources names → is in the package, and so are the files for Prometheus and Grafana", () => {
  const { folder: where } = project("module");
  const installed = (path: string) => existsSync(join(where, "node_modules/stored-session", path));
  const sources = globSync("src/**/*.ts", { cwd: root }).map((path) =>
    readFileSync(join(root, path), "utf8"),
  );
  const named = new Set(sources.flatMap((text) => text.match(/\bdocs\/[\w/-]+\.md\b/g) ?? []));
  assert.ok(named.has("docs/incident-guide.md") && named.has("docs/key-rotation.md"));
  for (const path of [
    ...named,
    "docs/alerts.yaml",
    "docs/grafana-dashboard.json",
    "docs/cli-output.schema.json",
  ])
    assert.ok(installed(path), path);
});

test("an empty CommonJS project → requires every subpath", { timeout: 60_000 }, () => {
  const commonjs = project("commonjs");
  commonjs.write(
    "main.js",
    `for (const name of ${JSON.stringify(bare)}) if (Object.keys(require(name)).length === 0) throw new Error(name);
     const { createSessionManager, generateKey, memoryStore } = require("stored-session");
     const { session } = require("stored-session/express");
     session(createSessionManager({ store: memoryStore(), keys: generateKey() }));
     console.log("all");`,
  );
  assert.equal(commonjs.node("main.js"), "all\n");
});

/** Files that an import loads: of the package, relative to its dist, and packages besides. */
function loadedBy(esm: Project, name: string): { own: string[]; packages: string[]; builtins: string[] } {
  esm.write(
    "loaded.js",
    `import { registerHooks } from "node:module";
     const urls = new Set();
     registerHooks({ resolve(specifier, context, next) {
       const resolved = next(specifier, context);
       urls.add(resolved.url);
       return resolved;
     } });
     await import(process.argv[2]);
     console.log(JSON.stringify([...urls]));`,
  );
  const urls = JSON.parse(esm.node("loaded.js", name)) as string[];
  const dist = join(esm.folder, "node_modules/stored-session/dist");
  const files = urls.filter((url) => url.startsWith("file:")).map((url) => new URL(url).pathname);
  return {
    own: files.filter((file) => file.startsWith(dist)).map((file) => relative(dist, file)),
    packages: [
      ...new Set(
        files
          .filter((file) => !file.startsWith(dist))
          .map((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(relative(root, file))?.[1] ?? file),
      ),
    ].toSorted(),
    builtins: urls.filter((url) => url.startsWith("node:")),
  };
}

// What is loaded is the same on each Node, and 22.13 has no such hook.
const sees = "registerHooks" in module;

/** Modules of Node that load all that they export lazily when they are imported by name: up to 45 ms of a start. */
function slowOf(builtins: readonly string[]): string[] {
  return builtins.filter((name) => name === "node:util" || name === "node:http");
}

test.runIf(sees)(
  "importing stored-session alone → loads no adapter, driver or framework",
  { timeout: 60_000 },
  () => {
    const { own, packages, builtins } = loadedBy(project("module"), "stored-session");
    assert.deepEqual(packages, ["cookie"]);
    assert.deepEqual(
      own.filter((file) => /^(adapters|cli|testing|rails|dashboard)\//.test(file)),
      [],
    );
    assert.deepEqual(
      own.filter((file) => /^sql\/(sqlite|postgres|mysql)/.test(file)),
      [],
    );
    assert.ok(!builtins.includes("node:sqlite"));
    const files = ["index.js", "shared/base.js", "shared/core.js"];
    assert.deepEqual(own.toSorted(), files, "three files, so that it starts fast");
    assert.deepEqual(slowOf(builtins), []);
  },
);

test.runIf(sees)(
  "importing an adapter → loads nothing of its framework, even if that is installed",
  { timeout: 120_000 },
  () => {
    const frameworks = [
      "express",
      "fastify",
      "koa",
      "hono",
      "react-router",
      "next",
      "h3",
      "better-auth",
      "elysia",
      "express-session",
      "koa-session",
    ];
    const esm = project("module", [...frameworks, "@hapi/hapi"]);
    for (const name of [
      ...frameworks,
      "adonisjs",
      "authjs",
      "fetch",
      "node",
      "astro",
      "sveltekit",
      "tanstack-start",
      "hapi",
    ]) {
      const { packages, builtins } = loadedBy(esm, `stored-session/${name}`);
      assert.deepEqual(
        packages.filter((other) => other !== "cookie"),
        [],
        name,
      );
      assert.deepEqual(slowOf(builtins), [], name);
    }
  },
);

test(
  "a TypeScript project (nodenext) → type-checks every subpath, and data is typed in every adapter",
  { timeout: 120_000 },
  () => {
    const typescript = project("module", [
      "typescript",
      "@types/node",
      "@types/express",
      "@types/koa",
      "@auth/core",
      "@hapi/hapi",
      "better-auth",
      "elysia",
      "express",
      "fastify",
      "hono",
      "h3",
      "h3-v1",
      "koa",
      "next",
      "react-router",
      "valibot",
      "zod",
      "@opentelemetry/api",
      "prom-client",
    ]);
    typescript.write(
      "tsconfig.json",
      JSON.stringify({
        compilerOptions: {
          module: "nodenext",
          target: "es2023",
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          types: ["node"],
          skipLibCheck: true,
        },
      }),
    );
    typescript.write(
      "every.ts",
      subpaths.map((name, n) => `import * as module${n} from "${name}";\nvoid module${n};`).join("\n"),
    );
    typescript.write("program.ts", program);
    assert.equal(typescript.node("node_modules/typescript/bin/tsc", "-p", "."), "");
  },
);
