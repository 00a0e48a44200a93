import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "vitest";

const src = new URL("../src", import.meta.url).pathname;
const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
);
const known = new Set(files);

/** Files beside the folders. The basic ones may be imported by all, those that join the folders by what stands above. */
const basic = ["copies.ts", "errors.ts", "node-check.ts", "node-version.ts"];
const joining: Readonly<Record<string, readonly string[]>> = {
  "options.ts": ["shared", "store", "sealing", "session", "audit", "device-binding"],
  "resolve-options.ts": ["options.ts", "shared", "sealing", "session", "audit", "device-binding"],
  "manager.ts": [
    "options.ts",
    "resolve-options.ts",
    "shared",
    "store",
    "codec",
    "sealing",
    "jobs",
    "session",
    "operator",
  ],
  "index.ts": [
    "options.ts",
    "manager.ts",
    "shared",
    "store",
    "sealing",
    "jobs",
    "session",
    "operator",
    "audit",
  ],
};

/** What a folder may import, as the second line of its README.md says. */
function allowed(part: string): readonly string[] | null {
  if (basic.includes(part)) return ["shared"];
  if (part in joining) return joining[part]!;
  const [, list = ""] = /^Imports: (.+)\.$/m.exec(readFileSync(join(src, part, "README.md"), "utf8")) ?? [];
  if (list === "everything") return null;
  return list === "nothing" ? [] : list.split(", ");
}

function partOf(file: string): string {
  return file.split("/")[0]!;
}

/** The files of src that a file imports, for their types as well. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)]
    .map(([, path]) => relative(src, join(src, dirname(file), path!)))
    .filter((target) => known.has(target)); // not what stands in the text of a template
}

test("folders: README.md → says in two lines what lives there and what it may import", () => {
  const folders = new Set(files.map(dirname).filter((folder) => folder !== "."));
  const silent = [...folders].filter((folder) => {
    const readme = join(src, folder, "README.md");
    return !existsSync(readme) && !folder.split("/").slice(1).includes("generate") && !isNested(folder);
  });
  assert.deepEqual(silent, []);
});

/** The folders of commands and of single databases, whose parents speak for them. */
function isNested(folder: string): boolean {
  return /^(cli|sql)\/[^/]+$/.test(folder) && folder !== "sql/migrations";
}

test("folders: imports → only what the README allows", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const part = partOf(file);
    const list = allowed(part);
    if (list === null) continue;
    for (const target of importsOf(file)) {
      const to = partOf(target);
      if (to !== part && !basic.includes(to) && !list.includes(to)) wrong.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("folders: two of them → do not import each other", () => {
  const parts = [...new Set(files.map(partOf))].filter((part) => !part.endsWith(".ts"));
  const mutual = parts.flatMap((one) =>
    parts.filter((other) => one < other && allowed(one)?.includes(other) && allowed(other)?.includes(one)),
  );
  assert.deepEqual(mutual, []);
});

test("files: import cycles → none", () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
      return;
    }
    if (done.has(file)) return;
    for (const target of importsOf(file)) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  assert.deepEqual(cycles, []);
});

test("R55: imports of the core → only Node's own modules and cookie", () => {
  const outside = ["rails", "adapters", "testing", "cli", "dashboard"];
  const permitted = /^(node:|\.|cookie$)/;
  const wrong: string[] = [];
  for (const file of files.filter((name) => !outside.includes(partOf(name)))) {
    const text = readFileSync(join(src, file), "utf8");
    for (const [, from] of text.matchAll(/^(?:import|export)[^;]*?from\s+"([^"]+)"/gm)) {
      if (!permitted.test(from!)) wrong.push(`${file} imports ${from}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("old Node: names that it lacks → not imported, because the check of its version runs first", () => {
  // The command's own files are imported after the check.
  const lacking = /import \{[^}]*\bhash\b[^}]*\} from "node:crypto"|from "node:sqlite"/;
  const wrong = files.filter(
    (file) =>
      partOf(file) !== "cli" &&
      lacking.test(readFileSync(join(src, file), "utf8").replaceAll(/import type .*/g, "")),
  );
  assert.deepEqual(wrong, []);
});

test("source files: more than 300 lines → the first comment says why", () => {
  const unexplained = files.filter((file) => {
    const text = readFileSync(join(src, file), "utf8");
    return (
      !file.startsWith("testing/") &&
      text.split("\n").length > 301 &&
      !text.startsWith("/**\n * Longer than 300 lines: ")
    );
  });
  assert.deepEqual(unexplained, []);
});
