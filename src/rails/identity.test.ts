import { describe, expect, test } from "vitest";
import { encodeRuby } from "./encode.ts";
import { rubyIdentity } from "./identity.ts";
import * as ruby from "./types.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const indifferent = (entries: [unknown, unknown][]) => new ruby.RubyIndifferentHash(entries);
const noon = (hour: number, offset: number) =>
  new ruby.RubyDateTime(
    ruby.RubyDate.from(2020, 1, 1),
    hour,
    0,
    0,
    undefined,
    new ruby.RubyRational(offset, 24),
  );

// As Ruby 3.1 answers `{ a => 1, b => 2 }.size == 1` of each pair.
const equal: [string, unknown, unknown][] = [
  ["two Floats of one value", new ruby.RubyFloat(2), new ruby.RubyFloat(2)],
  ["0.0 and -0.0", new ruby.RubyFloat(0), new ruby.RubyFloat(-0)],
  ["an Integer as a number and as a bigint", 1, 1n],
  ["text and the same ASCII as binary", "a", bytes("a")],
  ["text and a SafeBuffer", "é", new ruby.RubySafeBuffer("é", "raw")],
  ["text and the same bytes tagged UTF-8", "é", new ruby.RubyString(bytes("é"))],
  ["two binary Strings", bytes("é"), bytes("é")],
  ["Rationals of one value", new ruby.RubyRational(1, 2), new ruby.RubyRational(2, 4)],
  ["Complexes", new ruby.RubyComplex(1, 2), new ruby.RubyComplex(1, 2n)],
  ["BigDecimals", new ruby.RubyBigDecimal("1.0"), new ruby.RubyBigDecimal("1.00")],
  ["Times of one instant, whatever the offset", new Date(5000), new ruby.RubyTime(5, 0, 7200)],
  ["a Time and a TimeWithZone", new Date(5000), new ruby.RubyTimeWithZone(5, 0, "Europe/Berlin")],
  ["a Date and the DateTime it begins with", ruby.RubyDate.from(2020, 1, 1), noon(0, 0)],
  ["DateTimes of one instant", noon(12, 2), noon(10, 0)],
  ["Ranges", new ruby.RubyRange(1, 2), new ruby.RubyRange(1, 2)],
  ["Sets in any order", new Set([1, 2]), new Set([2, 1])],
  ["Hashes in any order", { a: 1, b: 2 }, { b: 2, a: 1 }],
  ["a Hash and one with indifferent access", { a: 1 }, indifferent([["a", 1]])],
  ["a Hash as an object and as a Map", { a: 1, b: undefined }, new Map([["a", 1]])],
  ["Arrays", [1, ["a"]], [1n, [bytes("a")]]],
  ["networks", new ruby.RubyIpAddress("10.0.0.0/8"), new ruby.RubyIpAddress("10.1.2.3/8")],
  ["an address and its network", new ruby.RubyIpAddress("10.0.0.1"), new ruby.RubyIpAddress("10.0.0.1/32")],
  ["forms of an IPv6 address", new ruby.RubyIpAddress("::1"), new ruby.RubyIpAddress("0:0:0:0:0:0:0:1")],
  [
    "an IPv6 address with an IPv4 tail",
    new ruby.RubyIpAddress("::ffff:1.2.3.4"),
    new ruby.RubyIpAddress("::ffff:102:304"),
  ],
  ["URIs but for the case of the scheme", new ruby.RubyUri("HTTP://a/b"), new URL("http://a/b")],
  ["TimeZones", new ruby.RubyTimeZone("UTC"), new ruby.RubyTimeZone("UTC")],
  ["Pathnames", new ruby.RubyPathname("a"), new ruby.RubyPathname("a")],
  ["Regexps", new ruby.RubyRegexp("(?-mix:a)"), new ruby.RubyRegexp("(?-mix:a)")],
  [
    "Durations of one length",
    new ruby.RubyDuration(60, { minutes: 1 }),
    new ruby.RubyDuration(60, { seconds: 60 }),
  ],
  ["nil twice", null, undefined],
];

const different: [string, unknown, unknown][] = [
  ["1 and 1.0", 1, new ruby.RubyFloat(1)],
  ["a half and a Rational", 0.5, new ruby.RubyRational(1, 2)],
  ["an Integer and a Rational of one", 1, new ruby.RubyRational(1)],
  ["an Integer and a BigDecimal", 1, new ruby.RubyBigDecimal("1")],
  ["NaN and NaN", NaN, new ruby.RubyFloat(NaN)],
  ["BigDecimals that are NaN", new ruby.RubyBigDecimal("NaN"), new ruby.RubyBigDecimal("NaN")],
  ["BigDecimal 0 and -0", new ruby.RubyBigDecimal("0"), new ruby.RubyBigDecimal("-0")],
  ["text and the same bytes as binary, not ASCII", "é", bytes("é")],
  ["bytes that are no UTF-8, tagged and binary", new ruby.RubyString(Uint8Array.of(255)), Uint8Array.of(255)],
  ["a symbol and text", ruby.RubySymbol.for("a"), "a"],
  ["text and an Array's text", "[1]", [1]],
  [
    "Complexes of Integer and Float",
    new ruby.RubyComplex(1, 2),
    new ruby.RubyComplex(new ruby.RubyFloat(1), 2),
  ],
  ["Ranges with and without their end", new ruby.RubyRange(1, 2), new ruby.RubyRange(1, 2, true)],
  [
    "an IPv6 address and the IPv4 address in it",
    new ruby.RubyIpAddress("::ffff:1.2.3.4"),
    new ruby.RubyIpAddress("1.2.3.4"),
  ],
  ["times a nanosecond apart", new ruby.RubyTime(5, 0, 0), new ruby.RubyTime(5, 1, 0)],
  ["a Time and an Integer", new Date(5000), 5],
  ["true and its text", true, "true"],
  ["nil and its text", null, "nil"],
  ["a path and text", new ruby.RubyPathname("a"), "a"],
  ["URIs whose hosts differ in case", new ruby.RubyUri("http://A/b"), new ruby.RubyUri("http://a/b")],
];

