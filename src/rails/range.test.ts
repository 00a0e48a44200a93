import { expect, test } from "vitest";
import { RefusedError } from "../errors.ts";
import { decodeRuby } from "./decode.ts";
import { encodeRuby } from "./encode.ts";
import * as ruby from "./types.ts";

const day = new ruby.RubyDate(2_460_311);
const ends: [string, unknown, unknown][] = [
  ["numbers", 1, new ruby.RubyRational(5, 2)],
  ["an open end", { a: 1 }, null],
  ["an open beginning", null, new Map([[1, 2]])],
  ["texts", "a", new ruby.RubySafeBuffer("z", "nested")],
  ["symbols", ruby.RubySymbol.for("a"), ruby.RubySymbol.for("z")],
  ["a date and a time", day, new Date(0)],
  ["a duration and a number", new ruby.RubyDuration(1, { seconds: 1 }), 5],
  ["arrays", [1, "a"], [2, "b"]],
  ["equal objects", { a: 1 }, { a: 1 }],
  ["an address and its text", new ruby.RubyIpAddress("10.0.0.1"), "10.0.0.9"],
];
test.each(ends)("a Range of %s → written and read back", (_, begin, end) => {
  const range = new ruby.RubyRange(begin, end);
  expect(decodeRuby(encodeRuby({ range }))).toEqual({ range });
});

const incomparable: [string, unknown, unknown, string][] = [
  ["a number and a text", 1, "b", "01a162"],
  ["a Hash and an Array", { a: 1 }, [], "81a1610190"],
  ["different Hashes", { a: 1 }, { a: 2 }, "81a1610181a16102"],
  ["a text and a symbol", "a", ruby.RubySymbol.for("b"), "a161d40062"],
  ["numbers and NaN", 1, Number.NaN, "01cb7ff8000000000000"],
  ["Arrays of such", [1], ["b"], "910191a162"],
  ["a number and a date", 1, day, "01c70506ce00258a97"],
];
test.each(incomparable)(
  "a Range of %s, which Ruby does not allow → refused when written and when read (R47)",
  (_, begin, end, hex) => {
    const range = new ruby.RubyRange(begin, end);
    expect(() => encodeRuby({ a: [range] }, undefined, "data")).toThrow(
      expect.objectContaining({ code: "ERR_STORED_SESSION_VALUE", path: "data.a[0]" }),
    );
    const payload = Buffer.from(`${hex}c2`, "hex");
    const bytes = Buffer.concat([Buffer.from([0xcc, 0x80, 0xc7, payload.length, 11]), payload]);
    expect(() => decodeRuby(bytes)).toThrow(RefusedError);
  },
);
