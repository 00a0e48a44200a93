#!/usr/bin/env node
import { nodeProblem } from "../node-version.ts";

const problem = nodeProblem();
if (problem === null) {
  // Not before: an older Node cannot load what the commands import. Not awaited: Deno would end the process with a
  // message of its own when a configuration never settles.
  void import("./run.ts").then(({ run }) => run());
} else {
  process.stderr.write(`Error: ${problem}\n`);
  process.exitCode = 2;
}
