/**
 * The Ruby values that JavaScript has no value for. Each is immutable and holds exactly what Ruby wrote, so that it is
 * written back unchanged. Each Ruby class reads as one TypeScript class, with two exceptions: a Float reads as a
 * `number` unless that number would be written back as an Integer, and a Time in UTC with whole milliseconds reads as a
 * `Date`.
 */

export * from "./ruby-dates.ts";
export * from "./ruby-numbers.ts";
export * from "./ruby-objects.ts";
export * from "./ruby-strings.ts";
export * from "./ruby-times.ts";
