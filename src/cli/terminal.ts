import { styleText } from "node:util";

/** Where a command reads and writes: the process, or what a test puts in its place. */
export interface Terminal {
  readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly err: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly in: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

export function processTerminal(): Terminal {
  const { stdout, stderr, stdin, env } = process;
  return { out: stdout, err: stderr, in: stdin, env, cwd: process.cwd() };
}

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Colours text where the stream is a terminal and NO_COLOR is not set (no-color.org). */
export function styled(stream: Terminal["out"], env: NodeJS.ProcessEnv, style: Style, text: string): string {
  const colours = stream.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  return colours ? styleText(style, text, { validateStream: false }) : text;
}
