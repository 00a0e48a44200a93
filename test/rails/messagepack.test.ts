import { describe, expect, test } from "vitest";
import { RefusedError } from "../../src/errors.ts";
import { decodeRuby } from "../../src/rails/decode.ts";
import { encodeRuby } from "../../src/rails/encode.ts";
import { defaultLimits } from "../../src/rails/messagepack.ts";
import * as ruby from "../../src/rails/types.ts";
import { modelOf } from "./model.ts";
import { bytes, fromTyped, hex, sha256, vectors, type Typed } from "./typed.ts";

const file = vectors("messagepack");
const wide = { maxBytes: 1_048_576, maxDepth: 32, maxKeys: 100_000 };

interface Case {
  name: string;
  value: Typed;
  hex?: string;
  hex_start?: string;
  sha256?: string;
  bytes?: number;
  loads_as?: Typed;
}

const cases: Case[] = file.cases.filter((vector: Case) => !vector.name.includes("safe buffer"));

/** Equal in every part. `toStrictEqual` knows two Dates apart by their milliseconds alone, whatever their class adds. */
function same(actual: unknown, expected: unknown): void {
  expect(actual).toStrictEqual(expected);
  expect(modelOf(actual)).toEqual(modelOf(expected));
}

test("values that toStrictEqual takes for equal → distinguished", () => {
  const time = new ruby.RubyTime(5, 7, 0);
  for (const other of [new ruby.RubyTime(5, 8, 0), new ruby.RubyTime(5, 7, 3600)]) {
    expect(() => same({ a: [time] }, { a: [other] })).toThrow();
  }
  const zoned = new ruby.RubyTimeWithZone(5, 7, "UTC");
  expect(() => same(zoned, new ruby.RubyTimeWithZone(5, 7, "Tokyo"))).toThrow();
});

test("every kind of the vectors → covered", () => {
  expect(file.cases).toHaveLength(191);
  expect(file.decode).toHaveLength(36);
  expect(file.dump_errors).toHaveLength(11);
});

describe("what Rails writes", () => {
  test.each(cases.map((vector) => [vector.name, vector] as const))("%s", (name, vector) => {
    const given = vector.hex === undefined ? encodeRuby(fromTyped(vector.value), wide) : bytes(vector.hex);
    if (vector.hex_start !== undefined) {
      expect(hex(given).slice(0, 128)).toBe(vector.hex_start);
      expect(sha256(given)).toBe(vector.sha256);
    }
    expect(given).toHaveLength(vector.bytes ?? 0);

    const value = decodeRuby(given, wide);
    expect(hex(encodeRuby(value, wide))).toBe(hex(given));
    // JSON has lost the order of keys that look like integers before we see them.
    if (name !== "hash keys keep insertion order") {
      expect(hex(encodeRuby(fromTyped(vector.value), wide))).toBe(hex(given));
    }
    // A Regexp is not wrapped once more as Ruby does on reading: its text stays what was written.
    const loads = "loads_as" in vector && !name.startsWith("regexp") ? vector.loads_as : vector.value;
    same(value, fromTyped(loads));
  });

  test.each(["8.1.0 to 8.1.3.1", "8.1 branch after 8.1.3.1 and 8.2"] as const)(
    "safe buffers of Rails %s → read and written back",
    (rails) => {
      const form = rails.startsWith("8.1.0") ? "raw" : "nested";
      const buffer = new ruby.RubySafeBuffer("<b>ok</b>", form);
      const find = (name: string): Typed =>
        file.cases.find((vector: Case) => vector.name === name)[rails].hex;
      same(decodeRuby(bytes(find("safe buffer"))), buffer);
      expect(hex(encodeRuby(buffer))).toBe(find("safe buffer"));
      const session = { flash: { discard: [], flashes: { notice: buffer } } };
      same(decodeRuby(bytes(find("flash with safe buffer"))), session);
      expect(hex(encodeRuby(session))).toBe(find("flash with safe buffer"));
    },
  );

  test.each([
    ["nested fixstr", "d512a161", "a", "nested"],
    ["nested empty str", "d412a0", "", "nested"],
    ["nested str8", "c70312d90161", "a", "nested"],
    ["nested str16", "d612da000161", "a", "nested"],
    ["nested str32", "c70612db0000000161", "a", "nested"],
    ["raw", "d5126869", "hi", "raw"],
    ["raw letters that start as str8 does", "d512d981", "\u0641", "raw"],
  ] as const)("the form of a safe buffer: %s → read and written back", (_, given, content, form) => {
    const buffer = decodeRuby(bytes(`cc80${given}`)) as ruby.RubySafeBuffer;
    expect([buffer.content, buffer.form]).toEqual([content, form]);
  });

  test.each(["d412a1", "d512a2d9", "d412db", "d412d9", "c70312db0000", "c70012", "d412c1"])(
    "the odd safe buffer %s → raw bytes (R47)",
    (given) => {
      expect((decodeRuby(bytes(`cc80${given}`)) as ruby.RubySafeBuffer).form).toBe("raw");
    },
  );

  test("dates and decimals → print as in Ruby", () => {
    for (const { value, hex: given } of cases) {
      if (value?.$date) expect(String(decodeRuby(bytes(given ?? "")))).toBe(value.$date.iso);
      if (value?.$bigdecimal) expect(String(decodeRuby(bytes(given ?? "")))).toBe(value.$bigdecimal);
      if (value?.$datetime) {
        expect((decodeRuby(bytes(given ?? "")) as ruby.RubyDateTime).toDate()).toEqual(
          new Date(value.$datetime.iso),
        );
      }
      if (value?.$time_with_zone) {
        expect((decodeRuby(bytes(given ?? "")) as Date).getTime()).toBe(
          Date.parse(value.$time_with_zone.iso),
        );
      }
    }
  });
});

