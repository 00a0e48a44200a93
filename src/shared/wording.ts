/** Numbers, sizes and times as people read them. */
export function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** "1 session", "1,204 sessions". */
export function plural(count: number, noun: string, nouns: string = `${noun}s`): string {
  return `${number(count)} ${count === 1 ? noun : nouns}`;
}

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]!}`;
}

const steps: readonly (readonly [number, string])[] = [
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
];

function stepOf(milliseconds: number): readonly [number, string] {
  return steps.find(([size]) => milliseconds >= size) ?? steps.at(-1)!;
}

/** "3 days", "20 minutes": one unit, rounded down. */
export function span(milliseconds: number): string {
  const [length, unit] = stepOf(milliseconds);
  return plural(Math.floor(milliseconds / length), unit);
}

const units: Readonly<Record<string, string>> = { day: "d", hour: "h", minute: "min", second: "s" };

/** "30 d", "2 h": for columns, rounded to the nearest. */
export function short(milliseconds: number): string {
  const [length, unit] = stepOf(milliseconds);
  return `${Math.round(milliseconds / length)} ${units[unit]!}`;
}

export function ago(time: Date, now: number): string {
  const past = now - time.getTime();
  return past < 1_000 ? "just now" : `${span(past)} ago`;
}

export function remaining(time: Date, now: number): string {
  const rest = time.getTime() - now;
  if (rest <= 0) return "ended";
  const [length] = stepOf(rest);
  return `in ${span(Math.round(rest / length) * length)}`;
}

/** "2026-11-23 07:18:57 UTC". */
export function moment(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
