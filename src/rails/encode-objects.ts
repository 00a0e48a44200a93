import type { Output } from "../codec/output.ts";
import { writeInteger, writeIntegers, writeRational } from "./integers.ts";
import { EXT, isAddress, isNumeric } from "./messagepack.ts";
import { refusal, within, type Place } from "./place.ts";
import { isRange } from "./range.ts";
import * as ruby from "./types.ts";
import { uriText } from "./uri.ts";

/** Writes a value that is part of an object. */
export type WriteValue = (output: Output, value: unknown, path: Place) => void;

/** Writes an extension whose payload is what `payload` writes. */
export function extension(output: Output, code: number, payload: () => void): void {
  const start = output.length;
  payload();
  output.extension(start, code);
}

/**
 * Writes an instance of a Ruby class, a Date or a URL as Rails does.
 * @throws {ValueError} Rails has no type for the object
 */
export function writeRubyObject(output: Output, value: object, path: Place, write: WriteValue): void {
  const nested = (code: number, payload: () => void): void => extension(output, code, payload);
  const named = (code: number, text: string): void => extension(output, code, () => output.payload(text));
  const numeric = (part: unknown, place: Place): void => {
    if (!isNumeric(part)) throw refusal(place, "is not a Ruby number.");
    write(output, part, place);
  };

  if (value instanceof ruby.RubyTimeWithZone) {
    return nested(EXT.timeWithZone, () => {
      const { seconds, nanosecond } = instant(value, path);
      writeIntegers(output, seconds, nanosecond, 0);
      void output.text(value.zone);
    });
  }
  if (value instanceof Date) {
    return nested(EXT.time, () => {
      const { seconds, nanosecond } = instant(value, path);
      writeIntegers(output, seconds, nanosecond, value instanceof ruby.RubyTime ? value.utcOffset : 0);
    });
  }
  if (value instanceof ruby.RubyDate) return nested(EXT.date, () => writeInteger(output, value.julianDay));
  if (value instanceof ruby.RubyDateTime) {
    return nested(EXT.dateTime, () => {
      writeIntegers(output, value.date.julianDay, value.hour, value.minute, value.second);
      writeRational(output, value.fraction);
      writeRational(output, value.offset);
    });
  }
  if (value instanceof ruby.RubyTimeZone) return named(EXT.timeZone, value.name);
  if (value instanceof ruby.RubyDuration) {
    return nested(EXT.duration, () => {
      numeric(value.value, within(path, "value"));
      output.array(ruby.durationUnits.length);
      for (const unit of ruby.durationUnits) {
        const part = value.parts[unit];
        if (part === undefined) output.null();
        else numeric(part, within(path, unit));
      }
    });
  }
  if (value instanceof ruby.RubyRational) return nested(EXT.rational, () => writeRational(output, value));
  if (value instanceof ruby.RubyComplex) {
    return nested(EXT.complex, () => {
      numeric(value.real, within(path, "real"));
      numeric(value.imaginary, within(path, "imaginary"));
    });
  }
  if (value instanceof ruby.RubyBigDecimal)
    return named(EXT.bigDecimal, `${value.precision}:${value.scientific}`);
  if (value instanceof ruby.RubyRange) {
    // Compare after writing, which bounds the work.
    return nested(EXT.range, () => {
      write(output, value.begin, within(path, "begin"));
      write(output, value.end, within(path, "end"));
      if (!isRange(value.begin, value.end)) {
        throw refusal(
          path,
          "is a range between values that Ruby cannot compare. Store both ends separately.",
        );
      }
      output.boolean(value.excludeEnd);
    });
  }
  if (value instanceof ruby.RubyUri) return named(EXT.uri, value.text);
  if (value instanceof URL) return named(EXT.uri, uriText(value));
  if (value instanceof ruby.RubyIpAddress) {
    if (!isAddress(value.text)) throw refusal(path, "is not an IP address.");
    return nested(EXT.ipAddress, () => void output.text(value.text));
  }
  if (value instanceof ruby.RubyPathname) return named(EXT.pathname, value.path);
  if (value instanceof ruby.RubyRegexp) return named(EXT.regexp, value.text);
  if (value instanceof ruby.RubySafeBuffer) {
    const bytes =
      typeof value.content === "string" ? Buffer.from(value.content, "utf8") : value.content.bytes;
    if (value.form === "raw") return nested(EXT.safeBuffer, () => output.raw(bytes));
    return nested(EXT.safeBuffer, () => output.textBytes(bytes));
  }
  const name = value.constructor?.name || "an unnamed class";
  throw refusal(
    path,
    `is an instance of ${name}, which Rails cannot read. Store plain values, or a class of stored-session/rails.`,
  );
}

function instant(time: Date, path: Place): { seconds: ruby.RubyInteger; nanosecond: number } {
  try {
    return ruby.instantOf(time);
  } catch (cause) {
    throw refusal(path, "is an invalid Date. Store null or a valid date.", { cause });
  }
}
