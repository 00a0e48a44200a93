import { isDeepStrictEqual } from "node:util";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { LimitError, StoredSessionError, ValueError } from "../errors.ts";
import { Codec, hasLinks, type Content } from "./codec.ts";

const codec = new Codec({ maxBytes: 1_048_576 });
const holds =
  "A session holds null, booleans, numbers, strings, bigints, Dates, URLs, Uint8Arrays, arrays, plain objects, Maps and Sets.";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const content = (data: Record<string, unknown>, more: Partial<Content> = {}): Content => ({
  data,
  user: undefined,
  flash: {},
  ...more,
});
const roundTrip = (value: unknown) => codec.decode(codec.encode(content({ value }))).data["value"];
const written = (value: unknown) => hex(codec.encodeValue(value, "value"));

function thrownBy(act: () => unknown): StoredSessionError {
  try {
    act();
  } catch (error) {
    return error as StoredSessionError;
  }
  throw new Error("nothing was thrown");
}
const refusal = (value: unknown) => {
  const error = thrownBy(() => codec.encode(content({ value })));
  expect(error).toBeInstanceOf(ValueError);
  return error as ValueError;
};

describe("layout", () => {
  test("a content → an array of two: data and internals", () => {
    expect(hex(codec.encode(content({})))).toBe("928080");
    expect(hex(codec.encode(content({ a: 1 })))).toBe("9281a1610180");
    expect(hex(codec.encode(content({}, { user: "42" })))).toBe("928081a175a23432");
    expect(hex(codec.encode(content({}, { flash: { n: "x" } })))).toBe("928081a16681a16ea178");
    expect(hex(codec.encode(content({}, { user: "1", flash: { n: true } })))).toBe(
      "928082a175a131a16681a16ec3",
    );
  });

  test("no defined flash value → no flash in the bytes", () => {
    expect(hex(codec.encode(content({}, { flash: { n: undefined } })))).toBe("928080");
  });

  test("encode, then decode → the same content", () => {
    const all = content({ cart: [{ sku: "tea" }] }, { user: "42", flash: { notice: "Hello" } });
    expect(codec.decode(codec.encode(all))).toStrictEqual(all);
    expect(codec.decode(codec.encode(content({})))).toStrictEqual(content({}));
  });

  test("internals in either order → read", () => {
    const bytes = Buffer.from("928082a16681a16ec3a175a131", "hex");
    expect(codec.decode(bytes)).toStrictEqual(content({}, { user: "1", flash: { n: true } }));
  });

  test("client metadata → a map", () => {
    const bytes = codec.encodeMap({ address: "192.0.2.1", userAgent: "curl" });
    expect(hex(bytes)).toBe("82a761646472657373a93139322e302e322e31a9757365724167656e74a46375726c");
    expect(codec.decodeMap(bytes)).toStrictEqual({ address: "192.0.2.1", userAgent: "curl" });
    expect(thrownBy(() => codec.encodeMap({ a: () => 1 })).message).toMatch(/^client\.a is a function\./);
    expect(thrownBy(() => codec.encodeMap({ a: () => 1 }, "device")).message).toMatch(
      /^device\.a is a function\./,
    );
  });
});

