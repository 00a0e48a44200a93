import { Console } from "node:console";
import { writeSync } from "node:fs";
import { exitCodes } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Keeps standard output for the command: what a configuration, or what it imports, prints there goes to standard error.
 * Otherwise a line of a logger would stand before the JSON.
 */
export function ownOutput(): Terminal["out"] {
  const { stdout, stderr } = process;
  const write = reporting(stdout);
  stdout.write = stderr.write.bind(stderr);
  // Bun's and Deno's console does not write through process.stdout.
  if ("Deno" in globalThis || "Bun" in globalThis) Object.assign(globalThis.console, new Console(stderr));
  return Object.create(stdout, { write: { value: write } }) as NodeJS.WriteStream;
}

/**
 * Writes to a stream, and reports a failure as Node does: as an event, and to the callback. Deno throws where standard
 * output is a file that cannot be written, and keeps all later writes in its buffer.
 */
function reporting(stream: NodeJS.WriteStream): NodeJS.WriteStream["write"] {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  let failure: Error | null = null;
  return (...args: unknown[]) => {
    if (failure === null) {
      try {
        return write(...args);
      } catch (error) {
        failure = error as Error;
        stream.emit("error", failure);
      }
    }
    const done = args.at(-1);
    if (typeof done === "function") setImmediate(() => void done(failure));
    return true;
  };
}

/**
 * Drops the process warning about durability. `check` reports these settings; as a warning it would precede the output
 * of every command, and repeat what `check` says.
 */
export function quietDurability(): void {
  const emit = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = (...args: unknown[]) => {
    const [, options] = args;
    if ((options as { code?: string } | undefined)?.code !== "STORED_SESSION_WEAK_DURABILITY") emit(...args);
  };
}

/**
 * Tells when something else than the command ends the process, such as a configuration that calls `process.exit(0)`: a
 * script would take the exit code for done.
 * @returns to be called when the command ends by itself
 */
export function watchExit(): () => void {
  let isDone = false;
  process.on("exit", (code) => {
    if (isDone || code === exitCodes.interrupted) return;
    try {
      writeSync(
        process.stderr.fd,
        `Error: The process was ended with exit code ${code} before the command was done. Look for process.exit in the configuration and in what it imports.\n`,
      );
    } catch {
      // Nobody reads standard error.
    }
    if (code === exitCodes.done || code === exitCodes.pending) process.exitCode = exitCodes.failed;
  });
  return () => void (isDone = true);
}
