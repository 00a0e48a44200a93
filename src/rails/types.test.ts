import { describe, expect, test } from "vitest";
import * as ruby from "./types.ts";

describe("a value that Ruby cannot have → a TypeError when it is made", () => {
  const wrong: [string, () => unknown][] = [
    ["a rational over 0", () => new ruby.RubyRational(1, 0)],
    ["0 over 0", () => new ruby.RubyRational(0, 0)],
    ["a negative denominator", () => new ruby.RubyRational(1, -2)],
    ["a rational of fractions", () => new ruby.RubyRational(0.5)],
    ["a float of text", () => new ruby.RubyFloat("1" as never)],
    ["a decimal of words", () => new ruby.RubyBigDecimal("one")],
    ["a decimal without digits", () => new ruby.RubyBigDecimal(".5")],
    ["a symbol with a lone surrogate", () => ruby.RubySymbol.for("\ud800")],
    ["a zone that is no text", () => new ruby.RubyTimeZone(1 as never)],
    ["a nanosecond too many", () => new ruby.RubyTime(0, 1_000_000_000, 0)],
    ["an offset of a day", () => new ruby.RubyTime(0, 0, 86_400)],
    ["a second of a fraction", () => new ruby.RubyTimeWithZone(0.5, 0, "UTC")],
    ["a 25th hour", () => new ruby.RubyDateTime(new ruby.RubyDate(0), 24)],
    [
      "a whole second as a fraction",
      () => new ruby.RubyDateTime(new ruby.RubyDate(0), 0, 0, 0, new ruby.RubyRational(1)),
    ],
    ["an offset of two days", () => dateTimeAt(new ruby.RubyRational(2))],
    ["an offset of minus two days", () => dateTimeAt(new ruby.RubyRational(-2))],
    ["30 February", () => ruby.RubyDate.from(2024, 2, 30)],
    ["a day that the reform skipped", () => ruby.RubyDate.from(1582, 10, 10)],
    ["a path with a zero byte", () => new ruby.RubyPathname("a\0b")],
    ["a safe buffer of no form", () => new ruby.RubySafeBuffer("x", "other" as never)],
  ];
  const dateTimeAt = (offset: ruby.RubyRational): unknown =>
    new ruby.RubyDateTime(new ruby.RubyDate(0), 0, 0, 0, new ruby.RubyRational(0), offset);
  test.each(wrong)("%s", (_, make) => {
    expect(make).toThrow(TypeError);
  });
});

test("numbers → compared and counted as Ruby does", () => {
  expect(Number(new ruby.RubyFloat(2)) / 4).toBe(0.5);
  expect(+new ruby.RubyRational(1, 4)).toBe(0.25);
  expect(new ruby.RubyRational(0, 7)).toEqual(new ruby.RubyRational(0));
  expect(new ruby.RubyRational(6n, 4n)).toEqual(new ruby.RubyRational(6, 4));
});

test("decimals → stored as bigdecimal does, printed plainly", () => {
  const decimal = (text: string): string[] => {
    const made = new ruby.RubyBigDecimal(text);
    return [`${made.precision}:${made.scientific}`, String(made)];
  };
  expect(decimal("19.99")).toEqual(["18:0.1999e2", "19.99"]);
  expect(decimal("+007.50")).toEqual(["18:0.75e1", "7.5"]);
  expect(decimal("-0.00e5")).toEqual(["18:-0.0", "-0.0"]);
  expect(decimal("1000000000000000001")).toEqual(["27:0.1000000000000000001e19", "1000000000000000001.0"]);
  expect(decimal("0.000000000000000000001")).toEqual(["18:0.1e-20", "0.000000000000000000001"]);
  expect(decimal("+Infinity")).toEqual(["9:Infinity", "Infinity"]);
  expect(decimal("1e999999")[1]).toBe("0.1e1000000");
  expect(decimal("1e-999999")[1]).toBe("0.1e-999998");
});

test("days → those of Ruby's calendar, Julian before the reform", () => {
  expect(ruby.RubyDate.from(2024, 2, 29).julianDay).toBe(2_460_370);
  expect(ruby.RubyDate.from(1582, 10, 15).julianDay).toBe(2_299_161);
  expect(ruby.RubyDate.from(1582, 10, 4).julianDay).toBe(2_299_160);
  for (let day = -800_000; day < 5_000_000; day += 9_973) {
    const date = new ruby.RubyDate(day);
    expect(ruby.RubyDate.from(date.year, date.month, date.day)).toEqual(date);
  }
  for (let day = 2_299_161; day < 5_000_000; day += 9_973) {
    const iso = new Date((day - 2_440_588) * 86_400_000).toISOString();
    expect(iso.startsWith(`${String(new ruby.RubyDate(day))}T`), iso).toBe(true);
  }
});

test("instants → agree with Date", () => {
  expect(new ruby.RubyTime(1_700_000_000, 123_456_789, 7200).toISOString()).toBe("2023-11-14T22:13:20.123Z");
  expect(new ruby.RubyTime(-1, 500_000_000, 0).getTime()).toBe(-500);
  const half = new ruby.RubyDateTime(
    ruby.RubyDate.from(2024, 2, 29),
    13,
    14,
    15,
    new ruby.RubyRational(1, 4),
    new ruby.RubyRational(11, 48),
  );
  expect(half.toDate().toISOString()).toBe("2024-02-29T07:44:15.250Z");
});

test("print and JSON.stringify → text", () => {
  const values = {
    symbol: ruby.RubySymbol.for("a"),
    float: new ruby.RubyFloat(1),
    safe: new ruby.RubySafeBuffer("<b>", "raw"),
    decimal: new ruby.RubyBigDecimal("1.5"),
    date: ruby.RubyDate.from(2024, 1, 2),
    uri: new ruby.RubyUri("/a"),
    address: new ruby.RubyIpAddress("::1"),
    path: new ruby.RubyPathname("a/b"),
  };
  expect(JSON.parse(JSON.stringify(values))).toEqual({
    symbol: "a",
    float: 1,
    safe: "<b>",
    decimal: "1.5",
    date: "2024-01-02",
    uri: "/a",
    address: "::1",
    path: "a/b",
  });
  const printed = [
    ...Object.values(values),
    new ruby.RubyString(Uint8Array.of(0x61, 0xff)),
    new ruby.RubyRegexp("(?-mix:a)"),
    new ruby.RubyTimeZone("UTC"),
    new ruby.RubyRational(1, 3),
  ];
  expect(printed.map(String)).toEqual([
    "a",
    "1",
    "<b>",
    "1.5",
    "2024-01-02",
    "/a",
    "::1",
    "a/b",
    "a\ufffd",
    "(?-mix:a)",
    "UTC",
    "1/3",
  ]);
  expect(new ruby.RubyUri("https://a.example").toURL().hostname).toBe("a.example");
});

test("wrappers → immutable", () => {
  expect(() => {
    (new ruby.RubyFloat(1) as { value: number }).value = 2;
  }).toThrow(TypeError);
  expect(() => {
    (new ruby.RubyDuration(1, { days: 1 }).parts as Record<string, number>)["days"] = 2;
  }).toThrow(TypeError);
  expect(ruby.RubySymbol.for("same")).toBe(ruby.RubySymbol.for("same"));
});
