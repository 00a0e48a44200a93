import { inspect } from "node:util";
import { printableJson } from "../shared/printable.ts";

/** Columns as wide as their widest cell; the last one as it is. A column of numbers is set to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const right = head.map(
    (_, column) =>
      rows.length > 0 && rows.every((row) => /^[\d,]+(\.\d+)?( ?[KMGT]?i?B|%)?$/.test(row[column] ?? "")),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) =>
        right[column]
          ? cell.padStart(widths[column]!)
          : column === row.length - 1
            ? cell
            : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd(),
  );
}

/**
 * Session values as JSON for people and other programs: dates as ISO text, BigInt as decimal text, URL as text, bytes
 * as base64, Set as an array, Map as an array of pairs, and the numbers that JSON has not as "NaN", "Infinity" and
 * "-Infinity". What could move a terminal's cursor is escaped (R50): JSON itself asks that only of the first 32
 * characters.
 */
export function json(value: unknown): string {
  return printableJson(JSON.stringify(plain(value), null, 2));
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof URL) return value.href;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Set) return [...value].map(plain);
  if (value instanceof Map) return [...value].map(([key, item]) => [plain(key), plain(item)]);
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** Session values for the eye. Control and format characters in them come out escaped (R50). */
export function shown(value: unknown, colors: boolean): string {
  return printableJson(
    inspect(value, { depth: 32, colors, maxArrayLength: 1_000, maxStringLength: 10_000, compact: 3 }),
  );
}
