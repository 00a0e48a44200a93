import { describe, expect, test } from "vitest";
import { OptionsError, StoreError, ValueError } from "../errors.ts";
import { printable, printableJson, printableLines, quoted } from "./printable.ts";

const hostile =
  "a\u001b[2J\u0000\t\r\u007f\u0080\u0085\u009b\u00ad\u061c\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\u{e0041}\ud800é漢😀";
const dangerous = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

describe("R50, text from outside", () => {
  test("printable: control, format, bidi and separator characters → escapes, all else stays", () => {
    expect(printable(hostile)).not.toMatch(dangerous);
    expect(printable(`${hostile}\n`)).toMatch(
      /^a\\u001b\[2J\\u0000\\u0009\\u000d\\u007f\\u0080\\u0085\\u009b.*é漢😀\\u000a$/,
    );
    expect(printable("\u{e0041}")).toBe("\\udb40\\udc41");
  });

  test("printableLines: a message of two lines → only its line break stays", () => {
    expect(printableLines(`one\n\u0085${hostile}`).split("\n")).toHaveLength(2);
    expect(printableLines(hostile)).toBe(printable(hostile));
  });

  test("quoted: any text → JSON that reads back the same", () => {
    expect(quoted(hostile)).not.toMatch(dangerous);
    expect(JSON.parse(quoted(hostile))).toBe(hostile);
  });

  test("printableJson: JSON of several lines → line breaks stay, C1 and bidi characters are escaped", () => {
    const json = JSON.stringify({ [hostile]: 1 }, null, 2);
    expect(printableJson(json).split("\n")).toHaveLength(3);
    expect(printableJson(json).replaceAll("\n", "")).not.toMatch(dangerous);
    expect(JSON.parse(printableJson(json))).toStrictEqual({ [hostile]: 1 });
  });

  test("an error of this package: its message quotes text from outside → no control, format or bidi character", () => {
    for (const error of [
      new StoreError(hostile),
      new ValueError("data", hostile),
      new OptionsError([hostile, "two"]),
    ]) {
      expect(error.message.replaceAll("\n", "")).not.toMatch(dangerous);
    }
    expect(new OptionsError(["one", "two"]).message).toContain("2 problems:\n  - one\n  - two");
  });
});
