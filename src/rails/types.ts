/**
 * Ruby values that TypeScript has no natural value for. Each is immutable and holds exactly what Ruby wrote, so
 * that it goes back as it came. One Ruby class reads as one TypeScript class, with two exceptions that keep what
 * Node itself writes natural: a Float is a `number` unless that number would be taken for an Integer, and a Time
 * is a plain `Date` when it is in UTC to the millisecond.
 */

import { quoted } from "../shared/printable.ts";
import { uriText } from "./uri.ts";

/** A Ruby Integer: a `number` within ±(2^53 - 1), else a `bigint`. */
export type RubyInteger = number | bigint;

/** What Ruby counts with. */
export type RubyNumeric = number | bigint | RubyFloat | RubyRational | RubyBigDecimal;

function integer(value: RubyInteger, what: string): RubyInteger {
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
  if (!Number.isSafeInteger(value))
    throw new TypeError(`${what} must be an integer; use a bigint beyond 2^53.`);
  return value === 0 ? 0 : value;
}

function within(value: number, low: number, high: number, what: string): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new TypeError(`${what} must be an integer from ${low} to ${high}.`);
  }
  return value === 0 ? 0 : value;
}

/** Whether the text has no UTF-8 form. */
export function hasLoneSurrogate(value: string): boolean {
  return /\p{Surrogate}/u.test(value);
}

function text(value: string, what: string): string {
  if (typeof value !== "string" || hasLoneSurrogate(value)) {
    throw new TypeError(`${what} must be a string without lone surrogates.`);
  }
  return value;
}

const symbols = new Map<string, WeakRef<RubySymbol>>();
const forgotten = new FinalizationRegistry<string>((name) => {
  if (symbols.get(name)?.deref() === undefined) symbols.delete(name);
});

/**
 * A Symbol such as `:sku`. There is one object for each name, so `===` and `map.get(RubySymbol.for("sku"))` work.
 */
export class RubySymbol {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
    Object.freeze(this);
  }

  static for(name: string): RubySymbol {
    const known = symbols.get(name)?.deref();
    if (known !== undefined) return known;
    const made = new RubySymbol(text(name, "A symbol's name"));
    symbols.set(name, new WeakRef(made));
    forgotten.register(made, name);
    return made;
  }

  toString(): string {
    return this.name;
  }

  toJSON(): string {
    return this.name;
  }
}

/** A Hash with symbol keys: `symbolHash({ sku: "A1", qty: 2 })` is Ruby's `{ sku: "A1", qty: 2 }`. */
export function symbolHash(object: Readonly<Record<string, unknown>>): Map<RubySymbol, unknown> {
  return new Map(Object.entries(object).map(([name, value]) => [RubySymbol.for(name), value]));
}

/** A HashWithIndifferentAccess, such as `params.to_unsafe_h`: a Map that goes back as that class. */
export class RubyIndifferentHash extends Map<unknown, unknown> {}

/**
 * A Float whose value is a whole number, such as `1.0`: as a plain `number` it would go back as an Integer, and
 * Ruby divides those differently. Arithmetic and comparison work as on a number; `Number(x)` gives one.
 */
export class RubyFloat {
  readonly value: number;

  constructor(value: number) {
    if (typeof value !== "number") throw new TypeError("A RubyFloat holds a number.");
    this.value = value;
    Object.freeze(this);
  }

  valueOf(): number {
    return this.value;
  }

  toString(): string {
    return String(this.value);
  }

  toJSON(): number {
    return this.value;
  }
}

/** A String tagged UTF-8 whose bytes are not UTF-8. (A binary String is a `Uint8Array`.) */
export class RubyString {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    Object.freeze(this);
  }

  /** With U+FFFD for what is not UTF-8. */
  toString(): string {
    return Buffer.from(this.bytes).toString("utf8");
  }
}

