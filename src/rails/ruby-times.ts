import { integer, within, type RubyInteger, type RubyNumeric } from "./ruby-numbers.ts";
import { text } from "./ruby-strings.ts";

function epochMilliseconds(seconds: RubyInteger, nanosecond: number): number {
  return Number(seconds) * 1000 + Math.floor(nanosecond / 1e6);
}

/** Returns seconds and nanoseconds of an instant: exact ones, unless a setter of `Date` changed it. */
export function instantOf(time: Date): { seconds: RubyInteger; nanosecond: number } {
  const milliseconds = time.getTime();
  if (time instanceof RubyTime || time instanceof RubyTimeWithZone) {
    const exact = new Date(epochMilliseconds(time.epochSeconds, time.nanosecond)).getTime();
    if (Object.is(exact, milliseconds)) return { seconds: time.epochSeconds, nanosecond: time.nanosecond };
  }
  if (Number.isNaN(milliseconds)) throw new TypeError("An invalid Date cannot be stored.");
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanosecond: (milliseconds - seconds * 1000) * 1e6 };
}

/**
 * A Time with nanoseconds or an offset: a `Date` that keeps both. A Time in UTC with whole milliseconds is a plain
 * `Date`.
 */
export class RubyTime extends Date {
  readonly epochSeconds: RubyInteger;
  /** 0 to 999,999,999. */
  readonly nanosecond: number;
  /** Seconds east of UTC. */
  readonly utcOffset: number;

  constructor(epochSeconds: RubyInteger, nanosecond: number, utcOffset: number) {
    super(epochMilliseconds(epochSeconds, nanosecond));
    this.epochSeconds = integer(epochSeconds, "Epoch seconds");
    this.nanosecond = within(nanosecond, 0, 999_999_999, "A nanosecond");
    this.utcOffset = within(utcOffset, -86_399, 86_399, "A UTC offset in seconds");
    Object.freeze(this);
  }
}

/** An ActiveSupport::TimeWithZone, such as `Time.current`: a `Date` that keeps nanoseconds and its zone. */
export class RubyTimeWithZone extends Date {
  readonly epochSeconds: RubyInteger;
  /** 0 to 999,999,999. */
  readonly nanosecond: number;
  /** "UTC", "Europe/Berlin" or a name of Rails' own, "Eastern Time (US & Canada)". */
  readonly zone: string;

  constructor(epochSeconds: RubyInteger, nanosecond: number, zone: string) {
    super(epochMilliseconds(epochSeconds, nanosecond));
    this.epochSeconds = integer(epochSeconds, "Epoch seconds");
    this.nanosecond = within(nanosecond, 0, 999_999_999, "A nanosecond");
    this.zone = text(zone, "A zone");
    Object.freeze(this);
  }
}

/** An ActiveSupport::TimeZone by its name. Rails reads an unknown name as nil. */
export class RubyTimeZone {
  readonly name: string;

  constructor(name: string) {
    this.name = text(name, "A zone");
    Object.freeze(this);
  }

  toString(): string {
    return this.name;
  }
}

export const durationUnits = ["years", "months", "weeks", "days", "hours", "minutes", "seconds"] as const;
export type RubyDurationUnit = (typeof durationUnits)[number];

/** An ActiveSupport::Duration such as `2.weeks`: its length in seconds and the parts it was made of. */
export class RubyDuration {
  readonly value: RubyNumeric;
  readonly parts: Readonly<Partial<Record<RubyDurationUnit, RubyNumeric>>>;

  constructor(value: RubyNumeric, parts: Readonly<Partial<Record<RubyDurationUnit, RubyNumeric>>>) {
    this.value = value;
    this.parts = Object.freeze({ ...parts });
    Object.freeze(this);
  }
}
