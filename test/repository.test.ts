/** What Git tracks: nothing that a program left behind. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

test("repository: folders at the top → those of the project, no cache or output", () => {
  const tracked = execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8" }).trim().split("\n");
  const folders = new Set(tracked.filter((path) => path.includes("/")).map((path) => path.split("/")[0]!));
  expect([...folders].toSorted()).toEqual([
    ".ci",
    "benchmarks",
    "decisions",
    "docs",
    "examples",
    "scripts",
    "src",
    "test",
  ]);
});