/** A String marked `html_safe`, as views and some flashes hold it. */
export class RubySafeBuffer {
  readonly content: string | RubyString;
  /**
   * "raw": as Rails 8.1.0 to 8.1.3.1 writes and reads it. "nested": Rails after that. Neither reads the other's,
   * and Rails 7.2 and 8.0 read none: choose that of the Rails beside you.
   */
  readonly form: "raw" | "nested";

  constructor(content: string | RubyString, form: "raw" | "nested") {
    if (form !== "raw" && form !== "nested")
      throw new TypeError('The form of a RubySafeBuffer is "raw" or "nested".');
    this.content = typeof content === "string" ? text(content, "A RubySafeBuffer") : content;
    this.form = form;
    Object.freeze(this);
  }

  toString(): string {
    return this.content.toString();
  }

  toJSON(): string {
    return this.toString();
  }
}

/** A Rational. Kept as given; Ruby writes it in lowest terms with a positive denominator. */
export class RubyRational {
  readonly numerator: RubyInteger;
  readonly denominator: RubyInteger;

  constructor(numerator: RubyInteger, denominator: RubyInteger = 1) {
    this.numerator = integer(numerator, "A numerator");
    this.denominator = this.numerator === 0 && denominator != 0 ? 1 : integer(denominator, "A denominator");
    if (this.denominator <= 0) throw new TypeError("A denominator must be positive.");
    Object.freeze(this);
  }

  valueOf(): number {
    return Number(this.numerator) / Number(this.denominator);
  }

  toString(): string {
    return `${this.numerator}/${this.denominator}`;
  }
}

/** A Complex. */
export class RubyComplex {
  readonly real: RubyNumeric;
  readonly imaginary: RubyNumeric;

  constructor(real: RubyNumeric, imaginary: RubyNumeric) {
    this.real = real;
    this.imaginary = imaginary;
    Object.freeze(this);
  }
}

const DECIMAL = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,15}))?$/;
const SPECIAL = /^(?:NaN|[+-]?Infinity)$/;

/** A BigDecimal: exact decimal text. `new RubyBigDecimal("19.99")`, "NaN", "-Infinity", "1e-100". */
export class RubyBigDecimal {
  /** Ruby's own form: `0.1999e2`, `-0.0`, `NaN`. */
  readonly scientific: string;
  /** What BigDecimal writes before the number and ignores on reading; "" where that was left out. */
  readonly precision: string;

  constructor(number: string, precision?: string) {
    const sign = number.startsWith("-") ? "-" : "";
    if (SPECIAL.test(number)) {
      this.scientific = number.replace("+", "");
      this.precision = precision ?? "9";
    } else {
      const match = DECIMAL.exec(number);
      if (match === null) throw new TypeError(`${quoted(number.slice(0, 40))} is no decimal number.`);
      const [, , whole = "", fraction = "", exponentText = "0"] = match;
      const digits = whole + fraction;
      let start = 0;
      while (digits[start] === "0") start++;
      let end = digits.length;
      while (end > start && digits[end - 1] === "0") end--;
      const exponent = Number(exponentText) + whole.length - start;
      if (start === end) {
        this.scientific = `${sign}0.0`;
        this.precision = precision ?? "18";
      } else {
        this.scientific = `${sign}0.${digits.slice(start, end)}e${exponent}`;
        // bigdecimal 3 counts words of nine digits, aligned at the decimal point, and at least two of them.
        const words = Math.floor((exponent - 1) / 9) - Math.floor((exponent - (end - start)) / 9) + 1;
        this.precision = precision ?? String(9 * Math.max(2, words));
      }
    }
    Object.freeze(this);
  }

