/** `npm run bench`: what a first import and the core cost, then the stores and middlewares side by side. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { resultsFile } from "./figures.ts";
import { readOptions, usage } from "./peers/options.ts";

const args = process.argv.slice(2);
let options: ReturnType<typeof readOptions>;
try {
  options = readOptions(args);
} catch (error) {
  console.error(`${(error as Error).message}\n${usage}`);
  process.exit(2);
}
if (options.help) {
  console.log(usage);
  process.exit(0);
}
const folder = fileURLToPath(new URL(".", import.meta.url));

if (options.audit) process.exit(run(process.execPath, ["audit.ts", String(options.events)]));
if (options.dashboard) {
  const names = args.includes("--database") ? options.databases.join(",") : "sqlite,postgres";
  process.exit(run(process.execPath, ["dashboard.ts", names, String(options.filler || 1_000_000)]));
}
if (options.start || !(options.core || options.peers)) runOrExit("start.ts");
if (options.start) process.exit();
if (!options.peers) runOrExit("core.ts");
if (!options.core) {
  if (!existsSync(new URL("node_modules/.package-lock.json", import.meta.url))) {
    console.log("\nInstalling the packages to compare with (benchmarks/package.json)");
    if (run("npm", ["ci"]) !== 0) {
      console.error(
        'Skipped the comparison with other stores: their packages could not be installed. Run "npm ci" in benchmarks/ and see why.',
      );
      process.exit(1);
    }
  }
  const status = run(process.execPath, [`${folder}peers.ts`, ...args], process.cwd());
  // A part of the candidates, or another file, says nothing about the figures of docs/performance.md.
  const isWhole = options.output === fileURLToPath(resultsFile) && options.only.length === 0;
  if (status === 0 && isWhole && options.databases.includes("postgres")) runOrExit("figures.ts");
  process.exitCode = status;
}

function runOrExit(file: string): void {
  const status = run(process.execPath, [file]);
  if (status !== 0) process.exit(status);
}

function run(program: string, given: readonly string[], cwd = folder): number {
  const { status } = spawnSync(program, given, { cwd, stdio: "inherit" });
  return status ?? 1;
}
