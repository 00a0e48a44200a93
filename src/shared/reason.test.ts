import { expect, test } from "vitest";
import { reasonOf } from "./reason.ts";

class ErrorEvent extends Event {
  readonly error: unknown;
  readonly message: string;

  constructor(message: string, error?: unknown) {
    super("error");
    this.message = message;
    this.error = error;
  }
}

test.each([
  ["an Error", new Error("it broke"), "it broke"],
  ["an ErrorEvent", new ErrorEvent("connect ECONNREFUSED"), "connect ECONNREFUSED"],
  ["an ErrorEvent without a message → the error within", new ErrorEvent("", new Error("within")), "within"],
  ["an event", new Event("error"), 'an event of the type "error", without a message'],
  ["an object with a message", { message: "said" }, "said"],
  ["an object with a code alone", { code: "ECONNRESET" }, "ECONNRESET"],
  ["an object", { secret: "x" }, "an object without a message"],
  ["an Error without a message", new Error(""), ""],
  ["text", "thrown", "thrown"],
  ["nothing", undefined, "undefined"],
])("reason of an error: %s → the text to print", (_, error, expected) => {
  expect(reasonOf(error)).toBe(expected);
});
