/**
 * Settings of the application's own handle that would change what statements mean or return. The store's statements bring
 * their own or do without, so these are for `check` to show, a phrase each.
 */
type Row = Readonly<Record<string, unknown>>;

/** By what a statement of its owner's would return. */
export function ownersSettingsOf(answer: unknown): string[] {
  const row: unknown = Array.isArray(answer) ? answer[0] : undefined;
  if (Array.isArray(row)) return ["returnArrays"];
  const value = (row as Row | undefined)?.["one"];
  return typeof value === "bigint" ? ["readBigInts or safeIntegers"] : [];
}