describe("values as formats.md writes them", () => {
  test.each([
    [null, "c0"],
    [undefined, "c0"],
    [false, "c2"],
    [true, "c3"],
    [0, "00"],
    [127, "7f"],
    [128, "cc80"],
    [255, "ccff"],
    [256, "cd0100"],
    [65_535, "cdffff"],
    [65_536, "ce00010000"],
    [2 ** 32 - 1, "ceffffffff"],
    [2 ** 32, "cf0000000100000000"],
    [Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
    [2 ** 53, "cb4340000000000000"],
    [-1, "ff"],
    [-32, "e0"],
    [-33, "d0df"],
    [-128, "d080"],
    [-129, "d1ff7f"],
    [-32_768, "d18000"],
    [-32_769, "d2ffff7fff"],
    [-(2 ** 31), "d280000000"],
    [-(2 ** 31) - 1, "d3ffffffff7fffffff"],
    [Number.MIN_SAFE_INTEGER, "d3ffe0000000000001"],
    [-(2 ** 53), "cbc340000000000000"],
    [-0, "cb8000000000000000"],
    [1.5, "cb3ff8000000000000"],
    [NaN, "cb7ff8000000000000"],
    [-NaN, "cb7ff8000000000000"],
    [Infinity, "cb7ff0000000000000"],
    [-Infinity, "cbfff0000000000000"],
    ["", "a0"],
    ["é", "a2c3a9"],
    ["\u{1f375}", "a4f09f8db5"],
    [new Uint8Array([1, 2]), "c4020102"],
    [Buffer.from([1, 2]), "c4020102"],
    [[], "90"],
    [[1, undefined, null], "9301c0c0"],
    [Object.assign([], { length: 2 }), "92c0c0"],
    [{}, "80"],
    [{ a: undefined, b: 1 }, "81a16201"],
    [new Date(0), "d6ff00000000"],
    [new Date(4_294_967_295_000), "d6ffffffffff"],
    [new Date(4_294_967_296_000), "d7ff0000000100000000"],
    [new Date(1), "d7ff003d090000000000"],
    [new Date(17_179_869_183_999), "d7ffee2e1f03ffffffff"],
    [new Date(17_179_869_184_000), "c70cff000000000000000400000000"],
    [new Date(-1), "c70cff3b8b87c0ffffffffffffffff"],
    [new Date(8.64e15), "c70cff00000000000007dba8218000"],
    [new Date(-8.64e15), "c70cff00000000fffff82457de8000"],
    [0n, "d40130"],
    [-12n, "c703012d3132"],
    [2n ** 64n, "c714013138343436373434303733373039353531363136"],
    [new Set(), "d40290"],
    [new Set([1, "a"]), "d6029201a161"],
    [new Map(), "d40390"],
    [new Map([["a", 1]]), "d60392a16101"],
    [new Map([["a", undefined]]), "d60392a161c0"],
    [new URL("http://a"), "c70904687474703a2f2f612f"],
  ])("%s → its bytes", (value, bytes) => {
    expect(written(value)).toBe(bytes);
    expect(written(codec.clone(value))).toBe(bytes);
  });

  test("R46: an object that inherits a property of the same name → the key is stored", () => {
    for (const key of ["constructor", "toString", "hasOwnProperty", "valueOf"]) {
      const back = roundTrip({ [key]: 1 }) as object;
      expect(Object.entries(back)).toStrictEqual([[key, 1]]);
      expect(Object.getOwnPropertyDescriptor(back, key)).toStrictEqual({
        value: 1,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    expect(({} as { constructor: unknown }).constructor).toBe(Object);
  });

  test("keys → keep their order", () => {
    expect(Object.keys(roundTrip({ b: 1, a: 2, constructor: 3, 7: 4 }) as object)).toStrictEqual([
      "7",
      "b",
      "a",
      "constructor",
    ]);
  });

  test("bytes → decoded into a Uint8Array with its own memory", () => {
    const bytes = codec.encode(content({ value: Buffer.from("tea") }));
    const back = codec.decode(bytes).data["value"] as Uint8Array;
    expect(back).toStrictEqual(new Uint8Array([116, 101, 97]));
    expect(Object.getPrototypeOf(back)).toBe(Uint8Array.prototype);
    expect(back.buffer.byteLength).toBe(3);
    bytes.fill(0);
    expect(back[0]).toBe(116);
  });

  test("a Uint8Array with overridden properties → its real bytes are stored", () => {
    const bytes = new Uint8Array([1, 2, 3]);
    Object.defineProperty(bytes, "byteLength", { value: 9 });
    Object.defineProperty(bytes, "length", { value: 9 });
    expect(roundTrip(bytes)).toStrictEqual(new Uint8Array([1, 2, 3]));
  });

  test("objects → decoded with Object.prototype", () => {
    expect(roundTrip(Object.assign(Object.create(null) as object, { a: 1 }))).toStrictEqual({ a: 1 });
    expect(Object.getPrototypeOf(codec.decode(codec.encode(content({}))).data)).toBe(Object.prototype);
  });

  test("a shared object → stored twice", () => {
    const tea = { sku: "tea" };
    const back = roundTrip([tea, tea, { tea }]) as [object, object, { tea: object }];
    expect(back).toStrictEqual([tea, tea, { tea }]);
    expect(back[0]).not.toBe(back[1]);
  });

  test("a getter → its value is stored, and it is called once", () => {
    let asked = 0;
    const value = {
      get count() {
        return ++asked;
      },
    };
    expect(roundTrip(value)).toStrictEqual({ count: 1 });
    expect(asked).toBe(1);
  });

  test("a proxy of a plain object → stored as its properties", () => {
    expect(roundTrip(new Proxy({ a: [1] }, {}))).toStrictEqual({ a: [1] });
  });

  test("toJSON → not called; non-enumerable properties → not stored", () => {
    const value = { a: 1 };
    Object.defineProperty(value, "toJSON", { value: () => "wrong" });
    expect(roundTrip(value)).toStrictEqual({ a: 1 });
  });

  test("a byte order mark → kept, also in long text", () => {
    for (const text of ["\ufeff", `\ufeff${"x".repeat(300)}`, `\ufeffé${"x".repeat(5000)}`]) {
      expect(roundTrip(text)).toBe(text);
    }
  });

  test.each([31, 32, 255, 256, 65_535, 65_536])(
    "text, bytes, keys and extensions of %i bytes → read back equal",
    (length) => {
      for (const text of ["a".repeat(length), "é".repeat(length / 2), `${"a".repeat(length - 2)}é`]) {
        expect(roundTrip(text)).toBe(text);
        expect(Object.keys(codec.clone({ [text]: 1 }))[0]).toBe(text);
      }
      const bytes = Buffer.alloc(length, 7);
      expect(bytes.equals(roundTrip(bytes) as Uint8Array)).toBe(true);
      const url = new URL(`http://a/${"x".repeat(length - 9)}`);
      expect((roundTrip(url) as URL).href).toBe(url.href);
      const digits = 10n ** BigInt(length - 1);
      expect(roundTrip(digits)).toBe(digits);
    },
  );

  test.each([14, 15, 16, 17, 255, 256])(
    "arrays, objects, Sets and Maps of %i → read back equal",
    (length) => {
      const array = Array.from({ length }, (_, index) => index);
      const object = Object.fromEntries(array.map((n) => [`k${n}`, n]));
      for (const value of [array, object, new Set(array), new Map(array.map((n) => [n, n]))]) {
        expect(isDeepStrictEqual(roundTrip(value), value)).toBe(true);
      }
      const all = content(object, { flash: object });
      expect(isDeepStrictEqual(codec.decode(codec.encode(all)), all)).toBe(true);
    },
  );

  test.each([65_535, 65_536])("arrays and objects of %i → read back equal", (length) => {
    const wide = new Codec({ maxBytes: 2 ** 20, maxKeys: 2 ** 20 });
    const array = Array.from({ length }, () => null);
    expect(isDeepStrictEqual(wide.clone(array), array)).toBe(true);
    expect(isDeepStrictEqual(wide.clone(new Map([[1, array]])), new Map([[1, array]]))).toBe(true);
    const object = Object.fromEntries(array.map((_, index) => [`k${index}`, null]));
    expect(isDeepStrictEqual(wide.decodeMap(wide.encodeMap(object)), object)).toBe(true);
  });

  test("a Set of 65,536 → read back equal", () => {
    const set = new Set(Array.from({ length: 65_536 }, (_, index) => index));
    expect(isDeepStrictEqual(roundTrip(set), set)).toBe(true);
  });

  test("Sets and Maps of any value, and Maps with any key → read back equal", () => {
    const value = new Map<unknown, unknown>([
      [new Date(5), new Set([new Map([[-0, -0]])])],
      [{ a: 1 }, [-0, { zero: -0 }]],
      [null, 1n],
    ]);
    expect(roundTrip(value)).toStrictEqual(value);
  });

  test("zero bytes in a value → the next value is not affected", () => {
    expect(written([-0, -0])).toBe("92cb8000000000000000cb8000000000000000");
    expect(written("x".repeat(20))).toBe(`b4${"78".repeat(20)}`);
  });
});

describe("encode: a value that cannot be stored → an error with its path", () => {
  class Basket {
    items = [];
  }
  class Items extends Array {}
  class Bytes extends Uint8Array {}
  class Moment extends Date {}
  class Table extends Map {}
  class Group extends Set {}
  class Link extends URL {}
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };

  test.each<[string, unknown, string]>([
    ["a function", () => 1, `data.value is a function. ${holds}`],
    ["a symbol", Symbol("secret"), `data.value is a symbol. ${holds}`],
    ["an instance", new Basket(), `data.value is an instance of Basket. ${holds}`],
    ["an error", new RangeError("secret"), `data.value is an instance of RangeError. ${holds}`],
    ["a regular expression", /secret/, `data.value is an instance of RegExp. ${holds}`],
    ["a promise", Promise.resolve(1), `data.value is an instance of Promise. ${holds}`],
    ["a boxed number", new Number(1), `data.value is an instance of Number. ${holds}`],
    ["a boxed string", new String("secret"), `data.value is an instance of String. ${holds}`],
    ["another typed array", new Uint16Array(1), `data.value is an instance of Uint16Array. ${holds}`],
    ["an ArrayBuffer", new ArrayBuffer(1), `data.value is an instance of ArrayBuffer. ${holds}`],
    ["a WeakMap", new WeakMap(), `data.value is an instance of WeakMap. ${holds}`],
    [
      "an object of another object",
      Object.create({}) as object,
      `data.value is an instance of Object. ${holds}`,
    ],
    [
      "an object without constructor",
      Object.create(Object.create(null) as object) as object,
      `data.value is an instance of a class. ${holds}`,
    ],
    [
      "an anonymous class",
      new (class {
        items = [];
      })(),
      `data.value is an instance of a class. ${holds}`,
    ],
    [
      "a name that is no name",
      new {
        "a\nb": class {
          items = [];
        },
      }["a\nb"](),
      `data.value is an instance of a class. ${holds}`,
    ],
    [
      "a name with more behind it",
      new {
        "a b": class {
          items = [];
        },
      }["a b"](),
      `data.value is an instance of a class. ${holds}`,
    ],
    [
      "an Array of its own kind",
      new Items(),
      `data.value is an instance of Items, a subclass of Array. ${holds}`,
    ],
    [
      "a Uint8Array of its own kind",
      new Bytes(1),
      `data.value is an instance of Bytes, a subclass of Uint8Array. ${holds}`,
    ],
    [
      "a Date of its own kind",
      new Moment(0),
      `data.value is an instance of Moment, a subclass of Date. ${holds}`,
    ],
    ["a Map of its own kind", new Table(), `data.value is an instance of Table, a subclass of Map. ${holds}`],
    ["a Set of its own kind", new Group(), `data.value is an instance of Group, a subclass of Set. ${holds}`],
    [
      "a URL of its own kind",
      new Link("http://a"),
      `data.value is an instance of Link, a subclass of URL. ${holds}`,
    ],
    ["an object of another realm", runInNewContext("({})"), `data.value is an instance of Object. ${holds}`],
    [
      "only the prototype of a Date",
      Object.create(Date.prototype) as object,
      `data.value is an instance of Date. ${holds}`,
    ],
    ["an invalid date", new Date(NaN), "data.value is an invalid Date. Store null or a valid date."],
    ["a symbol as key", { [Symbol("secret")]: 1 }, "data.value has a symbol as a key. Keys must be strings."],
    ["Math", Math, "data.value has a symbol as a key. Keys must be strings."],
    [
      "a Date with more",
      Object.assign(new Date(0), { zone: "secret" }),
      "data.value has extra properties, which would be lost. Store them separately.",
    ],
    [
      "a Map with more",
      Object.assign(new Map(), { a: 1 }),
      "data.value has extra properties, which would be lost. Store them separately.",
    ],
    [
      "a Set with more",
      Object.assign(new Set(), { a: 1 }),
      "data.value has extra properties, which would be lost. Store them separately.",
    ],
    [
      "a URL with more",
      Object.assign(new URL("http://a"), { a: 1 }),
      "data.value has extra properties, which would be lost. Store them separately.",
    ],
    [
      "an array with more",
      "tea".match(/e/),
      "data.value has extra properties, which would be lost. Store them separately.",
    ],
    [
      "a longer array with more",
      Object.assign([1, 2, 3], { a: 1 }),
      "data.value has extra properties, which would be lost. Store them separately.",
    ],
    [
      "an array with a negative index",
      Object.assign([1], { "-1": 0 }),
      "data.value has extra properties, which would be lost. Store them separately.",
    ],
    [
      "undefined in a Set",
      new Set([undefined]),
      "data.value.values()[0] is undefined, which cannot be stored in a Set or as a key of a Map.",
    ],
    [
      "undefined as a key",
      new Map([[undefined, 1]]),
      "data.value.keys()[0] is undefined, which cannot be stored in a Set or as a key of a Map.",
    ],
    [
      "a lone surrogate",
      "tea \ud83c",
      "data.value contains a lone surrogate, as truncated text can. Repair it with toWellFormed().",
    ],
    [
      "only the prototype of a URL",
      Object.create(URL.prototype) as object,
      "data.value cannot be read: a getter or proxy threw an error. See `cause`.",
    ],
    [
      "a revoked proxy",
      revoked(),
      "data.value cannot be read: a getter or proxy threw an error. See `cause`.",
    ],
  ])("%s", (_name, value, message) => {
    const error = refusal(value);
    expect(error.message).toBe(message);
    expect(error.message).not.toContain("secret");
    expect(message.startsWith(`${error.path} `)).toBe(true);
    expect(error.code).toBe("ERR_STORED_SESSION_VALUE");
  });

  test.each<[Record<string, unknown>, string]>([
    [{ cart: [0, 1, 2, { price: () => 1 }] }, "data.cart[3].price"],
    [{ "two words": () => 1 }, 'data["two words"]'],
    [{ "": () => 1 }, 'data[""]'],
    [{ "1a": () => 1 }, 'data["1a"]'],
    [{ $a_1: () => 1 }, "data.$a_1"],
    [{ _: () => 1 }, "data._"],
    [{ "a\n": () => 1 }, 'data["a\\n"]'],
    [{ "\u0085": () => 1 }, 'data["\\u0085"]'],
    [{ "\u009b2J\u2028\u202e\u200b": () => 1 }, 'data["\\u009b2J\\u2028\\u202e\\u200b"]'],
    [{ m: new Map([["\u2029\u2066", () => 1]]) }, 'data.m.get("\\u2029\\u2066")'],
    [{ ["k".repeat(64)]: () => 1 }, `data.${"k".repeat(64)}`],
    [{ ["k".repeat(65)]: () => 1 }, `data.${"k".repeat(64)}…`],
    [{ [`k ${"k".repeat(65)}`]: () => 1 }, `data["k ${"k".repeat(62)}…"]`],
    [{ m: new Map([["x y", () => 1]]) }, 'data.m.get("x y")'],
    [{ m: new Map([["k".repeat(65), () => 1]]) }, `data.m.get("${"k".repeat(64)}…")`],
    [
      {
        m: new Map<unknown, unknown>([
          [0, 0],
          [5, () => 1],
        ]),
      },
      "data.m.get(5)",
    ],
    [{ m: new Map([[5n, () => 1]]) }, "data.m.get(5n)"],
    [{ m: new Map([[true, () => 1]]) }, "data.m.get(true)"],
    [{ m: new Map([[null, () => 1]]) }, "data.m.values()[0]"],
    [
      {
        m: new Map<unknown, unknown>([
          [1, 1],
          [{}, () => 1],
        ]),
      },
      "data.m.values()[1]",
    ],
    [
      {
        m: new Map<unknown, unknown>([
          [1, 1],
          [() => 1, 1],
        ]),
      },
      "data.m.keys()[1]",
    ],
    [{ m: new Map([["x", [{ a: () => 1 }]]]) }, 'data.m.get("x")[0].a'],
    [{ m: new Map([[{ k: () => 1 }, 1]]) }, "data.m.keys()[0].k"],
    [{ s: new Set<unknown>(["a", () => 1]) }, "data.s.values()[1]"],
    [{ s: new Set<unknown>(["a", "\ud800"]) }, "data.s.values()[1]"],
    [{ a: { b: { c: 1 }, d: [[1, [2]], () => 1] } }, "data.a.d[1]"],
    [{ a: { b: [[1]], s: new Set([1]), m: new Map([[1, 1]]) }, z: () => 1 }, "data.z"],
    [{ a: JSON.parse('{"__proto__": 1}') as unknown }, "data.a.__proto__"],
    [{ "a\ud800": 1 }, 'data["a\\ud800"]'],
  ])("%o: %s", (data, path) => {
    const error = thrownBy(() => codec.encode(content(data))) as ValueError;
    expect(error).toBeInstanceOf(ValueError);
    expect(error.path).toBe(path);
  });

  test("flash and user → named as such in the path", () => {
    const flash = thrownBy(() => codec.encode(content({ a: [1] }, { flash: { notice: [() => 1] } })));
    expect(flash.message).toBe(`flash.notice[0] is a function. ${holds}`);
    for (const user of ["", 42, null]) {
      const error = thrownBy(() => codec.encode(content({}, { user: user as string }))) as ValueError;
      expect(error.message).toBe("user must be a non-empty string.");
      expect(error.path).toBe("user");
    }
    expect(thrownBy(() => codec.encode(content({}, { user: "\udc00" }))).message).toMatch(
      /^user contains a lone/,
    );
    const wrong: unknown[] = [null, undefined, [], new Map(), "text", new Basket()];
    for (const data of wrong) {
      const error = thrownBy(() => codec.encode(content(data as Record<string, unknown>)));
      expect(error.message).toBe("data must be a plain object.");
    }
  });

  test("a key __proto__ → an error that says why", () => {
    expect(refusal(JSON.parse('{"__proto__": 1}')).message).toBe(
      "data.value.__proto__ is not allowed as a key: it could cause prototype pollution.",
    );
    const hidden = Object.defineProperty({}, "__proto__", { value: undefined, enumerable: true });
    expect(refusal(hidden).path).toBe("data.value.__proto__");
  });

  test("a cycle, through every kind of container → an error", () => {
    const object: Record<string, unknown> = { a: {} };
    (object["a"] as Record<string, unknown>)["back"] = object;
    expect(refusal(object).message).toBe(
      "data.value.a.back is a cycle: it leads back to data.value. Store an id in its place.",
    );
    const array: unknown[] = [1];
    array.push([array]);
    expect(refusal(array).path).toBe("data.value[1][0]");
    const map = new Map<unknown, unknown>();
    map.set("self", map);
    expect(refusal(map).path).toBe('data.value.get("self")');
    const set = new Set<unknown>();
    set.add({ set });
    expect(refusal(set).path).toBe("data.value.values()[0].set");
    const data: Record<string, unknown> = {};
    data["data"] = data;
    expect(thrownBy(() => codec.encode(content(data))).message).toBe(
      "data.data is a cycle: it leads back to data. Store an id in its place.",
    );
  });

  test("a getter that throws → its error is the cause, even one of this package", () => {
    for (const cause of [new Error("no"), new ValueError("elsewhere", "no")]) {
      const error = refusal({
        a: { b: [1] },
        get price() {
          throw cause;
        },
      });
      expect(error.path).toBe("data.value.price");
      expect(error.cause).toBe(cause);
    }
    const proxy = new Proxy({}, { ownKeys: () => JSON.parse("") as string[] });
    expect(refusal({ a: [{}], proxy }).path).toBe("data.value.proxy");
    expect(refusal({ a: [{}], proxy }).cause).toBeInstanceOf(SyntaxError);
  });

  test("a getter that saves another session → both are encoded correctly", () => {
    const value = {
      a: {
        get b() {
          return [codec.encode(content({ x: { y: [1, 2] } })).length, -0];
        },
      },
      c: -0,
    };
    expect(roundTrip(value)).toStrictEqual({ a: { b: [11, -0] }, c: -0 });
  });

  test("a URL with overridden properties → stored as its real text", () => {
    const url = new URL("http://a/");
    Object.defineProperty(url, "href", { value: "nothing" });
    expect(String(roundTrip(url))).toBe("http://a/");
  });

  test.each(["http://b/", null])("a URL that would be read as %s → an error", (read) => {
    const parse = vi.spyOn(URL, "parse").mockReturnValue(read === null ? null : new URL(read));
    const error = refusal(new URL("http://a/"));
    parse.mockRestore();
    expect(error.message).toBe("data.value is a URL that changes when it is serialized and parsed again.");
  });
});

describe("R45, promise 10: limits of encoding", () => {
  const nested = (levels: number, make: (inner: unknown) => unknown) => {
    let value: unknown = 1;
    for (let level = 0; level < levels; level++) value = make(value);
    return value;
  };

  test("too many bytes → an error with the size and the limit", () => {
    const small = new Codec({ maxBytes: 64 });
    const text = content({ a: "x".repeat(64 - 7) });
    expect(small.decode(small.encode(text))).toStrictEqual(text);
    const error = thrownBy(() => small.encode(content({ a: "x".repeat(64 - 6) }))) as LimitError;
    expect(error).toBeInstanceOf(LimitError);
    expect(error.limit).toBe("bytes");
    expect(error.message).toBe(
      "The session takes 65 bytes, over the limit of 64 (maxBytes). Store less in it, or raise maxBytes.",
    );
  });

  test.each<[string, unknown, number]>([
    ["text", "x".repeat(1000), 1008],
    ["bytes", new Uint8Array(1000), 1009],
    ["a long array without elements", Object.assign([], { length: 4_000_000_000 }), 4_000_000_007],
    ["an array", Array.from({ length: 100 }, () => 0), 107],
    ["a huge bigint", 1n << 1_000_000n, 65],
    ["a huge negative bigint", -(1n << 1_000_000n), 65],
  ])("%s → encoding stops early", (_name, value, bytes) => {
    const error = thrownBy(() => new Codec({ maxBytes: 64 }).encode(content({ value }))) as LimitError;
    expect(error.message).toBe(
      `The session takes at least ${bytes} bytes, counted up to data.value, over the limit of 64 (maxBytes). Store less in it, or raise maxBytes.`,
    );
    expect(error.limit).toBe("bytes");
    expect(error.path).toBe("data.value");
  });

  test("a long array whose header alone exceeds the limit → an error with the exact size", () => {
    const error = thrownBy(() =>
      new Codec({ maxBytes: 64 }).encodeValue(Array.from({ length: 63 }, () => 0)),
    ) as LimitError;
    expect(error.message).toMatch(/^The session takes 66 bytes, /);
    expect(error.path).toBeUndefined();
  });

  test("limits above the default for depth and keys → apply", () => {
    const deep = new Codec({ maxBytes: 10_000, maxDepth: 200 });
    const value = nested(200, (inner) => [inner]);
    expect(isDeepStrictEqual(deep.clone(value), value)).toBe(true);
  });

  test("a value shared a billion times over → encoding stops early", () => {
    let value: unknown = [1];
    for (let level = 0; level < 29; level++) value = [value, value];
    const small = new Codec({ maxBytes: 1000 });
    expect(thrownBy(() => small.encode(content({ value })))).toBeInstanceOf(LimitError);
  });

  /** Shares `leaf` through so many levels of `make`, and counts how often the codec looks at it. */
  const sharedBy = (levels: number, make: (a: unknown, b: unknown) => unknown, leaf: object) => {
    let visits = 0;
    const counted = new Proxy(leaf, {
      getPrototypeOf: (target) => {
        visits++;
        return Reflect.getPrototypeOf(target);
      },
    });
    let value: unknown = counted;
    for (let level = 0; level < levels; level++) value = make(value, value);
    return { value, visits: () => visits };
  };

  test.each<[string, (a: unknown, b: unknown) => unknown, object]>([
    ["arrays", (a, b) => [a, b], []],
    ["objects", (a, b) => ({ a, b }), []],
    ["objects that are empty", (a, b) => [a, b], {}],
    [
      "objects without a value",
      (a, b) => [a, b],
      Object.fromEntries(Array.from({ length: 50 }, (_, k) => [k])),
    ],
    [
      "Maps",
      (a, b) =>
        new Map([
          ["a", a],
          ["b", b],
        ]),
      [],
    ],
    ["Sets", (a, b) => new Set([[a], [b]]), []],
  ])(
    "promise 10: %s shared 2^14 times and more → at most a visit for each byte, an error with the path",
    (_name, make, leaf) => {
      const { value, visits } = sharedBy(14, make, leaf);
      const small = new Codec({ maxBytes: 4096 });
      const error = thrownBy(() => small.encode(content({ value }))) as LimitError;
      expect(error).toBeInstanceOf(LimitError);
      expect(error.path).toMatch(/^data\.value[[.]/);
      expect(visits()).toBeGreaterThan(0);
      expect(visits()).toBeLessThanOrEqual(2 * 4096); // each is looked at once for its kind, once for its class
    },
  );

  test("promise 10: an object of keys without a value, shared → the keys that are looked at are bounded", () => {
    let reads = 0;
    const hollow: object = new Proxy(
      Object.fromEntries(Array.from({ length: 1000 }, (_, k) => [`k${k}`, 1])),
      {
        get: () => void reads++,
      },
    );
    const small = new Codec({ maxBytes: 4096, maxKeys: 1000 });
    const error = thrownBy(() => small.encode(content({ all: Array.from({ length: 1000 }, () => hollow) })));
    expect(error).toMatchObject({ code: "ERR_STORED_SESSION_LIMIT", limit: "keys", path: "data.all[4].k96" });
    expect(reads).toBe(4097);
    expect(small.decode(small.encode(content({ a: hollow }))).data).toStrictEqual({ a: {} });
  });

  test.each<[string, unknown]>([
    ["URL", new URL(`https://a.example/${"x".repeat(1000)}`)],
    ["bigint", 10n ** 1000n],
  ])("promise 10: a short %s that many refer to → counted before the next is written", (_name, value) => {
    const many = new Codec({ maxBytes: 100_000 });
    const error = thrownBy(() => many.encode(content({ all: Array.from({ length: 50_000 }, () => value) })));
    expect(error).toMatchObject({
      limit: "bytes",
      path: expect.stringMatching(/^data\.all\[(9[789]|100)\]$/),
    });
  });

  test("each kind of value → counts towards the limit", () => {
    for (const value of [
      null,
      undefined,
      true,
      0,
      5,
      -0,
      NaN,
      new Date(0),
      new URL("a:b"),
      new Set(),
      new Map(),
      5n,
      "",
      new Uint8Array(),
    ]) {
      const lowerBound = thrownBy(() => new Codec({ maxBytes: 0 }).encodeValue(value, "value")) as LimitError;
      expect(lowerBound.message).toMatch(
        /^The session takes at least [12] bytes, counted up to value, over the limit of 0 \(maxBytes\)\./,
      );
    }
  });

  test("the largest bigint that fits → stored; the next → an error", () => {
    const small = new Codec({ maxBytes: 64 });
    const largest = 10n ** 61n - 1n;
    expect(small.clone(largest)).toBe(largest);
    expect(small.clone(-largest / 10n)).toBe(-largest / 10n);
    const error = thrownBy(() => small.clone(largest + 1n));
    expect(error.message).toMatch(/^The session takes 65 bytes/);
    expect(thrownBy(() => small.clone(2n ** 263n - 1n)).message).toMatch(/^The session takes 83 bytes/);
    expect(thrownBy(() => small.clone(2n ** 263n)).message).toMatch(/^The session takes at least 65 bytes/);
  });

  test.each<[string, (inner: unknown) => unknown, string]>([
    ["objects", (inner) => ({ a: inner }), ".a"],
    ["arrays", (inner) => [inner], "[0]"],
    ["Sets", (inner) => new Set([inner]), ".values()[0]"],
    ["Maps", (inner) => new Map([["a", inner]]), '.get("a")'],
    ["Maps as keys", (inner) => new Map([[inner, 1]]), ".keys()[0]"],
  ])("depth 32 of %s → stored; 33 → an error", (_name, make, step) => {
    // `data` is the first level
    const deepest = nested(31, make);
    expect(roundTrip(deepest)).toStrictEqual(deepest);
    const error = thrownBy(() => codec.encode(content({ value: nested(32, make) }))) as LimitError;
    expect(error).toBeInstanceOf(LimitError);
    expect(error.limit).toBe("depth");
    expect(error.message).toBe(
      `data.value${step.repeat(31)} is nested deeper than 32 levels. Store flatter data.`,
    );
  });

  test("data, flash and a single value → depth counts from each alike", () => {
    const shallow = new Codec({ maxBytes: 1000, maxDepth: 2 });
    const two = content({ a: [1] }, { flash: { a: [1] } });
    expect(shallow.decode(shallow.encode(two))).toStrictEqual(two);
    expect(shallow.clone([[1]])).toStrictEqual([[1]]);
    expect(shallow.decodeMap(shallow.encodeMap({ a: [1] }))).toStrictEqual({ a: [1] });
    expect(thrownBy(() => shallow.encode(content({ a: [[]] })))).toBeInstanceOf(LimitError);
    expect(thrownBy(() => shallow.encode(content({}, { flash: { a: [[]] } })))).toBeInstanceOf(LimitError);
    expect(thrownBy(() => shallow.clone([[[]]]))).toBeInstanceOf(LimitError);
    expect(thrownBy(() => shallow.encodeMap({ a: [[]] }))).toBeInstanceOf(LimitError);
  });

  test("10,000 keys of data and flash together → stored; one more → an error", () => {
    const keys = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 0]));
    const most = content({ ...keys(4_998), more: keys(4_999) }, { flash: { a: 0, b: undefined }, user: "1" });
    most.flash["c"] = 1;
    expect(Object.keys(codec.decode(codec.encode(most)).data)).toHaveLength(4_999);
    most.flash["d"] = 1;
    const error = thrownBy(() => codec.encode(most)) as LimitError;
    expect(error).toBeInstanceOf(LimitError);
    expect(error.limit).toBe("keys");
    expect(error.message).toBe(
      "The session has more than 10000 keys; flash.d exceeds the limit. Store less in it.",
    );
    const few = new Codec({ maxBytes: 1000, maxKeys: 2 });
    expect(few.clone({ a: { b: [1, 2, 3] } })).toStrictEqual({ a: { b: [1, 2, 3] } });
    expect(thrownBy(() => few.clone({ a: { b: 1, c: 2 } }))).toBeInstanceOf(LimitError);
  });

  test("a rejected value → leaves nothing behind in the codec", () => {
    expect(() => codec.encode(content({ a: { b: () => 1 } }))).toThrow(ValueError);
    expect(roundTrip([1])).toStrictEqual([1]);
  });
});

describe("hasLinks", () => {
  const authentication = { at: 1, level: "high" };
  test("a login with links → true; without links, without a level or anonymous → false", () => {
    const linked = content(
      { a: 1 },
      { user: "1", authentication: { ...authentication, links: { idp: "s1" } } },
    );
    expect(hasLinks(codec.encode(linked))).toBe(true);
    expect(codec.decode(codec.encode(linked))).toStrictEqual(linked);
    for (const other of [
      content({ a: 3 }, { user: "1", authentication }),
      content({ a: 3 }, { user: "1" }),
      content({}),
    ])
      expect(hasLinks(codec.encode(other))).toBe(false);
  });
});

describe("clone and same", () => {
  test("clone → an equal value that shares nothing", () => {
    const value = { at: new Date(5), tags: new Set(["a"]), list: [{ a: 1 }] };
    const copy = codec.clone(value);
    expect(copy).toStrictEqual(value);
    expect(copy.list[0]).not.toBe(value.list[0]);
    expect(thrownBy(() => codec.clone({ a: () => 1 })).message).toMatch(/^value\.a is a function\./);
    expect(thrownBy(() => codec.clone({ a: () => 1 }, "data")).message).toMatch(/^data\.a is a function\./);
  });

  test.each<[unknown, unknown, boolean]>([
    [1, 1, true],
    [1, "1", false],
    [NaN, NaN, true],
    [0, -0, false],
    [undefined, undefined, true],
    [undefined, null, false],
    [null, undefined, false],
    [null, null, true],
    [null, [], false],
    [[], null, false],
    [[], undefined, false],
    [{}, [], false],
    [{ a: [1] }, { a: [1] }, true],
    [{ a: [1] }, { a: [2] }, false],
    [{ a: 1, b: undefined }, { a: 1 }, true],
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, false],
    [new Date(1), new Date(1), true],
    [new Date(1), new Date(2), false],
    [Buffer.from("a"), new Uint8Array([97]), true],
    [1n, 1n, true],
    [1n, 1, false],
    ["a", ["a"], false],
    [["a"], "a", false],
    [{ a: () => 1 }, {}, false],
    [{}, { a: () => 1 }, false],
    [{ a: "x".repeat(2 ** 20) }, {}, false],
  ])("same(%o, %o) → %s", (a, b, same) => {
    expect(codec.same(a, b)).toBe(same);
    expect(codec.same(a, a)).toBe(true);
  });

  test("same, and a getter throws → the error propagates", () => {
    const compare = vi.spyOn(Buffer, "compare").mockImplementation(() => {
      throw new RangeError("no memory");
    });
    expect(() => codec.same([1], [2])).toThrow(new RangeError("no memory"));
    compare.mockRestore();
  });

  test("same of a value that cannot be stored and itself → true", () => {
    const value = { a: () => 1 };
    expect(codec.same(value, value)).toBe(true);
  });
});

