const deepest = 64;

/**
 * A value as `JSON.stringify` would have kept it, which is what applications of other stores count on: functions are
 * left out, `toJSON` is called, other class instances become plain objects. What sessions here hold beyond JSON
 * (dates, maps, sets, URLs, bytes, bigints) stays what it is.
 */
export function plainValue(value: unknown, depth: number = 0): unknown {
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null || depth > deepest) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value;
  if (value instanceof Map || value instanceof Set || value instanceof URL || ArrayBuffer.isView(value))
    return value;
  if (Array.isArray(value)) return value.map((item) => plainValue(item, depth + 1) ?? null);
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return plainValue((toJSON as () => unknown).call(value), depth + 1);
  return plainObject(value, depth);
}

/** The own enumerable properties of an object, each as {@link plainValue}. */
export function plainObject(value: object, depth: number = 0): Record<string, unknown> {
  const entries = Object.entries(value).map(([key, item]) => [key, plainValue(item, depth + 1)] as const);
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}
