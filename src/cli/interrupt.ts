import { wipe } from "./progress.ts";
import { wrapped, type Terminal } from "./terminal.ts";

/** How often to look whether npm is still there, in milliseconds. */
const lookEvery = 250;

/**
 * Lets Ctrl-C (and SIGTERM) stop long work between two batches, so that it can say what was done. A second Ctrl-C
 * ends the process at once. However it ends, its progress bar is gone before the next line.
 */
export async function interruptible<Answer>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<Answer>,
  /** Told at the first Ctrl-C, of work that ends later; null for work that ends at once. */
  stopping: string | null = "Stopping after this batch.",
): Promise<Answer> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    if (stopping !== null) tell(terminal, `${stopping} Press Ctrl-C again to stop at once.`);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  const unwatch = watchNpm(terminal, () => {
    if (controller.signal.aborted) return;
    controller.abort();
    tell(terminal, `npm has ended. ${stopping ?? "Stopping."}`);
  });
  try {
    return await work(controller.signal);
  } finally {
    unwatch();
    wipe(terminal);
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

/** On a terminal, over the progress bar and the ^C that the terminal shows. */
function tell(terminal: Terminal, message: string): void {
  wipe(terminal);
  const start = terminal.err.isTTY === true && terminal.env["TERM"] !== "dumb" ? "\r\u001b[2K" : "\n";
  terminal.err.write(`${start}${wrapped(terminal.err, message)}\n`);
}

/**
 * npm and npx pass SIGTERM to the shell between them and the command, and the shell dies of it alone. The command then
 * has another parent. Otherwise it would run on unseen, and a reseal would keep its lease.
 */
function watchNpm({ env }: Terminal, onEnd: () => void): () => void {
  if (!env["npm_command"] && !env["npm_execpath"] && !env["npm_config_user_agent"]) return () => {};
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) onEnd();
  }, lookEvery);
  timer.unref();
  return () => clearInterval(timer);
}
