/** A length of time: milliseconds, or a number and a unit such as "15 min", "12 h", "30 days". */
export type Duration = number | string;

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  sec: 1_000,
  second: 1_000,
  seconds: 1_000,
  min: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
  week: 604_800_000,
  weeks: 604_800_000,
};

/** The duration in whole milliseconds, or null when it is not one. */
export function milliseconds(duration: Duration): number | null {
  let value: number;
  if (typeof duration === "number") {
    value = duration;
  } else if (typeof duration === "string") {
    const match = /^(\d+(?:\.\d+)?) ?([a-z]+)$/.exec(duration);
    const unit = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined;
    if (match === null || unit === undefined) return null;
    value = Math.round(Number(match[1]) * unit);
  } else {
    return null;
  }
  return Number.isSafeInteger(value) && value >= 0 ? value : null;
}