describe("properties", () => {
  const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }));
  const key = fc
    .oneof(text, fc.constantFrom("constructor", "toString", "7"))
    .filter((name) => name !== "__proto__");
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      fc.constantFrom(null, true, false),
      fc.double(),
      fc.maxSafeInteger(),
      fc.integer(),
      fc.bigInt(),
      text,
      fc.uint8Array(),
      fc.date({ noInvalidDate: true }),
      fc.webUrl().map((href) => new URL(href)),
      fc.array(tie("value")),
      fc.dictionary(key, tie("value")).map((object) => ({ ...object })),
      fc.array(tie("value")).map((elements) => new Set(elements)),
      fc.array(fc.tuple(tie("value"), tie("value"))).map((entries) => new Map(entries)),
    ),
  }));

  test("any value, encoded and decoded → equal, and encoded again as the same bytes", () => {
    fc.assert(
      fc.property(value, (any) => {
        const bytes = codec.encodeValue(any, "value");
        const back = codec.clone(any);
        expect(isDeepStrictEqual(back, any)).toBe(true);
        expect(codec.encodeValue(back, "value")).toStrictEqual(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("encodesTo", () => {
  const base = content(
    { n: 1, list: [1, { deep: new Date(5) }], bytes: Uint8Array.of(1, 2) },
    { user: "42" },
  );
  const bytes = codec.encode(base);
  const copy = (): Content => codec.decode(bytes);

  test("the same content → true, also after others were encoded", () => {
    expect(codec.encodesTo(copy(), bytes)).toBe(true);
    codec.encode(content({ other: "x".repeat(50_000) }));
    expect(codec.encodesTo(copy(), bytes)).toBe(true);
    expect(codec.encode(copy())).toEqual(bytes);
  });

  test("any change → false", () => {
    const changes: ((changed: Content) => void)[] = [
      ({ data }) => void (data["n"] = 2),
      ({ data }) => void (data["n"] = "1"),
      ({ data }) => void delete data["n"],
      ({ data }) => void (data["more"] = null),
      ({ data }) => (data["list"] as { deep: Date }[])[1]!.deep.setTime(6),
      ({ data }) => void (data["bytes"] as Uint8Array).fill(0),
      (changed) => void (changed.user = undefined),
      ({ flash }) => void (flash["notice"] = "hello"),
    ];
    for (const change of changes) {
      const changed = copy();
      change(changed);
      expect(codec.encodesTo(changed, bytes), String(change)).toBe(false);
    }
    expect(codec.encodesTo(base, bytes.subarray(0, bytes.length - 1))).toBe(false);
  });

  test("what cannot be stored → the error of encode, and the next content is compared as ever", () => {
    const unfit = copy();
    unfit.data["f"] = () => {};
    expect(() => codec.encodesTo(unfit, bytes)).toThrow(ValueError);
    const small = new Codec({ maxBytes: 64 });
    expect(() => small.encodesTo(content({ text: "x".repeat(100) }), bytes)).toThrow(LimitError);
    expect(codec.encodesTo(copy(), bytes)).toBe(true);
  });
});
