import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { docsFile, figuresOf, resultsFile, withFigures } from "../../benchmarks/figures.ts";

const results = readFileSync(resultsFile, "utf8");
const page = readFileSync(docsFile, "utf8");

test("docs/performance.md: its figures → are those of benchmarks/RESULTS.md (node benchmarks/figures.ts writes them)", () => {
  expect(page).toBe(withFigures(page, figuresOf(results)));
});

test("figures: another run → the page has that run's, in the order of its speeds", () => {
  const faster = results.replace(/(?<=\| connect-pg-simple \| )[\d,]+/, "99,999");
  const figures = figuresOf(faster);
  expect(figures.split("\n")[2]).toContain("| connect-pg-simple | 99,999 |");
  expect(withFigures(withFigures(page, "none"), figures)).toBe(withFigures(page, figures));
});

test("figures: results without a line that the page shows → an error that names it", () => {
  expect(() => figuresOf(results.replaceAll("| iron-session |", "| other |"))).toThrow(
    'no line "iron-session"',
  );
  expect(() => figuresOf(results.replaceAll("| read | 64 |", "| read | 65 |"))).toThrow(
    "no line of connect-pg-simple for read with 64 callers",
  );
  expect(() => figuresOf("# Results\n")).toThrow('no line "no session"');
  expect(() => withFigures("# Performance\n", "")).toThrow("docs/performance.md lacks");
});

test("figures: an unsteady line → the page says so and has no ratio", () => {
  const unsteady = results.replace(/(?<=\| read \| 64 \| connect-pg-simple \|[^\n]*)[\d.]+×/, "unsteady");
  expect(figuresOf(unsteady)).toContain("performs an unsteady multiple of the reads");
});
