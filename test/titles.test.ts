/** Every test says what it expects: `subject: condition → outcome` (CONTRIBUTING.md). */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { test } from "vitest";

const root = join(import.meta.dirname, "..");
const definesTests = new Set(["test", "it", "check"]);

/** Only a placeholder, perhaps after the subject: the row of the table holds the rest. */
const parametrised = /^(.*: )?(%[sjoi]|\$\w+|\$\{[^}]*\})( \(.*\))?$/;

const modifiers = new Set([
  "each",
  "for",
  "skip",
  "only",
  "todo",
  "fails",
  "skipIf",
  "runIf",
  "concurrent",
  "sequential",
]);

/** The identifier that a call begins with: `test` of `test.skipIf(…).each(…)("…")`. */
function calleeOf(expression: ts.Expression): string {
  if (ts.isIdentifier(expression)) return expression.text;
  if (ts.isPropertyAccessExpression(expression))
    return modifiers.has(expression.name.text) ? calleeOf(expression.expression) : "";
  if (ts.isCallExpression(expression)) return calleeOf(expression.expression);
  return ts.isTaggedTemplateExpression(expression) ? calleeOf(expression.tag) : "";
}

function titleOf(node: ts.CallExpression): string | null {
  const [title] = node.arguments;
  if (title === undefined || !(ts.isStringLiteralLike(title) || ts.isTemplateExpression(title))) return null;
  return title.getText().slice(1, -1);
}

/** The titles without an arrow in a file, in them or in a `describe` around them. */
function withoutArrow(path: string, text: string): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const title = titleOf(node);
      const callee = calleeOf(node.expression);
      // A group with an arrow says the outcome for the tests in it.
      if (callee === "describe" && title?.includes("→")) return;
      if (definesTests.has(callee) && title !== null && node.arguments.length > 1) {
        if (!title.includes("→") && !parametrised.test(title)) found.push(title);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

test("test titles: every test in the repository → states condition and outcome with an arrow", () => {
  const wrong = globSync("{src,test,examples,benchmarks}/**/*.ts", {
    cwd: root,
    exclude: (path) => path.includes("node_modules"),
  }).flatMap((path) => {
    const text = readFileSync(join(root, path), "utf8");
    if (!/\b(test|it|check)\b[^\n]*\(/.test(text)) return [];
    return withoutArrow(path, text).map((title) => `${path}: ${title}`);
  });
  assert.deepEqual(wrong, [], "Word each title as `subject: condition → outcome`.");
});

test("test titles: titles without an arrow → found, unless a group or a row of a table has it", () => {
  const source = `
    test("works", () => {});
    test.each([1])("%i works", () => {});
    describe("a → b", () => test("c", () => {}));
    test.each(["a → b"])("%s", () => {});
    test(\`lib: \${name}\`, () => {});
    test("a → b", () => {});
    test.store.insert("id", () => {});
  `;
  assert.deepEqual(withoutArrow("x.ts", source), ["works", "%i works"]);
});
