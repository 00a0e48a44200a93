import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Older } from "./older.ts";
import { fetchPackages, makeTree, versionOf } from "./tree.ts";

const vitest = join(import.meta.dirname, "../../node_modules/vitest/vitest.mjs");

/** Installs older versions once and runs their suites in a copy of the repository. */
export async function runOlder(
  { packages, suites, databases = "sqlite", only, without = [], rewrite, hoisted }: Older,
  words: readonly string[] = [],
): Promise<{ version: string; passed: boolean }> {
  const modules = await fetchPackages(packages);
  const tree = makeTree(modules, { names: Object.keys(packages), ...(hoisted && { hoisted }) });
  try {
    rewrite?.(tree);
    const pattern = only === undefined ? [] : ["--testNamePattern", only];
    const left = without.flatMap((file) => ["--exclude", file]);
    const child = spawn(process.execPath, [vitest, "run", ...words, ...pattern, ...suites, ...left], {
      cwd: tree,
      env: { ...process.env, TEST_DATABASES: databases },
      stdio: "inherit",
    });
    const [code] = await once(child, "exit");
    return { version: versionOf(packages), passed: code === 0 };
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}