describe("odd bytes", () => {
  /** Where we refuse what Rails takes, or keep what Rails changes; nothing else differs. */
  const stricter = ["signature as uint16", "signature as float"];
  const kept: Record<string, unknown> = {
    "time zone with unknown name": new ruby.RubyTimeZone("Nope"),
    "regexp invalid": new ruby.RubyRegexp("("),
    "ext 18 with raw text": new ruby.RubySafeBuffer("hi", "raw"),
    "ext 18 with a nested str": new ruby.RubySafeBuffer("hi", "nested"),
  };

  test.each<[string, Typed]>(file.decode.map((vector: Typed) => [vector.name, vector]))(
    "%s → refused, or kept byte for byte (R47)",
    (name: string, vector: Typed): void => {
      const given = vector.hex === undefined ? bytes(`cc80${"91".repeat(100_000)}`) : bytes(vector.hex);
      if (name in kept) return same(decodeRuby(given), kept[name]);
      if (vector.ok && !stricter.includes(name)) return same(decodeRuby(given), fromTyped(vector.value));
      expect(() => decodeRuby(given)).toThrow(RefusedError);
      expect(() => decodeRuby(given)).toThrow(expect.objectContaining({ reason: "decode" }));
    },
  );

  test("a header that claims a huge length → no allocation (R47)", () => {
    for (const claim of [
      "ddffffffff",
      "dfffffffff",
      "dbffffffff",
      "c6ffffffff",
      "c9ffffffff0c",
      "dcffff",
      "deffff",
    ]) {
      expect(() => decodeRuby(bytes(`cc80${claim}`))).toThrow("ends unexpectedly");
    }
  });

  test("depth, keys and bytes beyond the limits → an error (R45)", () => {
    const nested = (depth: number): Uint8Array => bytes(`cc80${"91".repeat(depth)}c0`);
    expect(() => decodeRuby(nested(33))).toThrow("32 levels");
    expect(decodeRuby(nested(32))).toBeInstanceOf(Array);
    const ranges = (depth: number): unknown =>
      depth === 0 ? null : new ruby.RubyRange(ranges(depth - 1), null);
    expect(() => decodeRuby(encodeRuby(ranges(33), { ...defaultLimits, maxDepth: 99 }))).toThrow("32 levels");
    expect(decodeRuby(encodeRuby(ranges(32)))).toBeInstanceOf(ruby.RubyRange);
    const sets = (depth: number): unknown => new Set([{ a: depth === 0 ? null : sets(depth - 1) }]);
    expect(() => decodeRuby(encodeRuby(sets(16), { ...defaultLimits, maxDepth: 99 }))).toThrow("32 levels");
    const keys = new Map(Array.from({ length: 10_001 }, (_, key) => [key, null]));
    expect(() => decodeRuby(encodeRuby(keys, wide))).toThrow("10000 keys");
    const twice = [new Set([{ a: 1 }]), { a: 1 }];
    expect(() => decodeRuby(encodeRuby(twice), { ...defaultLimits, maxKeys: 1 })).toThrow("1 keys");
    expect(() => decodeRuby(encodeRuby("x".repeat(50)), { ...defaultLimits, maxBytes: 50 })).toThrow(
      "exceeds maxBytes, 50",
    );
  });

  test("__proto__ and constructor → never reach a prototype (R46)", () => {
    const bad = decodeRuby(bytes("cc8082a95f5f70726f746f5f5f81a17801ab636f6e7374727563746f7202"));
    expect(bad).toBeInstanceOf(Map);
    expect((bad as Map<string, unknown>).get("__proto__")).toEqual({ x: 1 });
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
    expect(Object.getPrototypeOf(decodeRuby(encodeRuby({ constructor: 1, toString: 2 })))).toBe(
      Object.prototype,
    );
  });
});

