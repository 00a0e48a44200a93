import type { Result, Run, Statement } from "./dialect.ts";

/** Runs the statements of a transaction by the rules of {@link Statement}. Returns null if it must be rolled back. */
export async function runSteps(statements: readonly Statement[], run: Run): Promise<Result[] | null> {
  const results: Result[] = [];
  for (const statement of statements) {
    const { unlessChanged, atLeast = 0 } = statement;
    const skipped = unlessChanged !== undefined && results.at(-1)?.changes === unlessChanged;
    const result = skipped ? { rows: [], changes: 0 } : await run(statement);
    results.push(result);
    if (!skipped && Math.max(result.changes, result.rows.length) < atLeast) return null;
  }
  return results;
}
