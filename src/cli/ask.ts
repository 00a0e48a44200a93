import { exitCodes, Failure } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Asks on the terminal. Ctrl-C, Ctrl-D and a terminal that closes end the command, before anything was changed. */
export async function asking<Answer>(
  terminal: Terminal,
  work: (ask: (question: string) => Promise<string>) => Promise<Answer>,
): Promise<Answer> {
  const { createInterface } = await import("node:readline/promises");
  const reader = createInterface({ input: terminal.in, output: terminal.err });
  const closed = new Promise<never>((_, reject) => {
    reader.once("close", () => reject(new Failure("\nNothing was changed.", exitCodes.interrupted)));
  });
  closed.catch(() => {});
  const ask = async (question: string): Promise<string> => {
    // Node refuses the question as well, with an error of its own.
    const answer = reader.question(question).catch(() => closed);
    return (await Promise.race([closed, answer])).trim();
  };
  try {
    return await work(ask);
  } finally {
    reader.close();
  }
}

/** Whether somebody can answer. */
export function canAsk({ in: input, err }: Terminal): boolean {
  return input.isTTY === true && err.isTTY === true;
}
