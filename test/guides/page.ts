/** What a page of docs/ tells an operator to do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Block {
  /** As behind the fence: sh, ini, sql, text. */
  readonly language: string;
  readonly text: string;
}

export interface Step {
  readonly number: number;
  readonly blocks: readonly Block[];
  /** The step's Markdown. */
  readonly text: string;
}

const docs = join(import.meta.dirname, "../../docs");

export function pageOf(name: string): string {
  return readFileSync(join(docs, name), "utf8");
}

/** The text below a heading of the second level. */
export function sectionOf(name: string, heading: string): string {
  const section = pageOf(name)
    .split(/^(?=## )/m)
    .find((each) => each.startsWith(`## ${heading}\n`));
  if (section === undefined) throw new Error(`docs/${name} has no heading "${heading}".`);
  return section;
}

export function blocksOf(markdown: string): Block[] {
  return Array.from(markdown.matchAll(/^(?:\d+\. | *)```(\w+)\n(.*?)^ *```$/gms), ([, language, text]) => ({
    language: language!,
    text: text!.replaceAll(/^ {3}/gm, "").trimEnd(),
  }));
}

/** The numbered steps below a heading. */
export function stepsOf(name: string, heading: string): Step[] {
  const texts = sectionOf(name, heading)
    .split(/^(?=\d+\. )/m)
    .slice(1);
  return texts.map((text) => ({ number: Number.parseInt(text, 10), blocks: blocksOf(text), text }));
}

/** The block of code behind `<!-- name -->`. */
export function markedBlock(page: string, name: string): string {
  const [, text] = new RegExp(`<!-- ${name} -->\\s*\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(pageOf(page)) ?? [];
  if (text === undefined) throw new Error(`docs/${page} has no block ${name}.`);
  return text;
}

/** Whether what a page shows is in what a command printed. Names of keys, numbers but 0, and widths may differ. */
export function shows(printed: string, example: string): boolean {
  const pattern = example
    .split(/\s+/)
    .map((word) =>
      word
        .replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
        .replaceAll(/\b[0-9a-f]{8}\b/g, "[0-9a-f]{8}")
        .replaceAll(/\b(?!0\b)\d[\d,]*\b(?![\]}])/g, "[\\d,]+"),
    )
    .join("\\s+");
  return new RegExp(pattern).test(printed);
}
