export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** Half the distance from the lowest to the highest, in per cent of the median. */
export function spread(values: readonly number[]): number {
  return ((Math.max(...values) - Math.min(...values)) / 2 / median(values)) * 100;
}

/** Per cent. With a spread above it the fastest round is more than twice as fast as the slowest. */
export const steadySpread = 50;

const isSteady = (own: number): boolean => own <= steadySpread;

/** How many times as fast the first is as the other, in the median of the rounds; null where either is unsteady. */
export function timesAsFast(first: readonly number[], other: readonly number[]): number | null {
  const steady = isSteady(spread(first)) && isSteady(spread(other));
  return steady ? median(first.map((speed, round) => speed / (other[round] ?? Number.NaN))) : null;
}

/** The ratio of a line as text: "unsteady" in place of one, and "–" where only the first line is. */
export function ratioOf(line: { readonly spread: number; readonly timesFaster: number | null }): string {
  if (!isSteady(line.spread)) return "unsteady";
  return line.timesFaster === null ? "–" : `${line.timesFaster.toFixed(2)}×`;
}