describe("what Node writes", () => {
  const refused: [string, unknown, string][] = [
    ["a function", { a: [() => 1] }, "data.a[0]"],
    ["a symbol of JavaScript", { a: Symbol("x") }, "data.a"],
    ["a JavaScript symbol as a key", { a: { [Symbol("x")]: 1 } }, "data.a"],
    ["an instance of a class", { a: new AbortController() }, "data.a"],
    ["an error", { a: new Error("x") }, "data.a"],
    ["a RegExp", { a: /x/ }, "data.a"],
    ["an invalid Date", { a: new Date(Number.NaN) }, "data.a"],
    ["a lone surrogate", { a: "\ud800" }, "data.a"],
    ["a lone surrogate in a key", { a: { "\udc00": 1 } }, 'data.a["\\udc00"]'],
    ["a typed array", { a: new Uint16Array(1) }, "data.a"],
    ["a key named __proto__", JSON.parse('{"__proto__":1}'), "data"],
    ["a bad address", { a: new ruby.RubyIpAddress("10.0.0.0/33") }, "data.a"],
    ["a complex of strings", { a: new ruby.RubyComplex("1" as never, 2) }, "data.a.real"],
  ];
  test.each(refused)("%s → refused with its path", (_, value, path) => {
    expect(() => encodeRuby(value, defaultLimits, "data")).toThrow(
      expect.objectContaining({ code: "ERR_STORED_SESSION_VALUE", path }),
    );
  });

  test("a value that contains itself → refused; one that appears twice → written twice", () => {
    const loop: Record<string, unknown> = { a: {} };
    loop["a"] = { loop };
    expect(() => encodeRuby(loop)).toThrow("value.a.loop is a cycle: it leads back to value.");
    const shared = { x: 1 };
    same(decodeRuby(encodeRuby([shared, shared])), [shared, shared]);
  });

  test("a limit exceeded → an error that names it (R45)", () => {
    const small = { maxBytes: 40, maxDepth: 3, maxKeys: 3 };
    expect(() => encodeRuby("x".repeat(50), small)).toThrow(expect.objectContaining({ limit: "bytes" }));
    expect(() => encodeRuby(new Set(["x".repeat(50)]), small)).toThrow(
      expect.objectContaining({ limit: "bytes" }),
    );
    expect(() => encodeRuby([[[[]]]], small)).toThrow(expect.objectContaining({ limit: "depth" }));
    expect(() =>
      encodeRuby(
        [
          { a: 1, b: 2 },
          { c: 1, d: 1 },
        ],
        small,
      ),
    ).toThrow(expect.objectContaining({ limit: "keys" }));
  });

  test("natural values → read back as Ruby's class", () => {
    const url = new URL("https://a.example/b?c#d");
    const written = {
      date: new Date(1_700_000_000_123),
      half: 0.5,
      minusZero: -0,
      big: 5n,
      map: new Map([["b", 1]]),
      url,
      gone: undefined,
      list: [undefined],
    };
    const { gone: _, ...rest } = written;
    same(decodeRuby(encodeRuby(written)), {
      ...rest,
      big: 5,
      map: { b: 1 },
      url: new ruby.RubyUri(url),
      list: [null],
    });
  });

  test("keys that look like integers → Ruby's order", () => {
    const given = "cc8084a17a01a16102a2313003a13904";
    const hash = decodeRuby(bytes(given)) as Record<string, number>;
    delete hash["a"];
    hash["new"] = 5;
    expect(hex(encodeRuby(hash))).toBe("cc8084a17a01a2313003a13904a36e657705");
  });

  test("a Date changed by a setter → written with its new time", () => {
    const time = new ruby.RubyTime(1_700_000_000, 123_456_789, 3600);
    time.setTime(5_500);
    same(decodeRuby(encodeRuby(time)), new ruby.RubyTime(5, 500_000_000, 3600));
    const far = new ruby.RubyTime(10n ** 20n, 7, 0);
    expect(far.getTime()).toBeNaN();
    same(decodeRuby(encodeRuby(far)), far);
  });

  test("a symbol → one object, and a hash of symbols is read by it", () => {
    const item = decodeRuby(encodeRuby(ruby.symbolHash({ sku: "A1", qty: 2 }))) as Map<
      ruby.RubySymbol,
      unknown
    >;
    expect(item.get(ruby.RubySymbol.for("sku"))).toBe("A1");
    expect(JSON.stringify([...item.keys()])).toBe('["sku","qty"]');
  });

  test("a key of -0.0 or NaN → unchanged", () => {
    const given = "cc8083cb800000000000000001cb7ff800000000000002cb3ff000000000000003";
    expect(hex(encodeRuby(decodeRuby(bytes(given))))).toBe(given);
  });
});
