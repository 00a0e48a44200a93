import { isDeepStrictEqual } from "node:util";
import { decode as libraryDecode, encode as libraryEncode, ExtensionCodec } from "@msgpack/msgpack";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { ValueError } from "../errors.ts";
import { Codec } from "./codec.ts";

const codec = new Codec({ maxBytes: 1_048_576 });

/** What another implementation writes. It knows Dates, and none of our own extensions. */
const reference = (value: unknown) => Buffer.from(libraryEncode(value, { maxDepth: 100 }));
/** Without Buffers, which the library's byte arrays would be as views of one. */
const written = (value: unknown) => new Uint8Array(codec.encodeValue(value));
/** Much faster than comparing them element by element. */
function expectSame(bytes: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(bytes, expected) !== 0) expect(bytes).toStrictEqual(expected);
}
const numbers = [16, 15.5, -1, -33, 200, 300, -300, 70_000, -70_000, 2 ** 33 + 7, -(2 ** 33) - 7, NaN];

describe("another implementation", () => {
  const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary", maxLength: 400 }));
  const leaves = [
    fc.constantFrom(null, true, false),
    fc.double().filter((number) => !Object.is(number, -0)),
    fc.maxSafeInteger(),
    fc.integer(),
    fc.nat(300),
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.date({ noInvalidDate: true }),
  ];
  const key = text.filter((name) => name !== "__proto__");
  const plain = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      ...leaves,
      fc.array(tie("value"), { maxLength: 20 }),
      fc.dictionary(key, tie("value")).map((object) => ({ ...object })),
    ),
  })).value;

  test("the same value → the same bytes as @msgpack/msgpack", () => {
    fc.assert(
      fc.property(plain, (value) => {
        expectSame(codec.encodeValue(value), reference(value));
      }),
      { numRuns: 1000 },
    );
  });

  test("Sets, Maps, bigints and URLs → understood by it", () => {
    const extensions = new ExtensionCodec();
    const nested = (bytes: Uint8Array) => libraryDecode(bytes, { extensionCodec: extensions }) as unknown[];
    const decoded = (type: number, decode: (payload: Uint8Array) => unknown) =>
      extensions.register({ type, encode: () => null, decode });
    decoded(1, (bytes) => BigInt(Buffer.from(bytes).toString()));
    decoded(2, (bytes) => new Set(nested(bytes)));
    decoded(3, (bytes) => {
      const flat = nested(bytes);
      return new Map(flat.flatMap((item, index) => (index % 2 === 0 ? [[item, flat[index + 1]]] : [])));
    });
    decoded(4, (bytes) => new URL(Buffer.from(bytes).toString()));
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4, depthSize: "small" },
        ...leaves,
        fc.constant(-0),
        fc.bigInt(),
        fc.webUrl().map((href) => new URL(href)),
        fc.array(tie("value")),
        fc.array(tie("value")).map((elements) => new Set(elements)),
        fc.array(fc.tuple(tie("value"), tie("value"))).map((entries) => new Map(entries)),
      ),
    }));
    fc.assert(
      fc.property(value, (any) => {
        expect(isDeepStrictEqual(libraryDecode(written(any), { extensionCodec: extensions }), any)).toBe(
          true,
        );
      }),
      { numRuns: 500 },
    );
  });

  test("an object with many getters and undefined values → its header counts what is left", () => {
    for (const left of [0, 1, 14, 15, 16, 17, 40]) {
      for (const gone of [0, 1, 20]) {
        const object: Record<string, unknown> = {};
        for (let index = 0; index < gone; index++) object[`gone ${index}`] = undefined;
        for (let index = 0; index < left; index++) object[`left ${index}`] = index;
        const rest = Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
        expect(codec.encodeValue([object, 7])).toStrictEqual(reference([rest, 7]));
      }
    }
    const wide = new Codec({ maxBytes: 2 ** 20, maxKeys: 2 ** 20 });
    const keys = Array.from({ length: 65_537 }, (_, index) => [`k${index}`, index < 2 ? undefined : 1]);
    const object = Object.fromEntries(keys) as object;
    expectSame(wide.encodeValue(object), reference(Object.fromEntries(keys.slice(2))));
  });
});

