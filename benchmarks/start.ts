/**
 * What a process pays that starts with the package, as a serverless function does: the size of a bundle of the core and
 * of each adapter and store, and the time of a first import beside that of express-session. Run by `npm run bench`, or
 * by `npm run bench -- --start` alone.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { median } from "./peers/statistics.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const rounds = 21;

/** Bytes of the core without adapters, minified and gzipped, that it is to stay below (issue 19). */
export const largestCore = 60 * 1024;

export interface BundleSize {
  readonly entry: string;
  readonly minified: number;
  readonly gzipped: number;
  /** Gzipped bytes that are loaded when they are first used: export, reseal, the audit trail. */
  readonly later: number;
}

/** The subpaths of the package and the modules they lead to. */
export function entries(): [string, string][] {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
    exports: Record<string, string>;
  };
  return Object.entries(exports).filter(([, file]) => file.endsWith(".js"));
}

/** What an import of one entry loads of this package and its dependencies, but no peer; and what may be loaded later. */
export async function bundleOf(file: string): Promise<BundleSize> {
  const { outputFiles, metafile } = await build({
    entryPoints: [`${root}${file}`],
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    outdir: "bundle",
    minify: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    external: [...builtinModules, "node:*", ...peers()],
    logLevel: "error",
  });
  const bytes = new Map(outputFiles.map(({ path, contents }) => [relative(root, path), contents]));
  const first = new Set<string>();
  const load = (output: string): void => {
    if (first.has(output)) return;
    first.add(output);
    for (const { path, kind } of metafile.outputs[output]!.imports) {
      if (kind === "import-statement" && bytes.has(path)) load(path);
    }
  };
  const isEntry = (output: string): boolean => metafile.outputs[output]!.entryPoint === normalize(file);
  load([...bytes.keys()].find(isEntry)!);
  const sum = (list: readonly string[], size: (contents: Uint8Array) => number): number =>
    list.reduce((total, output) => total + size(bytes.get(output)!), 0);
  const gzipped = (contents: Uint8Array): number => gzipSync(contents, { level: 9 }).length;
  return {
    entry: file,
    minified: sum([...first], ({ length }) => length),
    gzipped: sum([...first], gzipped),
    later: sum(
      [...bytes.keys()].filter((output) => !first.has(output)),
      gzipped,
    ),
  };
}

function peers(): string[] {
  const { peerDependencies } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
    peerDependencies: Record<string, string>;
  };
  return Object.keys(peerDependencies).flatMap((name) => [name, `${name}/*`]);
}

/** Milliseconds of a process that only imports, in turns; the first is a process that imports nothing. */
function importTimes(statements: readonly string[]): { wall: number; cpu: number }[] {
  const samples = statements.map(() => ({ wall: [] as number[], cpu: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, statement] of statements.entries()) {
      const code = `const began = performance.now(), cpu = process.cpuUsage();${statement};const { user, system } = process.cpuUsage(cpu);console.log(performance.now() - began, (user + system) / 1000)`;
      const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
        cwd: root,
        encoding: "utf8",
      });
      const [wall, cpu] = stdout.trim().split(" ").map(Number);
      if (wall === undefined || cpu === undefined || Number.isNaN(wall)) throw new Error(stderr);
      if (round === 0) continue; // reads the files from the disk
      samples[index]!.wall.push(wall);
      samples[index]!.cpu.push(cpu);
    }
  }
  return samples.map(({ wall, cpu }) => ({ wall: median(wall), cpu: median(cpu) }));
}

if (import.meta.main) {
  spawnSync(process.execPath, ["scripts/build.ts"], { cwd: root, stdio: "inherit" });
  console.log(
    "\nBundles, bytes: minified; minified and gzipped; and, gzipped, what is loaded when it is first used",
  );
  for (const [name, file] of entries()) {
    const { minified, gzipped, later } = await bundleOf(file);
    const note =
      name !== "." ? "" : gzipped < largestCore ? "  the core: below 60 KiB" : "  the core: above 60 KiB";
    console.log(`  ${name.padEnd(24)}${format(minified)}${format(gzipped)}${format(later)}${note}`);
  }
  const imports: [string, string][] = [
    ["stored-session", `await import("stored-session")`],
    ["express-session", `await import("express-session")`],
    ["stored-session/express", `await import("stored-session/express")`],
    ["stored-session/postgres", `await import("stored-session/postgres")`],
    ["stored-session/express-session", `await import("stored-session/express-session")`],
  ];
  const times = importTimes(imports.map(([, statement]) => statement));
  const reference = times[1]!;
  console.log(
    `\nFirst import in a new process, ms: wall, processor; medians of ${rounds - 1} rounds in turns`,
  );
  for (const [index, [name]] of imports.entries()) {
    const { wall, cpu } = times[index]!;
    const ratio = `${(wall / reference.wall).toFixed(2)}×, ${(cpu / reference.cpu).toFixed(2)}× express-session`;
    console.log(`  ${name.padEnd(34)}${wall.toFixed(1).padStart(8)}${cpu.toFixed(1).padStart(8)}   ${ratio}`);
  }
}

function format(bytes: number): string {
  return bytes.toLocaleString("en").padStart(12);
}
