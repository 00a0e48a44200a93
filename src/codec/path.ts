import { quoted } from "../shared/printable.ts";

/**
 * One step from a value into it: an object's key, an array's index, or how an element of a Map or Set is reached
 * (kept apart from its text, which only an error needs).
 */
export type Step = string | number | CollectionStep;

export interface CollectionStep {
  readonly of: "keys" | "values" | "get";
  readonly key: unknown;
  readonly index: number;
}

const longest = 64;

function clip(text: string): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** The key of a Map as one would write it; null for one that has no short text. */
function literal(key: unknown): string | null {
  if (typeof key === "string") return quoted(clip(key));
  if (typeof key === "bigint") return `${clip(String(key))}n`;
  return typeof key === "object" ? null : String(key);
}

function stepText(step: Step): string {
  if (typeof step === "number") return `[${step}]`;
  if (typeof step === "string") {
    return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${clip(step)}` : `[${quoted(clip(step))}]`;
  }
  const text = step.of === "get" ? literal(step.key) : null;
  if (text !== null) return `.get(${text})`;
  return `.${step.of === "keys" ? "keys" : "values"}()[${step.index}]`;
}

/**
 * Where a value lies, as one would write it in JavaScript: `data.cart[3].price`, `data["two words"]`,
 * `data.prices.get("tea")`, and by position where there is no such text: `data.tags.values()[0]`,
 * `data.prices.keys()[2]`. Long keys are cut. Control, format and bidi characters are escaped, so that the text is
 * safe in a log line and on a terminal (R50).
 */
export function pathText(root: string, steps: readonly Step[]): string {
  return root + steps.map(stepText).join("");
}

/** What an error says of a value that contains itself. @param target the path that the value leads back to */
export function cycle(target: string): string {
  return `is a cycle: it leads back to ${target}. Store an id in its place.`;
}
