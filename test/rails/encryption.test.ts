import { inspect } from "node:util";
import { deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { OptionsError, RefusedError, type RefusalReason } from "../../src/errors.ts";
import { RailsEncryption, type SealRandomness } from "../../src/rails/encryption.ts";
import { encodeRuby } from "../../src/rails/encode.ts";
import { readRailsOptions, type RailsFormatOptions, type RailsKeyOptions } from "../../src/rails/options.ts";
import { decodeSession, encodeSession, sessionObject } from "../../src/rails/session-bytes.ts";
import { isPublicId, privateId } from "../../src/rails/session-id.ts";
import { RubyIndifferentHash, RubySymbol } from "../../src/rails/types.ts";
import { bytes, fromTyped, hex, sha256, vectors, type Typed } from "./typed.ts";

/** Our options for a configuration of the vectors. */
function optionsOf(config: Typed): RailsFormatOptions {
  const previous: Partial<RailsKeyOptions>[] = [];
  if (config.support_sha1_for_non_deterministic_encryption) previous.push({ hashDigestClass: "SHA1" });
  // Rails ignores `key:` in `previous`, which the matrix shows; `password` stands for a key provider of its own.
  for (const { password } of config.previous ?? []) if (password) previous.push({ primaryKey: password });
  return {
    primaryKey: config.primary_key,
    keyDerivationSalt: config.key_derivation_salt,
    hashDigestClass: config.hash_digest_class,
    envelope: config.envelope ?? false,
    storeKeyReferences: config.store_key_references ?? false,
    compress: config.compress ?? true,
    supportUnencryptedData: config.support_unencrypted_data ?? false,
    previous,
  };
}

/** What an application sees of a `data` column. */
function read(encryption: RailsEncryption, data: string | null): Record<string, unknown> {
  return data === null ? {} : sessionObject(decodeSession(encryption.open(bytes(data))));
}

/** Any kind of Hash, with the names of its keys: at the top, Rails too makes symbols and strings one. */
function asSession(hash: unknown): Record<string, unknown> {
  const pairs = hash instanceof Map ? [...(hash as Map<unknown, unknown>)] : Object.entries(hash as object);
  return Object.fromEntries(pairs.map(([key, value]) => [String(key), value]));
}

const refusal = (act: () => unknown): RefusalReason | "accepted" => {
  try {
    act();
    return "accepted";
  } catch (error) {
    if (error instanceof RefusedError) return error.reason;
    throw error;
  }
};

const configs: Typed[] = vectors("encryption").configs;

test("configurations and rows of the vectors → complete", () => {
  expect(configs).toHaveLength(11);
  const rows = configs.flatMap((config) => config.rows);
  expect(rows).toHaveLength(154);
  expect(rows.filter((row: Typed) => row.data !== null)).toHaveLength(143);
});

describe.each(configs.map((config) => [config.name, config] as const))("encryption: %s", (_, config) => {
  const encryption = new RailsEncryption(optionsOf(config.encryption));

  test.each<[string, Typed]>(config.rows.map((row: Typed) => [`${row.name}, Rails ${row.rails}`, row]))(
    "%s",
    (__, row) => {
      expect(privateId(row.public_id)).toBe(row.private_id);
      expect(isPublicId(row.public_id)).toBe(true);
      const value = asSession(fromTyped(row.reads_as ?? row.value));
      if (row.data === null) {
        expect(value).toEqual({});
        expect(encodeSession(value, null)).toBeNull();
        return;
      }

      const plaintext = encryption.open(bytes(row.data));
      if (row.plaintext !== undefined) expect(hex(plaintext)).toBe(row.plaintext);
      if (row.plaintext_sha256 !== undefined) expect(sha256(plaintext)).toBe(row.plaintext_sha256);
      expect(encryption.isCurrent(bytes(row.data))).toBe(true);
      const seen = read(encryption, row.data);
      expect(seen).toStrictEqual(value);
      expect(hex(encodeSession(seen, plaintext) ?? new Uint8Array())).toBe(hex(plaintext));

      const { iv, k } = row.message.h;
      const randomness: SealRandomness = k
        ? { iv: bytes(iv), dataKey: bytes(row.data_key), dataKeyIv: bytes(k.h.iv) }
        : { iv: bytes(iv) };
      expect(hex(encryption.seal(plaintext, randomness))).toBe(row.data);
      expect(hex(encryption.open(encryption.seal(plaintext)))).toBe(hex(plaintext));
    },
  );
});

describe("who reads what", () => {
  const matrix = vectors("who-reads-what");
  test("the matrix → complete", () => {
    expect(matrix.rows).toHaveLength(27);
    expect(matrix.readers).toHaveLength(17);
  });

  test.each<[string, Typed]>(matrix.readers.map((reader: Typed) => [reader.name, reader]))(
    "%s (R26)",
    (_, reader) => {
      const encryption = new RailsEncryption(optionsOf(reader.encryption));
      matrix.rows.forEach((row: Typed, index: number) => {
        // Stricter: where Rails gives a session with the keys p and h, the row is refused.
        if (reader.reads[index] === "session") {
          expect(read(encryption, row.data), row.name).toStrictEqual(fromTyped(row.value));
        } else {
          expect(
            refusal(() => read(encryption, row.data)),
            row.name,
          ).not.toBe("accepted");
        }
      });
    },
  );
});

describe("hand-made rows", () => {
  const file = vectors("hand-made-rows");
  const encryption = new RailsEncryption(optionsOf(file.encryption));
  const reasons: Record<string, RefusalReason> = {
    "e unknown": "suite",
    "c true on plain data": "inflate",
    "c true, gzip": "inflate",
    "c true, raw deflate": "inflate",
    "c true, zlib cut short": "inflate",
    "iv 16 bytes": "length",
    "iv 11 bytes": "length",
    "at 15 bytes": "length",
    "at 4 bytes": "length",
    "at changed": "tag",
    "payload changed": "tag",
    "other key": "tag",
    "additional data bound": "tag",
    "i header naming no known key": "key",
  };

  test.each<[string, Typed]>(file.rows.map((row: Typed) => [row.name, row]))("%s (R24)", (name, row) => {
    if (row.ok) {
      // At the top, a HashWithIndifferentAccess is a session like any other.
      expect(read(encryption, row.data)).toStrictEqual(asSession(fromTyped(row.value)));
    } else {
      expect(refusal(() => read(encryption, row.data))).toBe(reasons[name] ?? "decode");
    }
  });
});

describe("messages that no vector has", () => {
  const base = { primaryKey: "one", keyDerivationSalt: "salt", hashDigestClass: "SHA256" } as const;
  const plain = new RailsEncryption(base);
  const enveloped = new RailsEncryption({ ...base, envelope: true });
  const plaintext = encodeRuby({ user_id: 1, text: "x".repeat(200) });

  test("an envelope where none was configured, or none where one was → refused", () => {
    expect(refusal(() => plain.open(enveloped.seal(plaintext)))).toBe("mode");
    expect(refusal(() => enveloped.open(plain.seal(plaintext)))).toBe("mode");
    const both = new RailsEncryption({ ...base, envelope: true, previous: [{ envelope: false }] });
    expect(hex(both.open(plain.seal(plaintext)))).toBe(hex(plaintext));
    expect(both.isCurrent(plain.seal(plaintext))).toBe(false);
    expect(both.isCurrent(both.seal(plaintext))).toBe(true);
  });

  test("key rotation → the last key encrypts, all keys decrypt, and an old row is not current (R27)", () => {
    const turned = new RailsEncryption({ ...base, primaryKey: ["one", "two"] });
    const old = plain.seal(plaintext);
    expect(hex(turned.open(old))).toBe(hex(plaintext));
    expect(turned.isCurrent(old)).toBe(false);
    expect(refusal(() => plain.open(turned.seal(plaintext)))).toBe("tag");
    expect(turned.isCurrent(bytes("c0"))).toBe(false);
  });

  test("a compression bomb → stops at the limit (R30)", () => {
    const small = new RailsEncryption({ ...base, maxBytes: 10_000 });
    const large = new RailsEncryption(base).seal(new Uint8Array(900_000));
    expect(large.length).toBeLessThan(2000);
    expect(refusal(() => small.open(large))).toBe("inflate");
    expect(refusal(() => small.open(plain.seal(new Uint8Array(10_001))))).toBe("inflate");
    const uncompressed = new RailsEncryption({ ...base, compress: false });
    expect(refusal(() => small.open(uncompressed.seal(new Uint8Array(10_001))))).toBe("length");
    expect(refusal(() => small.open(uncompressed.seal(new Uint8Array(90_000))))).toBe("decode");
  });

  test("the largest session, which deflating makes larger → opens", () => {
    const noise = Buffer.alloc(1_048_576);
    for (let index = 0; index < noise.length; index += 4)
      noise.writeInt32LE((Math.random() * 2 ** 32) | 0, index);
    expect(deflateSync(noise).length).toBeGreaterThan(noise.length);
    expect(Buffer.compare(plain.open(plain.seal(noise)), noise)).toBe(0);
  });

  test("any byte changed or cut → refused (R47)", () => {
    const sealed = enveloped.seal(encodeRuby({ a: 1 }));
    for (let index = 0; index < sealed.length; index++) {
      expect(refusal(() => enveloped.open(sealed.subarray(0, index)))).toBe("decode");
      for (const bit of [1, 16, 128]) {
        const changed = Uint8Array.from(sealed);
        changed[index] = (changed[index] ?? 0) ^ bit;
        const reason = refusal(() => enveloped.open(changed));
        // The encoding's name is the one part that no tag covers and that changes nothing.
        if (reason === "accepted") expect(hex(enveloped.open(changed))).toBe("cc8081a16101");
      }
    }
  });

  const header = (name: string): RubySymbol => RubySymbol.for(name);
  const broken: [string, Map<unknown, unknown>, RefusalReason][] = [
    [
      "a header twice",
      new Map<unknown, unknown>([
        [header("iv"), 1],
        ["iv", 1],
      ]),
      "decode",
    ],
    ["a header without a name", new Map<unknown, unknown>([[1, 1]]), "decode"],
    ["a key reference that is no text", new Map<unknown, unknown>([[header("i"), 5]]), "decode"],
    ["a data key that is no message", new Map<unknown, unknown>([[header("k"), 5]]), "decode"],
    ["a data key without headers", new Map<unknown, unknown>([[header("k"), { p: "x" }]]), "decode"],
  ];
  test.each(broken)("%s", (_, extra, reason) => {
    const h = new Map<unknown, unknown>([
      [header("iv"), new Uint8Array(12)],
      [header("at"), new Uint8Array(16)],
    ]);
    for (const [key, value] of extra) h.set(key, value);
    const lenient = new RailsEncryption({ ...base, supportUnencryptedData: true });
    const data = encodeRuby({ p: new Uint8Array(3), h });
    expect(refusal(() => plain.open(data))).toBe(reason);
    // R26: what is shaped like a message is never an unencrypted session.
    expect(refusal(() => lenient.open(data))).toBe(reason);
  });

  const p = new Uint8Array(12);
  const name = (text: string): RubySymbol => RubySymbol.for(text);
  test.each<[string, unknown]>([
    [
      "with symbols for names",
      new Map<unknown, unknown>([
        [name("p"), p],
        [name("h"), { iv: p }],
        ["user_id", 1],
      ]),
    ],
    [
      "with one symbol for a name",
      new Map<unknown, unknown>([
        ["p", p],
        [name("h"), { iv: p }],
        ["user_id", 1],
      ]),
    ],
    [
      "with many headers",
      { p, h: Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, 1])), user_id: 1 },
    ],
    ["with deep headers", { p, h: { x: [[[[[[[[1]]]]]]]] }, user_id: 1 }],
    [
      "as a HashWithIndifferentAccess",
      new RubyIndifferentHash([
        ["p", p],
        ["h", { x: [[[[[[[[1]]]]]]]] }],
      ]),
    ],
  ])("a message %s → not an unencrypted session (R26)", (_, message) => {
    const lenient = new RailsEncryption({ ...base, supportUnencryptedData: true });
    expect(refusal(() => lenient.open(encodeRuby(message)))).toBe("decode");
    expect(refusal(() => plain.open(encodeRuby(message)))).toBe("decode");
  });

  test("an unencrypted session → may exceed a message's limits, but not a session's (R45)", () => {
    const lenient = new RailsEncryption({ ...base, supportUnencryptedData: true });
    const keys = (count: number): Uint8Array =>
      encodeRuby(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1])), {
        maxBytes: 1_000_000,
        maxDepth: 32,
        maxKeys: 99_999,
      });
    expect(lenient.open(keys(100))).toEqual(keys(100));
    expect(refusal(() => lenient.open(keys(10_001)))).toBe("decode");
  });

  test("a data key inside a data key → refused", () => {
    const parts = (): [unknown, unknown][] => [
      [header("iv"), new Uint8Array(12)],
      [header("at"), new Uint8Array(16)],
    ];
    const inner = { p: "x", h: new Map(parts()) };
    const middle = { p: "x", h: new Map([...parts(), [header("k"), inner]]) };
    const data = encodeRuby({ p: "x", h: new Map([...parts(), [header("k"), middle]]) });
    expect(refusal(() => enveloped.open(data))).toBe("decode");
  });
});

