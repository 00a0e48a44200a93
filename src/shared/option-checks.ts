import { milliseconds, type Duration } from "./duration.ts";

/** Returns the remedy for an invalid value, as the end of a sentence: "use …". Null if it is valid. */
export type OptionCheck = (value: unknown) => string | null;

/** The longest timer of Node.js, 24.8 days. */
export const maxTimer: number = 2 ** 31 - 1;

/** Milliseconds or text such as "15 min", from `least` to `most` milliseconds. */
export function durationFrom(least: number, most: number = Number.MAX_SAFE_INTEGER): OptionCheck {
  return (value) => {
    const length = milliseconds(value as Duration);
    if (length !== null && length >= least && length <= most) return null;
    const bounds =
      most === Number.MAX_SAFE_INTEGER
        ? `${least} or more`
        : `from ${least} to ${most.toLocaleString("en-US")}`;
    return `use milliseconds (${bounds}) or text such as "500 ms", "10 s", "15 min"`;
  };
}

export function integerFrom(least: number, most: number = Number.MAX_SAFE_INTEGER): OptionCheck {
  return (value) => {
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return null;
    return most === Number.MAX_SAFE_INTEGER
      ? `use a whole number, ${least} or more`
      : `use a whole number from ${least} to ${most.toLocaleString("en-US")}`;
  };
}

export const isText: OptionCheck = (value) => (typeof value === "string" ? null : "use text");
export const isBoolean: OptionCheck = (value) => (typeof value === "boolean" ? null : "use true or false");
export const isFunction: OptionCheck = (value) => (typeof value === "function" ? null : "use a function");
export const isSignal: OptionCheck = (value) =>
  value instanceof AbortSignal ? null : "use the signal of an AbortController";
/** A number of trusted proxies; true means 1. */
export const isProxyTrust: OptionCheck = (value) =>
  typeof value === "boolean" || (Number.isSafeInteger(value) && (value as number) >= 0)
    ? null
    : "use true, false or the number of trusted proxies";
export function oneOf(values: readonly string[]): OptionCheck {
  return (value) =>
    values.includes(value as string) ? null : `use ${values.map((one) => `"${one}"`).join(" or ")}`;
}
/** Checked elsewhere. */
export const isAnything: OptionCheck = () => null;

/** An object with these methods, such as a client of another library. */
export function hasMethods(...names: readonly string[]): OptionCheck {
  return (value) => {
    const missing = names.filter((name) => typeof (value as any)?.[name] !== "function");
    return missing.length === 0 ? null : `use an object with ${names.map((name) => `${name}()`).join(", ")}`;
  };
}

/** Returns every problem of `options`, one sentence each. An option that `checks` does not name is a problem. */
export function problemsOf(options: unknown, checks: Readonly<Record<string, OptionCheck>>): string[] {
  if (typeof options !== "object" || options === null) return ["The options must be an object."];
  return Object.entries(options).flatMap(([name, value]) => {
    if (!Object.hasOwn(checks, name))
      return [`\`${name}\` is not an option. The options are: ${Object.keys(checks).join(", ")}.`];
    const problem = value === undefined ? null : checks[name]!(value);
    return problem === null ? [] : [`\`${name}\` is ${shown(value)}: ${problem}.`];
  });
}

/** @throws {TypeError} listing every problem */
export function assertOptions(
  what: string,
  options: unknown,
  checks: Readonly<Record<string, OptionCheck>>,
): void {
  const problems = problemsOf(options, checks);
  if (problems.length > 0) throw new TypeError(`${what}: ${problems.join(" ")}`);
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
