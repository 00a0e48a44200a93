#!/usr/bin/env node
import { nodeProblem } from "../node-version.ts";

const problem = nodeProblem();
if (problem === null) {
  // Not before: an older Node cannot load what the commands import.
  await import("./run.ts");
} else {
  process.stderr.write(`Error: ${problem}\n`);
  process.exitCode = 2;
}
