/**
 * Settings of the application's own handle that would change what statements mean or return, for `check` to show, one
 * phrase each. The store's statements override or avoid them.
 */
type Row = Readonly<Record<string, unknown>>;

/** Detected from what a statement of the application would return. */
export function ownersSettingsOf(answer: unknown): string[] {
  const row: unknown = Array.isArray(answer) ? answer[0] : undefined;
  if (Array.isArray(row)) return ["returnArrays"];
  const value = (row as Row | undefined)?.["one"];
  return typeof value === "bigint" ? ["readBigInts or safeIntegers"] : [];
}
