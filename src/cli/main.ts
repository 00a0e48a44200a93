#!/usr/bin/env node
import { runCommand } from "./program.ts";
import { processTerminal } from "./terminal.ts";

const streams = [process.stdout, process.stderr];
for (const stream of streams) {
  // A reader that closes the pipe (head) misses the rest. The work goes on, and its exit code tells how it ended.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}
const exitCode = await runCommand(process.argv.slice(2), processTerminal());
// A pool that the configuration made is its owner's, who is not here to end it: it would keep the process alive.
await Promise.all(streams.map((stream) => new Promise<void>((written) => stream.write("", () => written()))));
process.exit(exitCode);
