import { stripVTControlCharacters, styleText } from "node:util";

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

/**
 * Text for a terminal, broken between words where it is wider: the terminal itself would break within them. What goes
 * elsewhere stays as it is.
 * @param indent of the lines after the first, in columns
 */
export function wrapped({ isTTY, columns }: Terminal["out"], text: string, indent: number = 0): string {
  if (isTTY !== true || !columns || columns < indent + 20) return text;
  return text
    .split("\n")
    .map((line) => wrappedLine(line, columns, " ".repeat(indent)))
    .join("\n");
}

function wrappedLine(line: string, columns: number, indent: string): string {
  const widthOf = (some: string) => stripVTControlCharacters(some).length;
  if (widthOf(line) <= columns) return line;
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(/(?<=\S) (?=\S)/)) {
    const longer = current === "" ? word : `${current} ${word}`;
    if (current === "" || widthOf(longer) <= columns) current = longer;
    else {
      lines.push(current);
      current = indent + word;
    }
  }
  return [...lines, current].join("\n");
}