  /** "19.99"; in Ruby's scientific form where plain digits would need more than 400 zeros. */
  toString(): string {
    const match = /^(-?)0\.(\d+)e(-?\d+)$/.exec(this.scientific);
    if (match === null) return this.scientific;
    const [, sign = "", digits = "", exponentText = "0"] = match;
    const exponent = Number(exponentText);
    if (exponent < -400 || exponent > digits.length + 400) return this.scientific;
    if (exponent <= 0) return `${sign}0.${"0".repeat(-exponent)}${digits}`;
    const whole = digits.slice(0, exponent).padEnd(exponent, "0");
    return `${sign}${whole}.${digits.slice(exponent) || "0"}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

function epochMilliseconds(seconds: RubyInteger, nanosecond: number): number {
  return Number(seconds) * 1000 + Math.floor(nanosecond / 1e6);
}

/** Seconds and nanoseconds of an instant; the exact ones, unless a setter of `Date` moved it. */
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
 * A Time with nanoseconds or an offset: a `Date` that remembers them. A Time in UTC to the millisecond is a plain
 * `Date`, and a `Date` is written as that.
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

/** An ActiveSupport::TimeWithZone, such as `Time.current`: a `Date` that remembers nanoseconds and its zone. */
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

/** An ActiveSupport::TimeZone by its name. A name that Rails does not know reads there as nil. */
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

/** First day of the Gregorian calendar for Ruby's Date: 1582-10-15. */
const GREGORIAN = 2_299_161;

/** A Date without a time: a Julian day number. Before 15 October 1582 days have Julian names, as in Ruby. */
export class RubyDate {
  readonly julianDay: RubyInteger;

  constructor(julianDay: RubyInteger) {
    this.julianDay = integer(julianDay, "A Julian day number");
    Object.freeze(this);
  }

  /** @throws {TypeError} a day that the calendar does not have */
  static from(year: number, month: number, day: number): RubyDate {
    const [y, m] = month > 2 ? [year, month] : [year - 1, month + 12];
    const julian = Math.floor(365.25 * (y + 4716)) + Math.floor(30.6001 * (m + 1)) + day - 1524;
    const century = Math.floor(y / 100);
    const gregorian = julian + 2 - century + Math.floor(century / 4);
    const made = new RubyDate(gregorian >= GREGORIAN ? gregorian : julian);
    if (made.year !== year || made.month !== month || made.day !== day) {
      throw new TypeError(`There is no day ${year}-${month}-${day}.`);
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

  /** Meeus, Astronomical Algorithms, chapter 7, with floors so that days before year -4712 work too. */
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
      throw new TypeError("An offset is at most one day.");
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

/** A Range. A `begin` or `end` of null is open. */
export class RubyRange {
  readonly begin: unknown;
  readonly end: unknown;
  readonly excludeEnd: boolean;

  constructor(begin: unknown, end: unknown, excludeEnd = false) {
    this.begin = begin;
    this.end = end;
    this.excludeEnd = excludeEnd;
    Object.freeze(this);
  }
}

/**
 * A URI as Ruby wrote it; `URL` would change its text (`https://a.example` gains a slash) or refuse it. Of a `URL`,
 * what Ruby takes only escaped is escaped.
 */
export class RubyUri {
  readonly text: string;

  constructor(uri: string | URL) {
    this.text = text(uri instanceof URL ? uriText(uri) : uri, "A URI");
    Object.freeze(this);
  }

  /** @throws {TypeError} a relative reference, or one that the URL standard refuses */
  toURL(): URL {
    return new URL(this.text);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** An IPAddr: an address, or a network with its prefix ("10.0.0.0/8"). */
export class RubyIpAddress {
  readonly text: string;

  constructor(address: string) {
    this.text = text(address, "An address");
    Object.freeze(this);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** A Pathname. */
export class RubyPathname {
  readonly path: string;

  constructor(path: string) {
    this.path = text(path, "A path");
    if (path.includes("\0")) throw new TypeError("A path holds no zero byte.");
    Object.freeze(this);
  }

  toString(): string {
    return this.path;
  }

  toJSON(): string {
    return this.path;
  }
}

/**
 * A Regexp in Ruby's own notation, `(?-mix:a.b)`. It is never compiled here: the languages differ, and a pattern
 * from stored bytes can be made to run for ever.
 */
export class RubyRegexp {
  readonly text: string;

  constructor(pattern: string) {
    this.text = text(pattern, "A Regexp");
    Object.freeze(this);
  }

  toString(): string {
    return this.text;
  }
}
