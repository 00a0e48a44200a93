import { addOwn } from "../codec/own.ts";

type Values = Readonly<Record<string, unknown>>;

/**
 * What to store for data that the application saw through its schema. A release whose schema does not know a key never
 * sees it, and so cannot have changed it: what another release stored there stays (promise 2). The same goes for keys of
 * plain objects within.
 *
 * @param stored as the row has it
 * @param seen what the schema made of that
 * @param mine `seen`, with the changes of this request
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
