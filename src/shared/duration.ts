const units = {
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
} as const;

/** The units of a {@link Duration}. */
export type DurationUnit = keyof typeof units;

/**
 * A length of time: a number of milliseconds, or a number with a unit such as "15 min", "12 h" or "30 days". Values are
 * also validated at run time, so a string from the environment can be passed `as Duration`.
 */
export type Duration = number | `${number} ${DurationUnit}` | `${number}${DurationUnit}`;

/** Parses a duration into whole milliseconds. Null if it is invalid. */
export function milliseconds(duration: Duration | string): number | null {
  let value: number;
  if (typeof duration === "number") {
    value = duration;
  } else if (typeof duration === "string") {
    const match = /^(\d+(?:\.\d+)?) ?([a-z]+)$/.exec(duration);
    const unit = match && Object.hasOwn(units, match[2]!) ? units[match[2] as DurationUnit] : undefined;
    if (match === null || unit === undefined) return null;
    value = Math.round(Number(match[1]) * unit);
  } else {
    return null;
  }
  return Number.isSafeInteger(value) && value >= 0 ? value : null;
}