describe("the buffer", () => {
  test.each<[string, unknown]>([
    ["null", null],
    ["a boolean", true],
    ["short text", "tea"],
    ["longer text", "t".repeat(30)],
    ["wide text", "茶".repeat(30)],
    ["bytes", new Uint8Array(300).fill(7)],
    ["a small array", [1, 2]],
    ["an array", Array.from({ length: 20 }, () => 1)],
    ["an object", Object.fromEntries(numbers.map((value, index) => [`key ${index}`, value]))],
    ["a larger object", Object.fromEntries(Array.from({ length: 20 }, (_, index) => [index, index]))],
    ["a near date", new Date(1_700_000_000_000)],
    ["a date", new Date(1_700_000_000_123)],
    ["a far date", new Date(-5)],
    ...numbers.map((value): [string, unknown] => [`the number ${value}`, value]),
  ])("%s ends at any offset → the buffer grows", (_name, value) => {
    for (let fill = 8192 - 100; fill <= 8192 - 6; fill += 4) {
      for (let nulls = 0; nulls < 6; nulls++) {
        const all = [new Uint8Array(fill), ...Array.from({ length: nulls }, () => null), value, value, 7];
        expectSame(new Codec({ maxBytes: 100_000 }).encodeValue(all), reference(all));
      }
    }
  });

  test("extensions that end at any offset → the buffer grows", () => {
    const more = [10n ** 20n, new Set([1, "a"]), new Map([["a", 1]]), new URL("http://a/b"), 5n];
    for (let fill = 8192 - 100; fill <= 8192 - 6; fill++) {
      const fresh = new Codec({ maxBytes: 100_000 });
      const all = [new Uint8Array(fill), null, ...more, 7];
      expect(isDeepStrictEqual(fresh.clone(all), all)).toBe(true);
    }
  });

  test("the next encoding → the same buffer, unless it grew large", () => {
    const allocate = vi.spyOn(Buffer, "allocUnsafeSlow");
    const allocations = (one: Codec, value: unknown) => {
      allocate.mockClear();
      one.encodeValue(value);
      return allocate.mock.calls.length;
    };
    const fresh = () => new Codec({ maxBytes: 1_048_576 });
    try {
      const small = fresh();
      expect(allocations(small, "tea")).toBe(1);
      expect(allocations(small, "tea")).toBe(0);
      const large = fresh();
      expect(allocations(large, new Uint8Array(262_144 - 5))).toBe(2);
      expect(allocations(large, new Uint8Array(262_144 - 5))).toBe(0);
      const larger = fresh();
      expect(allocations(larger, new Uint8Array(262_144 - 4))).toBe(2);
      expect(allocations(larger, "tea")).toBe(1);
      expect(allocations(larger, "tea")).toBe(0);
    } finally {
      allocate.mockRestore();
    }
  });

  test("further encodings → bytes returned before do not change", () => {
    const first = codec.encodeValue(["tea", 1]);
    const copy = Buffer.from(first);
    codec.encodeValue(["coffee and cake", 2]);
    expect(first).toStrictEqual(copy);
  });
});

test("a getter encodes other sessions, of any size, failing or not → the outer encoding is unaffected", () => {
  const others: unknown[] = [];
  const value = {
    before: "x".repeat(100),
    get small() {
      return codec.encodeValue({ other: [1, 2] }).length;
    },
    get large() {
      return codec.encodeValue("y".repeat(100_000)).length;
    },
    get refused() {
      try {
        codec.encodeValue({ other: { price: () => 1 } });
      } catch (error) {
        others.push(error);
      }
      return others.length;
    },
    after: ["z"],
  };
  expect(codec.clone(value)).toStrictEqual({
    before: "x".repeat(100),
    small: 10,
    large: 100_005,
    refused: 1,
    after: ["z"],
  });
  expect((others[0] as ValueError).path).toBe("value.other.price");
});

test("a rejected value → no part of it in the next encoding", () => {
  const one = new Codec({ maxBytes: 1000, maxKeys: 4 });
  for (let round = 0; round < 5; round++) {
    const object = { a: { b: round } };
    expect(() => one.encodeValue({ b: [object, { c: () => 1 }] })).toThrow("value.b[1].c is a function.");
    expect(() => one.encodeValue("x".repeat(1001))).toThrow("takes at least 1002 bytes");
    expect(one.clone(object)).toStrictEqual(object);
    expect(one.clone([object, "x".repeat(900)])).toStrictEqual([object, "x".repeat(900)]);
  }
});