describe("keys and members that Ruby takes for one (promise 2)", () => {
  test.each(equal)("%s → refused with the path, in a Hash and in a Set", (_name, a, b) => {
    const hash = new Map<unknown, unknown>([
      [a, 1],
      ["other", 2],
      [b, 3],
    ]);
    expect(() => encodeRuby({ hash }, undefined, "data")).toThrow(
      expect.objectContaining({
        code: "ERR_STORED_SESSION_VALUE",
        path: "data.hash.keys()[2]",
        message: "data.hash.keys()[2] equals data.hash.keys()[0] in Ruby, which would keep only one of them.",
      }),
    );
    expect(() => encodeRuby(new Set([a, b]))).toThrow(expect.objectContaining({ path: "value.values()[1]" }));
  });

  test.each(different)("%s → both are written", (_name, a, b) => {
    expect(rubyIdentity(a)).not.toBe(rubyIdentity(b));
    encodeRuby(
      new Map<unknown, unknown>([
        [a, 1],
        [b, 2],
      ]),
    );
    encodeRuby(new Set([a, b]));
  });

  test("a symbol and its text in a hash with indifferent access → refused: Ruby makes them one", () => {
    const entries: [unknown, unknown][] = [
      ["a", 1],
      [ruby.RubySymbol.for("a"), 2],
    ];
    expect(() => encodeRuby(indifferent(entries))).toThrow(
      expect.objectContaining({ path: "value.keys()[1]" }),
    );
    encodeRuby(new Map(entries));
  });
});

describe("promise 10, bounded work", () => {
  const limits = { maxBytes: 4096, maxDepth: 32, maxKeys: 1000 };
  const shared = (make: (a: unknown, b: unknown) => unknown, leaf: unknown) => {
    let value = leaf;
    for (let level = 0; level < 28; level++) value = make(value, value);
    return value;
  };
  test.each<[string, (a: unknown, b: unknown) => unknown, unknown]>([
    ["Arrays", (a, b) => [a, b], []],
    ["Hashes", (a, b) => ({ a, b }), {}],
    ["Hashes without a value", (a, b) => [a, b], { a: undefined }],
    [
      "Maps",
      (a, b) =>
        new Map([
          ["a", a],
          ["b", b],
        ]),
      [],
    ],
    ["Sets", (a, b) => new Set([[a], { b }]), []],
    ["Ranges", (a, b) => new ruby.RubyRange(a, b), []],
    ["keys", (a) => new Map([[a, [a]]]), []],
  ])("%s shared 2^28 times → a LimitError with a path, soon", (_name, make, leaf) => {
    let visits = 0;
    const watched = new Proxy(leaf as object, {
      getPrototypeOf: (target) => {
        visits++;
        return Reflect.getPrototypeOf(target);
      },
    });
    expect(() => encodeRuby(shared(make, Array.isArray(leaf) ? leaf : watched), limits)).toThrow(
      expect.objectContaining({
        code: "ERR_STORED_SESSION_LIMIT",
        path: expect.stringMatching(/^value[[.]/) as string,
      }),
    );
    expect(visits).toBeLessThan(40 * 4096);
  });

  test("a Range between equal objects of shared parts → refused at the limit, before they are compared", () => {
    const object = shared((a, b) => ({ a, b }), {});
    const other = shared((a, b) => ({ a, b }), {});
    expect(() => encodeRuby(new ruby.RubyRange(object, other), limits)).toThrow(
      expect.objectContaining({ code: "ERR_STORED_SESSION_LIMIT" }),
    );
  });

  test("keys without a value, shared → the keys that are looked at are bounded", () => {
    const hollow = Object.fromEntries(Array.from({ length: 1000 }, (_, k) => [`k${k}`, undefined]));
    expect(() =>
      encodeRuby(
        Array.from({ length: 1000 }, () => hollow),
        limits,
      ),
    ).toThrow(expect.objectContaining({ limit: "keys", path: "value[4]" }));
  });

  test("a getter → read once", () => {
    let reads = 0;
    const value = {
      get once() {
        return ++reads;
      },
    };
    expect(Buffer.from(encodeRuby(value)).toString("hex")).toBe("cc8081a46f6e636501");
  });

  test("a cycle through each container → its path and where it leads back to", () => {
    const map = new Map<unknown, unknown>();
    map.set(ruby.RubySymbol.for("self"), [map]);
    expect(() => encodeRuby({ map }, undefined, "data")).toThrow(
      'data.map.get(":self")[0] is a cycle: it leads back to data.map. Store an id in its place.',
    );
    const ends: unknown[] = [];
    ends.push(new ruby.RubyRange(null, ends));
    expect(() => encodeRuby(ends)).toThrow("value[0].end is a cycle: it leads back to value.");
  });
});
