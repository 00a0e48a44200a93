import { exitCodes } from "./failure.ts";
import { ownOutput, quietDurability, watchExit } from "./own-process.ts";
import { runCommand } from "./program.ts";
import { processTerminal } from "./terminal.ts";

/** Runs the command of this process, and ends it. */
export async function run(): Promise<never> {
  const { stdout, stderr } = process;
  let lost: NodeJS.ErrnoException | null = null;
  // A reader that closes the pipe (head) misses the rest. The work goes on, and its exit code tells how it ended.
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") lost ??= error;
  });
  stderr.on("error", () => {});
  const out = ownOutput();
  quietDurability();
  const ended = watchExit();
  let exitCode = await runCommand(process.argv.slice(2), { ...processTerminal(), out });
  // A pool that the configuration made is its owner's, who is not here to end it: it would keep the process alive.
  await written(out);
  if (lost !== null) {
    const { code = "", message } = lost as NodeJS.ErrnoException;
    const reason = message.startsWith(code) ? message : `${code}: ${message}`;
    stderr.write(`Error: The output could not be written: ${reason}.\n`);
    exitCode ||= exitCodes.failed;
  }
  await written(stderr);
  ended();
  process.exit(exitCode);
}

/** Everything that was written has left, or failed; a full disk would refuse an empty write as well. */
function written(stream: NodeJS.WritableStream & { readonly writableLength?: number }): Promise<void> {
  return new Promise((done) => {
    if (stream.writableLength === 0) setImmediate(done);
    else stream.write("", () => done());
  });
}
