/** docs/security-requirements.md names the tests of each requirement. This checks that they exist and name it back. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "vitest";

const root = join(import.meta.dirname, "../..");
const page = join(root, "docs/security-requirements.md");
const text = readFileSync(page, "utf8");

const rows = [...text.matchAll(/^\| (R\d+) \|(.*)\|$/gm)].map(([, number, cells]) => ({
  number: number!,
  files: [...cells!.matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => join(dirname(page), path!)),
}));
/** R57 links configuration files, which hold its thresholds and no test names. */
const named = rows.filter(({ number }) => number !== "R57");

function cites(file: string, number: string): boolean {
  return new RegExp(`\\b${number}\\b`).test(readFileSync(file, "utf8"));
}

test("security requirements: each → links a test that exists", () => {
  const broken = rows.flatMap(({ number, files }) => {
    const missing = files.filter((file) => !existsSync(file));
    return files.length === 0 || missing.length > 0 ? [`${number}: ${missing.join(", ") || "no link"}`] : [];
  });
  assert.deepEqual(broken, []);
});

test("security requirements: each linked test → names the requirement", () => {
  const silent = named.flatMap(({ number, files }) =>
    files.filter((file) => existsSync(file) && !cites(file, number)).map((file) => `${number}: ${file}`),
  );
  assert.deepEqual(silent, []);
});

test("security requirements: each number cited in source and tests → has a row on the page", () => {
  const known = new Set(rows.map(({ number }) => number));
  const unknown = new Set<string>();
  for (const file of globSync("{src,test,benchmarks,scripts}/**/*.ts", { cwd: root })) {
    for (const [number] of readFileSync(join(root, file), "utf8").matchAll(/\bR(?:[1-9]|[1-5]\d)\b/g)) {
      if (!known.has(number)) unknown.add(`${number} in ${file}`);
    }
  }
  assert.deepEqual([...unknown], []);
});
