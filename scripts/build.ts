// Compiles src to dist, and bundles what belongs together, unless dist is newer than all that it is made from: so that whoever needs it can ask for it,
// side by side, at no cost. `--force` compiles anyway.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.ts";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const stamp = join(root, "node_modules", ".stored-session-built");

const sources = [
  "tsconfig.json",
  "tsconfig.build.json",
  "package.json",
  "scripts/build.ts",
  "scripts/bundle.ts",
  ...readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => join("src", file)),
];
const newest = Math.ceil(Math.max(...sources.map((file) => statSync(join(root, file)).mtimeMs)));

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
