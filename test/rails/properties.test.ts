import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { RefusedError } from "../../src/errors.ts";
import { RailsEncryption } from "../../src/rails/encryption.ts";
import { decodeSession, encodeSession, sessionObject } from "../../src/rails/session-bytes.ts";
import { rubyIdentity } from "../../src/rails/identity.ts";
import * as ruby from "../../src/rails/types.ts";
import { readModel } from "./independent.ts";
import { modelOf } from "./model.ts";
import { bytes, hex, vectors, type Typed } from "./typed.ts";

const text = fc.string({ unit: "binary", maxLength: 40 }).filter((value) => !ruby.hasLoneSurrogate(value));
const key = text.filter((value) => value !== "__proto__");
const anyInteger = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
);
const exact = anyInteger.map((value) =>
  typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value,
);
const wholeFloat = fc.integer().map((value) => new ruby.RubyFloat(value));
const number = fc.oneof(exact, wholeFloat, fc.double());
const ratio = fc
  .tuple(exact, fc.integer({ min: 1 }))
  .map(([numerator, denominator]) => new ruby.RubyRational(numerator, denominator));
const decimal = fc
  .tuple(fc.bigInt(), fc.nat(30), fc.integer({ min: -50, max: 50 }))
  .map(([digits, fraction, power]) => new ruby.RubyBigDecimal(`${digits}.${fraction}e${power}`));
const numeric = fc.oneof(number, ratio, decimal);
const nanosecond = fc.nat(999_999_999);
const clock = fc.tuple(fc.nat(23), fc.nat(59), fc.nat(59));
const day = fc.integer({ min: -1_000_000, max: 5_000_000 }).map((julianDay) => new ruby.RubyDate(julianDay));
const duration = fc
  .tuple(numeric, fc.dictionary(fc.constantFrom(...ruby.durationUnits), numeric))
  .map(([value, parts]) => new ruby.RubyDuration(value, parts));

/** Those that Ruby tells apart: of others it would keep one. */
function different<Value>(values: readonly Value[], of: (value: Value) => unknown): Value[] {
  return [...new Map(values.map((value) => [rubyIdentity(of(value)), value])).values()];
}

const { value: anyValue } = fc.letrec((tie) => {
  const nested = tie("value");
  return {
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.oneof(
        fc.constantFrom(null, true, false),
        number,
        text,
        fc.uint8Array({ maxLength: 40 }),
        fc.constant(new ruby.RubyString(bytes("fffe41"))),
        text.map((name) => ruby.RubySymbol.for(name)),
        numeric,
        fc.tuple(numeric, numeric).map(([re, im]) => new ruby.RubyComplex(re, im)),
        fc.date({ noInvalidDate: true }),
        fc
          .tuple(exact, nanosecond, fc.integer({ min: -86_399, max: 86_399 }))
          .filter(([, nano]) => nano % 1_000_000 !== 0)
          .map(([seconds, nano, offset]) => new ruby.RubyTime(seconds, nano, offset)),
        fc.tuple(exact, nanosecond, text).map((parts) => new ruby.RubyTimeWithZone(...parts)),
        day,
        fc
          .tuple(day, clock)
          .map(([date, [h, m, s]]) => new ruby.RubyDateTime(date, h, m, s, new ruby.RubyRational(1, 3))),
        duration,
        text.map((name) => new ruby.RubyTimeZone(name)),
        fc.webUrl().map((url) => new ruby.RubyUri(url)),
        fc.oneof(fc.ipV4(), fc.ipV6()).map((address) => new ruby.RubyIpAddress(address)),
        text.filter((path) => !path.includes("\0")).map((path) => new ruby.RubyPathname(path)),
        text.map((pattern) => new ruby.RubyRegexp(pattern)),
        fc.constant(new ruby.RubySafeBuffer("<b>é</b>", "raw")),
      ),
      fc.array(nested, { maxLength: 5 }),
      fc.dictionary(key, nested, { maxKeys: 5 }),
      fc.dictionary(key, nested, { minKeys: 1, maxKeys: 5 }).map(ruby.symbolHash),
      fc
        .array(fc.tuple(nested, nested), { maxLength: 4 })
        .map((pairs) => new Map(different<[unknown, unknown]>([[1, 2], ...pairs], ([first]) => first))),
      fc.array(nested, { maxLength: 4 }).map((members) => new Set(different(members, (member) => member))),
      fc
        .dictionary(key, nested, { maxKeys: 4 })
        .map((hash) => new ruby.RubyIndifferentHash(Object.entries(hash))),
      // Ends of one kind, or an open one: Ruby compares them.
      fc
        .oneof(
          ...[exact, ratio, text, day].map((end) =>
            fc.tuple(end as fc.Arbitrary<unknown>, end, fc.boolean()),
          ),
          fc.tuple(nested, fc.constant(null), fc.boolean()),
          fc.tuple(fc.constant(null), nested, fc.boolean()),
        )
        .map(([begin, end, excludeEnd]) => new ruby.RubyRange(begin, end, excludeEnd)),
    ),
  };
});
const anySession = fc.dictionary(
  key,
  anyValue.filter((value) => value !== null),
  { minKeys: 1, maxKeys: 6 },
);
// FC_RUNS=20000 mutates a million sessions; that takes minutes.
vi.setConfig({ testTimeout: 900_000 });
const runs = { numRuns: Number(process.env["FC_RUNS"] ?? 150) };

