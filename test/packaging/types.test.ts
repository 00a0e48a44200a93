import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { pack, Project, root, subpaths } from "./projects.ts";

// The oldest and the newest lie in workspaces of their own: one tsc only is linked into the root.
const places = {
  oldest: join(root, "test/packaging/oldest-types/node_modules"),
  current: join(root, "node_modules"),
  newest: join(root, "test/packaging/newest-types/node_modules"),
};
const versionOf = (folder: string, name: string) =>
  (JSON.parse(readFileSync(join(folder, name, "package.json"), "utf8")) as { version: string }).version;
const compilers = Object.values(places).map(
  (folder) => [`TypeScript ${versionOf(folder, "typescript")}`, folder] as const,
);
const nodes = Object.values(places).map(
  (folder) => [`@types/node ${versionOf(folder, "@types/node")}`, folder] as const,
);
const resolutions = [
  ["nodenext", { module: "nodenext" }],
  ["node20", { module: "node20" }],
  ["bundler", { module: "esnext", moduleResolution: "bundler" }],
] as const;

/** A framework that is not installed, asked for by the types of its own adapter. */
const absent =
  /^node_modules\/stored-session\/dist\/(adapters|instrumentation)\/.*TS2307: Cannot find module '(elysia|fastify|@hapi\/hapi|hono|koa|@opentelemetry\/api|prom-client)'/;

let scratch: string;
let tarball: string;
const projects: Project[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "stored-session-types-"));
  tarball = pack(scratch);
}, 180_000);

afterAll(() => {
  for (const made of projects) made.remove();
  rmSync(scratch, { recursive: true });
});

/** A project whose types of Node are those of a folder; the frameworks it has, resolved within it. */
function project(nodeTypes: string): Project {
  const made = new Project(tarball, "module", []);
  projects.push(made);
  const link = (name: string, from: string) => {
    const target = join(made.folder, "node_modules", name);
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(join(from, name), target);
  };
  link("@types/node", nodeTypes);
  link("undici-types", nodeTypes);
  made.write(
    "every.ts",
    [
      ...subpaths.map((name, n) => `import * as module${n} from "${name}";\nvoid module${n};`),
      'import { createSessionManager, generateKey, memoryStore, type StandardSchema } from "stored-session";',
      "const sessions = createSessionManager<{ cart: string[] }>({",
      '  store: memoryStore(), keys: generateKey(), idleTimeout: "15 min",',
      "});",
      "const cart: string[] | undefined = (await sessions.load(null)).data.cart;",
      "void cart;",
      "declare const schema: StandardSchema<{ cart?: string[] }, { cart: string[] }>;",
      "const whole = createSessionManager({ store: memoryStore(), keys: generateKey(), schema });",
      "const wholeCart: string[] = (await whole.load(null)).data.cart;",
      "await whole.update(await whole.load(null), (data) => void data.cart.push(...wholeCart));",
      "declare const part: StandardSchema<{ cart?: string[]; id: string }, { cart: string[]; id: string }>;",
      "const partly = createSessionManager({ store: memoryStore(), keys: generateKey(), schema: part });",
      "// @ts-expect-error a new session has no id, and so no defaults",
      "(await partly.load(null)).data.cart.length;",
      "// @ts-expect-error no unit is called so",
      'createSessionManager({ store: memoryStore(), keys: generateKey(), idleTimeout: "5 minits" });',
      'createSessionManager({ store: memoryStore(), keys: generateKey(), idleTimeout: "1.5h", touchEvery: 1000 });',
    ].join("\n"),
  );
  return made;
}

// Every two of compiler, Node types and resolution meet once; all 27 were tried when this was written.
const combinations = compilers.flatMap(([compiler, tsc], row) =>
  nodes.map(([node, nodeTypes], column) => {
    const [resolution, options] = resolutions[(row + column) % resolutions.length]!;
    return { compiler, tsc, node, nodeTypes, resolution, options };
  }),
);

test.each(combinations)(
  "packed types: $compiler, $node, $resolution, libraries checked as well → no error",
  { timeout: 180_000 },
  ({ tsc, nodeTypes, options }) => {
    const made = project(nodeTypes);
    made.write(
      "tsconfig.json",
      JSON.stringify({
        compilerOptions: {
          ...options,
          target: "es2023",
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          types: ["node"],
          skipLibCheck: false,
          preserveSymlinks: true,
        },
        files: ["every.ts"],
      }),
    );
    const lines = made.tsc(join(tsc, "typescript/bin/tsc")).split("\n");
    assert.deepEqual(
      lines.filter((line) => line !== "" && !absent.test(line)),
      [],
    );
  },
);
