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

/** The key of a Map as a JavaScript literal. Null if it has no short literal. */
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
 * Formats the path of a value as a JavaScript expression: `data.cart[3].price`, `data["two words"]`,
 * `data.prices.get("tea")`, or by position if the key has no literal: `data.tags.values()[0]`, `data.prices.keys()[2]`. Long
 * keys are truncated. Control, format and bidi characters are escaped, so that the text is safe in logs and terminals
 * (R50).
 */
export function pathText(root: string, steps: readonly Step[]): string {
  return root + steps.map(stepText).join("");
}

/** The message for a value that contains itself. @param target the path that it refers back to */
export function cycle(target: string): string {
  return `is a cycle: it leads back to ${target}. Store an id in its place.`;
}
