/** The table of docs/drivers.md against the drivers that the suites run on. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { facts } from "./facts.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/drivers.md"), "utf8");
const rows = page
  .slice(page.indexOf("| driver |"))
  .split("\n\n")[0]!
  .split("\n")
  .slice(2)
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test("docs/drivers.md: its table → what the suites found of each driver", () => {
  expect(rows).toEqual(facts.map((fact) => [fact.driver, fact.batch, fact.late, fact.named, fact.leaks]));
});
