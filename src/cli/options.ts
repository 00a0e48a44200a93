import { InvalidArgumentError } from "commander";
import { milliseconds } from "../session/duration.ts";

/** Reads "30 days" or "12h". A bare number is refused: taken for milliseconds it would delete everything. */
export function duration(text: string): number {
  const value = milliseconds(text.trim());
  if (value === null || value === 0) {
    throw new InvalidArgumentError(
      'Use a length of time with its unit, such as "30 days", "12 h" or "15 min".',
    );
  }
  return value;
}

/** A user's id. An empty one, such as a variable of the shell that is not set, would find nobody. */
export function userId(text: string): string {
  if (text === "") throw new InvalidArgumentError("Give the id of a user: this one is empty.");
  return text;
}

export function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("Use a whole number, 1 or more.");
  return value;
}

export function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError("Use a part of 1, such as 0.5.");
  return value;
}

export function date(text: string): Date {
  const value = new Date(text);
  if (Number.isNaN(value.getTime())) {
    throw new InvalidArgumentError('Use a date such as "2026-11-23" or "2026-11-23T18:00Z".');
  }
  return value;
}
