/** How the small benchmarks print a figure: what it is, then the figure, in columns. */
export const print = (what: string, value: string): void =>
  void process.stdout.write(`${what.padEnd(48)} ${value}\n`);
export const rounded = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
