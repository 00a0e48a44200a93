import { wipe } from "./progress.ts";
import { wrapped, type Terminal } from "./terminal.ts";

/** How often to look whether npm is still there, in milliseconds. */
const lookEvery = 250;

/** Read before anything is opened: npm may end while the command still connects. */
const parent = process.ppid;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Lets Ctrl-C (and SIGTERM, and a terminal that closes) stop long work between two batches, so that it can say what was
 * done and releases its lease. A second Ctrl-C ends the process at once. However it ends, its progress bar is gone before
 * the next line.
 */
export async function interruptible<Answer>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<Answer>,
  /** Told at the first Ctrl-C, of work that ends later; null for work that ends at once. */
  stopping: string | null = "Stopping after this batch.",
): Promise<Answer> {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      // A terminal that closes may send it twice: the kernel does, and the shell.
      if (signal !== "SIGHUP") process.exit(130);
      return;
    }
    controller.abort();
    if (stopping !== null) tell(terminal, `${stopping} Press Ctrl-C again to stop at once.`);
  };
  for (const signal of signals) process.on(signal, stop);
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
    for (const signal of signals) process.off(signal, stop);
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
  const timer = setInterval(() => {
    if (process.ppid !== parent) onEnd();
  }, lookEvery);
  timer.unref();
  return () => clearInterval(timer);
}
