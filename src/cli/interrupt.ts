import { wipe } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Lets Ctrl-C (and SIGTERM) stop long work between two batches, so that it can say what was done. A second Ctrl-C
 * ends the process at once. However it ends, its progress bar is gone before the next line.
 */
export async function interruptible<Answer>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    terminal.err.write("\nStopping after this batch. Press Ctrl-C again to stop at once.\n");
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } finally {
    wipe(terminal);
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}