test("any session that Node writes → as Ruby's description says, and equal when read back", () => {
  fc.assert(
    fc.property(anySession, (data) => {
      const plaintext = encodeSession(data, null) ?? new Uint8Array();
      expect(readModel(plaintext)).toEqual(modelOf(data));
      const loaded = decodeSession(plaintext);
      const seen = sessionObject(loaded);
      expect(readModel(encodeSession(seen, null) ?? new Uint8Array())).toEqual(modelOf(seen));
      // Keys that look like integers are the one thing that an object has in another order than a Hash.
      expect(new Set(modelOf(seen).map((part) => JSON.stringify(part)))).toEqual(
        new Set(modelOf(data).map((part) => JSON.stringify(part))),
      );
      expect(hex(encodeSession(seen, loaded) ?? new Uint8Array())).toBe(hex(plaintext));
    }),
    runs,
  );
});

test("one key changes → the bytes of all others stay", () => {
  fc.assert(
    fc.property(anySession, anySession, (before, added) => {
      const plaintext = encodeSession(before, null) ?? new Uint8Array();
      const loaded = decodeSession(plaintext);
      const data = { ...sessionObject(loaded), ...added };
      const after = decodeSession(encodeSession(data, loaded) ?? new Uint8Array());
      for (const [name, entry] of loaded.entries) {
        if (!Object.hasOwn(added, name))
          expect(hex(after.entries.get(name)?.raw ?? bytes(""))).toBe(hex(entry.raw));
      }
      expect(after.entries.size).toBe(Object.keys(data).length);
    }),
    runs,
  );
});

/** Refused, or a session that can be written and read again: never anything else. */
function refusedOrWhole(plaintext: Uint8Array): boolean {
  try {
    const loaded = decodeSession(plaintext);
    const again = encodeSession(sessionObject(loaded), loaded);
    if (again !== null) expect(decodeSession(again).entries.size).toBe(loaded.entries.size);
    return true;
  } catch (error) {
    if (error instanceof RefusedError && error.reason === "decode") return false;
    throw error;
  }
}

describe("hostile bytes (R47)", () => {
  const plaintexts: Uint8Array[] = vectors("messagepack")
    .cases.filter((vector: Typed) => vector.hex !== undefined && vector.hex.length < 500)
    .map((vector: Typed) => bytes(`cc8081a161${vector.hex.slice(4)}`));

  test("every vector → read; cut at any byte → refused", () => {
    for (const plaintext of plaintexts) {
      expect(refusedOrWhole(plaintext), hex(plaintext)).toBe(true);
      for (let length = 0; length < plaintext.length; length++) {
        expect(refusedOrWhole(plaintext.subarray(0, length))).toBe(false);
      }
    }
  });

  test("two keys that are equal in Ruby → the first one with the value of the last, as Ruby reads them", () => {
    // {"a" => {"a" => 1, "a".html_safe => 2}}, and the same as a Set of both.
    const hash = bytes("cc8081a16182a16101d4126102");
    expect(sessionObject(decodeSession(hash))).toEqual({ a: new Map([["a", 2]]) });
    expect(refusedOrWhole(hash)).toBe(true);
    const set = bytes("cc8081a161c7060c92a161d41261");
    expect(sessionObject(decodeSession(set))).toEqual({ a: new Set(["a"]) });
    expect(refusedOrWhole(set)).toBe(true);
  });

  test("mutated sessions → refused, or a session that can be written and read", () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...plaintexts),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (plaintext, edits) => {
          const mutated = Uint8Array.from(plaintext);
          for (const [at, byte] of edits) mutated[2 + (at % (mutated.length - 2))] = byte;
          if (refusedOrWhole(mutated)) accepted++;
        },
      ),
      { numRuns: 50 * runs.numRuns },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("random bytes behind the signature → refused, or a session that can be written and read", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (tail) => {
        refusedOrWhole(Uint8Array.from([0xcc, 0x80, ...tail]));
        refusedOrWhole(Uint8Array.from([0xcc, 0x80, 0x81, 0xa1, 0x61, 0xc7, tail.length - 1, ...tail]));
      }),
      { numRuns: 20 * runs.numRuns },
    );
  });

  test("mutated and cut rows → refused, or the same session", () => {
    const encryption = new RailsEncryption({
      primaryKey: "k",
      keyDerivationSalt: "s",
      hashDigestClass: "SHA256",
    });
    const plaintext = encodeSession({ user_id: 42 }, null) ?? new Uint8Array();
    const row = encryption.seal(plaintext);
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), fc.nat(), (at, byte, cut) => {
        const mutated = Uint8Array.from(row.subarray(0, row.length - (cut % 3)));
        mutated[at % mutated.length] = byte;
        try {
          expect(hex(encryption.open(mutated))).toBe(hex(plaintext));
        } catch (error) {
          if (!(error instanceof RefusedError)) throw error;
        }
      }),
      { numRuns: 10 * runs.numRuns },
    );
  });
});
