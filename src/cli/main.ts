#!/usr/bin/env node
import { runCommand } from "./program.ts";
import { processTerminal } from "./terminal.ts";

// A reader that closes the pipe (head) ends the command without a stack trace.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.exitCode = await runCommand(process.argv.slice(2), processTerminal());
