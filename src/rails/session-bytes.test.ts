import { describe, expect, test } from "vitest";
import { RefusedError } from "../errors.ts";
import { decodeRuby } from "./decode.ts";
import { encodeRuby } from "./encode.ts";
import { defaultLimits } from "./messagepack.ts";
import { decodeSession, encodeSession, sameRuby, sessionObject } from "./session-bytes.ts";
import { RubyFloat, RubyIndifferentHash, RubySymbol, symbolHash } from "./types.ts";

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const hex = (value: Uint8Array | null): string | null =>
  value === null ? null : Buffer.from(value).toString("hex");
const load = (plaintext: Uint8Array): Record<string, unknown> => sessionObject(decodeSession(plaintext));

/** a: 1 as uint64, b: 1.5 as float32, c: an array16, under keys in str 8. Rails reads all that, and writes none. */
const odd = bytes("cc80 83 d90161 cf0000000000000001 a162 ca3fc00000 d90163 dc0001 d40078");

describe("a session that Node did not change → the same bytes", () => {
  test("all of it", () => {
    expect(hex(encodeSession(load(odd), odd))).toBe(hex(odd));
    expect(hex(encodeSession(structuredClone({ a: 1, b: 1.5, c: load(odd)["c"] }), odd))).not.toBeNull();
  });

  test("one key changes → the bytes of the others stay", () => {
    const data = load(odd);
    data["b"] = 2;
    data["d"] = "new";
    expect(hex(encodeSession(data, odd))).toBe(
      "cc8084d90161cf0000000000000001a16202d90163dc0001d40078a164a36e6577",
    );
  });

  test("a value changed inside → written anew; one set to its equal → not", () => {
    const data = load(odd);
    (data["c"] as unknown[]).push(RubySymbol.for("y"));
    data["a"] = 1;
    expect(hex(encodeSession(data, odd))).toBe(
      "cc8083d90161cf0000000000000001a162ca3fc00000d9016392d40078d40079",
    );
  });

  test("1.0 → stays a Float where it was read, and where it was moved", () => {
    const plaintext = encodeRuby({ price: new RubyFloat(1) });
    const data = load(plaintext);
    expect(Number(data["price"])).toBe(1);
    expect(hex(encodeSession({ copy: data["price"] }, plaintext))).toBe(
      hex(encodeRuby({ copy: new RubyFloat(1) })),
    );
    expect(hex(encodeSession({ price: 1 }, plaintext)), "an Integer that the application set").toBe(
      hex(encodeRuby({ price: 1 })),
    );
  });

  test("keys that have no name in JavaScript → kept", () => {
    const plaintext = bytes("cc80 84 01 a178 a95f5f70726f746f5f5f 81a16101 9101 02 a16b 03");
    const data = load(plaintext);
    expect(data).toStrictEqual({ k: 3 });
    delete data["k"];
    expect(hex(encodeSession(data, plaintext))).toBe("cc808301a178a95f5f70726f746f5f5f81a16101910102");
  });
});

describe("the top level is Rails' own", () => {
  test("a symbol and a string of the same name → one key, and the last wins", () => {
    const plaintext = bytes("cc80 83 d40061 01 a162 02 a161 03");
    expect(load(plaintext)).toStrictEqual({ a: 3, b: 2 });
    expect(hex(encodeSession(load(plaintext), plaintext))).toBe("cc8082a16103a16202");
    const symbols = encodeRuby(symbolHash({ cart: [1], step: 2 }));
    expect(load(symbols)).toStrictEqual({ cart: [1], step: 2 });
    expect(hex(encodeSession({ ...load(symbols), step: 3 }, symbols))).toBe(
      hex(encodeRuby(symbolHash({ cart: [1], step: 3 }))),
    );
  });

  test("nil → left out, as Rails does; no value at all → SQL NULL", () => {
    expect(hex(encodeSession({ a: null, b: undefined, c: 1 }, null))).toBe("cc8081a16301");
    expect(encodeSession({ a: null, b: undefined }, null)).toBeNull();
    expect(encodeSession({}, encodeRuby({ a: 1 }))).toBeNull();
    expect(load(bytes("cc80c0"))).toStrictEqual({});
    const nil = bytes("cc8081a161c0");
    expect(hex(encodeSession(load(nil), nil))).toBe(hex(nil));
    expect(encodeSession({ a: null }, encodeRuby({ a: 1 }))).toBeNull();
  });

  test("a HashWithIndifferentAccess → a session, written as a Hash", () => {
    const plaintext = encodeRuby(new RubyIndifferentHash([["a", 1]]));
    expect(load(plaintext)).toStrictEqual({ a: 1 });
    expect(hex(encodeSession({ ...load(plaintext), b: 2 }, plaintext))).toBe(hex(encodeRuby({ a: 1, b: 2 })));
  });

  test.each([
    "cc809101",
    "cc80a161",
    "cc8001",
    "cc80c3",
    "cc8081a16101c0",
    "cc80d4110181a16101",
    "cc80c0c0",
    "cc80",
  ])("%s → not a session", (plaintext) => {
    expect(() => decodeSession(bytes(plaintext))).toThrow(RefusedError);
  });
});

describe("limits (R45)", () => {
  const nest = (depth: number): unknown => (depth === 0 ? 1 : [nest(depth - 1)]);

  test("the deepest level and the last key that can be written → can be read", () => {
    expect(load(encodeSession({ a: nest(31) }, null) ?? odd)).toStrictEqual({ a: nest(31) });
    expect(() => encodeSession({ a: nest(32) }, null)).toThrow(expect.objectContaining({ limit: "depth" }));
    const limits = { ...defaultLimits, maxKeys: 4 };
    const data = { a: { b: 1 }, c: { d: 1 } };
    expect(sessionObject(decodeSession(encodeSession(data, null, limits) ?? odd, limits))).toStrictEqual(
      data,
    );
    expect(() => encodeSession({ ...data, e: {}, f: 1 }, null, limits)).toThrow(
      expect.objectContaining({ limit: "keys" }),
    );
    expect(() => encodeSession({ a: { b: { c: 1, d: 1 } }, e: 1 }, null, limits)).toThrow("more than 4 keys");
  });

  test("too many bytes → an error", () => {
    const limits = { ...defaultLimits, maxBytes: 100 };
    expect(() => encodeSession({ a: "x".repeat(60), b: "x".repeat(60) }, null, limits)).toThrow(
      expect.objectContaining({ limit: "bytes" }),
    );
    expect(() => decodeSession(encodeRuby({ a: "x".repeat(100) }), limits)).toThrow("exceeds maxBytes, 100");
  });
});

test("values stored as the same bytes → the same", () => {
  expect(sameRuby({ a: [1] }, { a: [1] })).toBe(true);
  expect(sameRuby(1, new RubyFloat(1))).toBe(false);
  expect(sameRuby(new Map([["a", 1]]), { a: 1 })).toBe(true);
  expect(sameRuby({ a: 1, b: 2 }, { b: 2, a: 1 }), "Ruby keeps the order of keys").toBe(false);
});

test("a value that cannot be stored → an error with the path from the session's data", () => {
  expect(() => encodeSession({ cart: [{ price: () => 1 }] }, null)).toThrow(
    "data.cart[0].price is a function",
  );
  expect(() => encodeSession(JSON.parse('{"__proto__":1}') as Record<string, unknown>, null)).toThrow(
    "__proto__",
  );
  expect(() => decodeRuby(bytes("cc80d40361"))).toThrow("ends unexpectedly");
});
