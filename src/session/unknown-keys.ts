import { addOwn } from "../codec/own.ts";

type Values = Readonly<Record<string, unknown>>;

/**
 * What to store for data that the application saw through its schema. A release whose schema does not know a key never
 * sees it and cannot have changed it, so the value that another release stored is kept (promise 2). The same applies to
 * keys of nested plain objects.
 *
 * @param stored the data in the row
 * @param seen what the schema made of it
 * @param mine `seen` with the changes of this request
 * @param same whether two values are stored as the same bytes
 */
export function withUnknownKeys(
  stored: Values,
  seen: Values,
  mine: Values,
  same: (a: unknown, b: unknown) => boolean,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(stored), ...Object.keys(mine)])) {
    if (!Object.hasOwn(mine, key)) {
      if (!Object.hasOwn(seen, key)) addOwn(result, key, stored[key]);
    } else if (!Object.hasOwn(stored, key) || !Object.hasOwn(seen, key)) {
      addOwn(result, key, mine[key]);
    } else {
      const [kept, base, value] = [stored[key], seen[key], mine[key]];
      if (same(base, value)) addOwn(result, key, kept);
      else if (isPlain(kept) && isPlain(base) && isPlain(value)) {
        addOwn(result, key, withUnknownKeys(kept, base, value, same));
      } else addOwn(result, key, value);
    }
  }
  return result;
}

function isPlain(value: unknown): value is Values {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
