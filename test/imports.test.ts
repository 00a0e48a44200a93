import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "vitest";

// Imports run one way, type-only ones included: a file may import from its own rank and from those before it.
const ranks: string[][] = [
  ["copies.ts", "errors.ts", "node-check.ts", "node-version.ts", "printable.ts", "row.ts"],
  ["codec", "sealing", "database"],
  ["migrations"],
  ["store"],
  ["instrumentation"],
  ["jobs"],
  ["options.ts", "session"],
  ["rails"],
  ["adapters", "dashboard"],
  ["testing", "index.ts"],
  ["cli"],
];
// Siblings that share a rank and yet know nothing of one another.
const strangers = new Set([
  "codec>sealing",
  "codec>database",
  "sealing>codec",
  "sealing>database",
  "database>codec",
  "database>sealing",
]);

const src = new URL("../src", import.meta.url).pathname;
const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
);

function part(file: string): string {
  return file.split("/")[0]!;
}
function rank(file: string): number {
  return ranks.findIndex((parts) => parts.includes(part(file)));
}

test("every file of src has a rank", () => {
  assert.deepEqual(
    files.filter((file) => rank(file) === -1),
    [],
  );
});

test("imports run one way", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const text = readFileSync(join(src, file), "utf8");
    for (const [, from] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      const target = relative(src, join(src, dirname(file), from!));
      if (rank(target) > rank(file) || strangers.has(`${part(file)}>${part(target)}`)) {
        wrong.push(`${file} imports ${target}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("R55 the core imports nothing but node and cookie", () => {
  const allowed = /^(node:|\.|@msgpack\/msgpack$|cookie$)/;
  const wrong: string[] = [];
  for (const file of files.filter((name) => rank(name) <= 6 || name === "index.ts")) {
    const text = readFileSync(join(src, file), "utf8");
    for (const [, from] of text.matchAll(/^(?:import|export)[^;]*?from\s+"([^"]+)"/gm)) {
      if (!allowed.test(from!)) wrong.push(`${file} imports ${from}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("no name that an older Node lacks is imported: the check of its version comes first", () => {
  // The command's own files are imported after the check.
  const lacking = /import \{[^}]*\bhash\b[^}]*\} from "node:crypto"|from "node:sqlite"/;
  const wrong = files.filter(
    (file) =>
      part(file) !== "cli" &&
      lacking.test(readFileSync(join(src, file), "utf8").replaceAll(/import type .*/g, "")),
  );
  assert.deepEqual(wrong, []);
});
