// Compiles src to dist, and bundles what belongs together, unless dist is newer than all that it is made from: so that whoever needs it can ask for it,
// side by side, at no cost. `--force` compiles anyway.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { build, transform } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const stamp = join(root, "node_modules", ".stored-session-built");

const sources = [
  "tsconfig.json",
  "tsconfig.build.json",
  "package.json",
  "scripts/build.ts",
  ...readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => join("src", file)),
];
const newest = Math.ceil(Math.max(...sources.map((file) => statSync(join(root, file)).mtimeMs)));

/** Libraries that become part of dist, as decisions/0036 explains. Only the files behind the dashboard load them. */
const bundled = ["echarts", "hono"];

const fresh = existsSync(dist) && existsSync(stamp) && statSync(stamp).mtimeMs >= newest;

if (process.argv.includes("--force") || !fresh) {
  rmSync(dist, { recursive: true, force: true });
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
  await bundle();
  writeFileSync(stamp, "");
  utimesSync(stamp, new Date(newest), new Date(newest));
}

/**
 * Puts the modules of dist into few files: a process that starts loads one in a fraction of the time that it takes to
 * find and load a hundred. What several entries share is in a file of its own, so that each class exists once. The types
 * stay as they are.
 */
async function bundle(): Promise<void> {
  const { exports, bin, dependencies, peerDependencies, devDependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  ) as Record<string, Record<string, string>>;
  const outside = Object.keys({ ...dependencies, ...peerDependencies, ...devDependencies }).filter(
    (name) => !bundled.includes(name),
  );
  const entries = [...Object.values(exports!), ...Object.values(bin!), "./dist/cli/run.js"];
  const { outputFiles } = await build({
    entryPoints: entries.filter((file) => file.endsWith(".js")),
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    external: outside.flatMap((name) => [name, `${name}/*`]),
    platform: "node",
    format: "esm",
    target: "node22",
    charset: "utf8",
    keepNames: true, // errors and messages name classes
    outbase: "dist",
    outdir: "dist",
    chunkNames: "shared/[hash]",
    write: false,
    logLevel: "error",
  });
  for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" }))
    if (file.endsWith(".js")) rmSync(join(dist, file));
  for (const { path, contents, text } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true });
    // That of the library that draws charts: the others stay readable.
    const isLarge = contents.length > 500_000;
    writeFileSync(path, isLarge ? (await transform(text, { minify: true, keepNames: true })).code : contents);
  }
}
