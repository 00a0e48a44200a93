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
 * Text for a terminal, broken between words where it is wider: the terminal itself would break within them. A line of
 * columns, which two spaces or more set apart, is broken between columns first. What goes elsewhere stays as it is, and so
 * does a word that is wider than the terminal, such as a key: it can be copied whole.
 * @param indent of the continuation lines, in columns. Default: two more than the line has, and none for a sentence.
 */
export function wrapped({ isTTY, columns }: Terminal["out"], text: string, indent?: number): string {
  if (isTTY !== true || !columns || columns < (indent ?? 0) + 20) return text;
  return text
    .split("\n")
    .map((line) => wrappedLine(line, columns, indent ?? defaultIndent(line)))
    .join("\n");
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}

const gap = /(?<=\S)( {2,})(?=\S)/;

function defaultIndent(line: string): number {
  const own = /^ */.exec(stripVTControlCharacters(line))![0].length;
  return own > 0 || gap.test(line) ? own + 2 : 0;
}

function wrappedLine(line: string, columns: number, indent: number): string {
  if (widthOf(line) <= columns) return line;
  const lines: string[] = [];
  let current = "";
  const fits = (text: string) => widthOf(text) <= columns;
  const begin = (text: string) => {
    if (current !== "") lines.push(current.trimEnd());
    current = " ".repeat(indent) + text;
  };
  const [first = "", ...others] = line.split(gap);
  const parts: [space: string, part: string][] = [["", first]];
  for (let at = 0; at < others.length; at += 2) parts.push([others[at]!, others[at + 1]!]);
  for (const [space, part] of parts) {
    const follows = current + space;
    if (fits(follows + part)) current = follows + part;
    else if (current !== "" && fits(" ".repeat(indent) + part)) begin(part);
    else {
      for (const [place, word] of part.split(/(?<=\S) (?=\S)/).entries()) {
        const longer = place === 0 ? follows + word : `${current} ${word}`;
        if (current === "" || fits(longer)) current = longer;
        else begin(word);
      }
    }
  }
  return [...lines, current].join("\n");
}