describe("options", () => {
  test("several problems → all in one error, without any key (R28)", () => {
    const wrong = {
      primaryKey: ["secret-a", "secret-a"],
      keyDerivationSalt: "",
      hashDigestClass: "MD5",
      compress: 1,
      envelope: "yes",
      supportUnencryptedData: null,
      maxBytes: 10,
      store_key_references: true,
      previous: [null, { hash: 1 }, { primaryKey: [] }],
    };
    let problems: readonly string[] = [];
    try {
      readRailsOptions(wrong as never);
    } catch (error) {
      problems = (error as OptionsError).problems;
    }
    expect(problems.map((problem) => problem.split(" ")[0])).toEqual([
      "store_key_references",
      "supportUnencryptedData",
      "compress",
      "maxBytes",
      "primaryKey",
      "keyDerivationSalt",
      "hashDigestClass",
      "envelope",
      "previous[0]",
      "previous[1].hash",
      "previous[2].primaryKey",
    ]);
    expect(problems.join()).not.toContain("secret-a");
    const keyed = new RailsEncryption({
      primaryKey: "secret-a",
      keyDerivationSalt: "salt-b",
      hashDigestClass: "SHA1",
    });
    expect(inspect(keyed, { depth: 9, showHidden: true }) + JSON.stringify(keyed)).not.toMatch(
      /secret-a|salt-b/,
    );
    expect(() => new RailsEncryption(undefined as never)).toThrow(OptionsError);
    expect(() => new RailsEncryption({ ...wrong, previous: 1 } as never)).toThrow(
      "previous must be an array",
    );
  });
});
