import { InvalidArgumentError } from "commander";
import { milliseconds } from "../shared/duration.ts";
import { parseUserId } from "../session/user-id.ts";

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
  if (text === "") throw new InvalidArgumentError("Use a user id that is not empty.");
  try {
    return parseUserId(text, "--user");
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** Columns of a session or its user, as "session.theme,user.locale". */
export function fieldNames(text: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => /^(session|user)\.[A-Za-z_][A-Za-z0-9_]*$/.test(name))) return names;
  throw new InvalidArgumentError('Use names such as "session.theme,user.locale".');
}

/** A link as NAME=VALUE. The value may contain "=". */
export function linkOf(text: string): Record<string, string> {
  const [, name, value] = /^([\w.-]{1,64})=(.{1,512})$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new InvalidArgumentError(
      'Use the name and the value of a link, such as "idp=https://idp.example|sid".',
    );
  }
  return { [name]: value };
}

export function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("Use a whole number, 1 or more.");
  return value;
}

export function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1))
    throw new InvalidArgumentError("Use a number above 0, up to 1, such as 0.5.");
  return value;
}

const instantText = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/;

/**
 * A moment in ISO 8601 with its zone. A day alone is its end in UTC: what is asked for is when something was done
 * everywhere, and taken too early it would let a key go that is still needed.
 */
export function instant(text: string): Date {
  return instantOf(text, "T24:00Z", "end");
}

/** The same, but a day alone is its start in UTC: for times that sessions are compared with. */
export function instantFrom(text: string): Date {
  return instantOf(text, "T00:00Z", "start");
}

function instantOf(text: string, wholeDay: string, edge: string): Date {
  const [, day, time = wholeDay] = instantText.exec(text) ?? [];
  const value = new Date(`${day}${time}`);
  // Date takes 30 February for 2 March.
  const isDay = new Date(`${day}T00:00Z`).getUTCDate() === Number(day?.slice(-2));
  if (!isDay || Number.isNaN(value.getTime())) {
    throw new InvalidArgumentError(
      `Use a time with its zone, such as "2026-11-23T18:00Z" or "2026-11-23T19:00+01:00", or a day such as "2026-11-23", which counts as its ${edge} in UTC.`,
    );
  }
  return value;
}

/** Where in a session its user's id is: "passport.user". An empty name in it would find nobody. */
export function pathToUser(text: string): readonly string[] {
  const path = text.split(".");
  if (path.includes("")) {
    throw new InvalidArgumentError('Use a path to the user id without empty parts, such as "passport.user".');
  }
  return path;
}

export function keyOfUser(text: string): string {
  if (text === "") throw new InvalidArgumentError("Use a key that is not empty.");
  return text;
}
