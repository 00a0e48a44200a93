import { integer, RubyRational, within, type RubyInteger } from "./ruby-numbers.ts";

/** First day of the Gregorian calendar for Ruby's Date: 1582-10-15. */
const GREGORIAN = 2_299_161;

/** A Date without a time: a Julian day number. Days before 15 October 1582 use the Julian calendar, as in Ruby. */
export class RubyDate {
  readonly julianDay: RubyInteger;

  constructor(julianDay: RubyInteger) {
    this.julianDay = integer(julianDay, "A Julian day number");
    Object.freeze(this);
  }

  /** @throws {TypeError} the calendar has no such day */
  static from(year: number, month: number, day: number): RubyDate {
    const [y, m] = month > 2 ? [year, month] : [year - 1, month + 12];
    const julian = Math.floor(365.25 * (y + 4716)) + Math.floor(30.6001 * (m + 1)) + day - 1524;
    const century = Math.floor(y / 100);
    const gregorian = julian + 2 - century + Math.floor(century / 4);
    const made = new RubyDate(gregorian >= GREGORIAN ? gregorian : julian);
    if (made.year !== year || made.month !== month || made.day !== day) {
      throw new TypeError(`The day ${year}-${month}-${day} does not exist.`);
    }
    return made;
  }

  get year(): number {
    return this.#civil()[0];
  }

  get month(): number {
    return this.#civil()[1];
  }

  get day(): number {
    return this.#civil()[2];
  }

  /** "2024-02-29". */
  toString(): string {
    const [year, month, day] = this.#civil();
    const sign = year < 0 ? "-" : "";
    return `${sign}${String(Math.abs(year)).padStart(4, "0")}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;
  }

  toJSON(): string {
    return this.toString();
  }

  /** Meeus, Astronomical Algorithms, chapter 7, with floors so that days before the year -4712 work too. */
  #civil(): [number, number, number] {
    const julianDay = Number(this.julianDay);
    let shifted = julianDay;
    if (julianDay >= GREGORIAN) {
      const alpha = Math.floor((julianDay - 1_867_216.25) / 36_524.25);
      shifted = julianDay + 1 + alpha - Math.floor(alpha / 4);
    }
    const b = shifted + 1524;
    const c = Math.floor((b - 122.1) / 365.25);
    const d = Math.floor(365.25 * c);
    const e = Math.floor((b - d) / 30.6001);
    const month = e < 14 ? e - 1 : e - 13;
    return [month > 2 ? c - 4716 : c - 4715, month, b - d - Math.floor(30.6001 * e)];
  }
}

/** A DateTime: a local day and time with an exact fraction of the second and an offset, a fraction of a day. */
export class RubyDateTime {
  readonly date: RubyDate;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** From 0 to less than 1. */
  readonly fraction: RubyRational;
  /** East of UTC, in days: 11/48 is five and a half hours. */
  readonly offset: RubyRational;

  constructor(
    date: RubyDate,
    hour = 0,
    minute = 0,
    second = 0,
    fraction: RubyRational = new RubyRational(0),
    offset: RubyRational = new RubyRational(0),
  ) {
    this.date = date;
    this.hour = within(hour, 0, 23, "An hour");
    this.minute = within(minute, 0, 59, "A minute");
    this.second = within(second, 0, 59, "A second");
    if (fraction.numerator < 0 || fraction.numerator >= fraction.denominator) {
      throw new TypeError("The fraction of a second must be from 0 to less than 1.");
    }
    if (offset.numerator > offset.denominator || -BigInt(offset.numerator) > offset.denominator) {
      throw new TypeError("An offset must be at most one day.");
    }
    this.fraction = fraction;
    this.offset = offset;
    Object.freeze(this);
  }

  /** The same instant to the millisecond. */
  toDate(): Date {
    const days = Number(this.date.julianDay) - 2_440_588 - Number(this.offset);
    const seconds = this.hour * 3600 + this.minute * 60 + this.second;
    return new Date(
      Math.round(days * 86_400_000) + seconds * 1000 + Math.floor(Number(this.fraction) * 1000),
    );
  }
}
