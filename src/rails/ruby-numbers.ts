import { quoted } from "../shared/printable.ts";

/** A Ruby Integer: a `number` within ±(2^53 - 1), else a `bigint`. */
export type RubyInteger = number | bigint;

/** A Ruby number. */
export type RubyNumeric = number | bigint | RubyFloat | RubyRational | RubyBigDecimal;

export function integer(value: RubyInteger, what: string): RubyInteger {
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
  if (!Number.isSafeInteger(value))
    throw new TypeError(`${what} must be an integer; use a bigint beyond 2^53.`);
  return value === 0 ? 0 : value;
}

export function within(value: number, low: number, high: number, what: string): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new TypeError(`${what} must be an integer from ${low} to ${high}.`);
  }
  return value === 0 ? 0 : value;
}

/**
 * A Float with a whole value, such as `1.0`: as a plain `number` it would be written back as an Integer, which Ruby
 * divides differently. Arithmetic and comparison work as on a number; `Number(x)` converts it.
 */
export class RubyFloat {
  readonly value: number;

  constructor(value: number) {
    if (typeof value !== "number") throw new TypeError("A RubyFloat requires a number.");
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

/** A Rational, kept as given. Ruby writes it in lowest terms with a positive denominator. */
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
  /** The prefix that BigDecimal writes before the number and ignores when reading. "" if it was absent. */
  readonly precision: string;

  constructor(number: string, precision?: string) {
    const sign = number.startsWith("-") ? "-" : "";
    if (SPECIAL.test(number)) {
      this.scientific = number.replace("+", "");
      this.precision = precision ?? "9";
    } else {
      const match = DECIMAL.exec(number);
      if (match === null) throw new TypeError(`${quoted(number.slice(0, 40))} is not a decimal number.`);
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

  /** "19.99", or Ruby's scientific form if plain digits would need more than 400 zeros. */
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
