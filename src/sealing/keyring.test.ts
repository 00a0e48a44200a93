import { createHmac, hkdfSync } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { KeyRingError } from "../errors.ts";
import { derivedKey } from "../../test/session/derived-keys.ts";
import { generateKey, KeyRing } from "./keyring.ts";

const ONES = `ssk1_${Buffer.alloc(32, 1).toString("base64url")}`;
const TWOS = `ssk1_${Buffer.alloc(32, 2).toString("base64url")}`;
/** Two different keys with the key id 1179ed63, found among 45,000. */
const TWINS = [
  "ssk1_aEeRGRFmltNOEbEsm4YiaUzZErLJsa2gTqxgkQLq648",
  "ssk1_9ezj4EMhKm3XdofzjR2LvNLimXce5OzAMbHEOdjjE_o",
] as const;
const many = (count: number): string[] => Array.from({ length: count }, () => generateKey());

function refusal(keys: unknown): string {
  try {
    KeyRing.from(keys as string);
  } catch (error) {
    expect(error).toBeInstanceOf(KeyRingError);
    expect((error as KeyRingError).code).toBe("ERR_STORED_SESSION_KEYS");
    return (error as KeyRingError).message;
  }
  throw new Error("These keys were taken.");
}

describe("generateKey", () => {
  test("each call → 32 other bytes, in their text form", () => {
    const keys = many(100);
    for (const key of keys) expect(key).toMatch(/^ssk1_[A-Za-z0-9_-]{43}$/);
    expect(new Set(keys).size).toBe(100);
    for (const key of keys) expect(KeyRing.from(key).keys).toHaveLength(1);
  });
});

describe("KeyRing.from", () => {
  test("one key, comma-separated text, a list or a ring → a ring, newest key first", () => {
    const [first, second] = [KeyRing.from(ONES).newest, KeyRing.from(TWOS).newest];
    expect(first.name).toBe("294a0775");
    expect(first.id).toBe(0x294a0775);
    for (const keys of [`${ONES},${TWOS}`, [ONES, TWOS]]) {
      const ring = KeyRing.from(keys);
      expect(ring.keys.map((key) => key.name)).toEqual([first.name, second.name]);
      expect(ring.newest).toBe(ring.keys[0]);
    }
    const ring = KeyRing.from(ONES);
    expect(KeyRing.from(ring)).toBe(ring);
  });

  test("white space around keys and commas → ignored", () => {
    expect(KeyRing.from(`\n ${ONES} ,\t${TWOS}\r\n`).keys).toHaveLength(2);
    expect(KeyRing.from([` ${ONES}`, `${TWOS} `]).keys).toHaveLength(2);
  });

  test("eight keys → accepted; nine → refused", () => {
    expect(KeyRing.from(many(8)).keys).toHaveLength(8);
    expect(refusal(many(9))).toBe(
      "Invalid keys. There are 9 keys; the maximum is 8. Remove the oldest ones, which are last.",
    );
  });

  test.each([undefined, null, "", "  ", ",", " , ", [], [""], ["", " "]])("%j → no key", (keys) => {
    expect(refusal(keys)).toBe(
      "Invalid keys. No key was given. Create one with generateKey(), store it with your other secrets, " +
        "and pass it as `keys`.",
    );
  });

  test.each([{}, 7, true, new Map()])("%j, neither text nor a list → refused", (keys) => {
    expect(refusal(keys)).toBe("The keys must be a string, an array of strings, or a KeyRing.");
  });

  const body = ONES.slice(5);
  test.each([
    ["an empty one", `${ONES},`, "Key 2 is empty. Remove the extra comma."],
    ["an empty one first", `,${ONES}`, "Key 1 is empty. Remove the extra comma."],
    ["no text", [ONES, 7], "Key 2 is not a string. Pass keys in their text form, ssk1_…."],
    ["bytes", [Buffer.alloc(32)], "Key 1 is not a string. Pass keys in their text form, ssk1_…."],
    ["a missing prefix", body, "Key 1 lacks its prefix ssk1_. Copy the whole key."],
    [
      "a passphrase",
      "correct horse battery staple",
      "Key 1 does not begin with ssk1_. A passphrase is not a key: create one with generateKey().",
    ],
    [
      "a passphrase as long as a key",
      "p".repeat(42) + "!",
      "Key 1 does not begin with ssk1_. A passphrase is not a key: create one with generateKey().",
    ],
    [
      "base64url of another length without prefix",
      "A".repeat(44),
      "Key 1 does not begin with ssk1_. A passphrase is not a key: create one with generateKey().",
    ],
    [
      "the prefix in capitals",
      `SSK1_${body}`,
      "Key 1 does not begin with ssk1_. A passphrase is not a key: create one with generateKey().",
    ],
    [
      "a character short",
      ONES.slice(0, -1),
      "Key 1 has 42 characters after ssk1_ instead of 43. Copy the whole key and nothing else.",
    ],
    [
      "a character long",
      `${ONES}A`,
      "Key 1 has 44 characters after ssk1_ instead of 43. Copy the whole key and nothing else.",
    ],
    [
      "the prefix alone",
      "ssk1_",
      "Key 1 has 0 characters after ssk1_ instead of 43. Copy the whole key and nothing else.",
    ],
    [
      "spare bits",
      `${ONES.slice(0, -1)}F`,
      "Key 1 is not canonical base64url. Copy it exactly as it was generated, or create a new one with generateKey().",
    ],
    [
      "the standard alphabet",
      `ssk1_+/${body.slice(2)}`,
      "Key 1 is not canonical base64url. Copy it exactly as it was generated, or create a new one with generateKey().",
    ],
    ["twice the same", [ONES, TWOS, ONES], "Keys 1 and 3 are the same. Remove one of them."],
    [
      "one key id",
      [ONES, ...TWINS],
      "Keys 2 and 3 have the same key id, 1179ed63. " +
        "Replace the one that is not in use yet with a new key from generateKey().",
    ],
  ])("%s → refused", (_, keys, sentence) => {
    expect(refusal(keys)).toBe(`Invalid keys. ${sentence}`);
  });

  test("either of two keys with the same id → accepted alone", () => {
    for (const twin of TWINS) expect(KeyRing.from([ONES, twin]).keys[1]!.name).toBe("1179ed63");
  });

  test("several faults → all in one error, with keys counted as the caller does", () => {
    expect(refusal(`secret, ${TWINS[0]},, ${TWINS[1]}, ${TWOS}, ${TWOS}`)).toBe(
      [
        "Invalid keys, 4 problems:",
        "  - Key 1 does not begin with ssk1_. A passphrase is not a key: create one with generateKey().",
        "  - Key 3 is empty. Remove the extra comma.",
        "  - Keys 2 and 4 have the same key id, 1179ed63. Replace the one that is not in use yet with a new key from generateKey().",
        "  - Keys 5 and 6 are the same. Remove one of them.",
      ].join("\n"),
    );
  });

  test("a malformed key twice → reported as malformed both times, not as a duplicate", () => {
    expect(refusal("x,x")).toContain("Key 2 does not begin with ssk1_.");
  });
});

describe("KeyRing", () => {
  const ring = KeyRing.from([ONES, TWOS]);

  test("find by id → the key, or undefined", () => {
    for (const key of ring.keys) expect(ring.find(key.id)).toBe(key);
    expect(ring.find(ring.newest.id + 1)).toBeUndefined();
    expect(ring.find(0)).toBeUndefined();
  });

  test("references of a user → one under every key, newest first", () => {
    const refs = ring.userRefs("42");
    expect(refs.map((ref) => ref.length)).toEqual([32, 32]);
    expect(ring.userRef("42")).toEqual(refs[0]);
    expect(refs[0]).toEqual(KeyRing.from(ONES).userRefs("42")[0]);
    expect(refs[1]).toEqual(KeyRing.from(TWOS).userRefs("42")[0]);
    expect(refs[0]).not.toEqual(refs[1]);
  });

  test("references of a user in a named application → under the key that HKDF derives for that name", () => {
    const master = Buffer.alloc(32, 1);
    for (const app of ["", "shop", "a\0b", "é"]) {
      const info = Buffer.from(`stored-session/v1/user\0${app}`);
      const key = Buffer.from(hkdfSync("sha512", master, "stored-session/v1", info, 32));
      const expected = createHmac("sha256", key).update("42").digest();
      // Twice: the key of a name is derived at its first use.
      for (let use = 0; use < 2; use++) expect(Buffer.from(ring.userRef("42", app))).toEqual(expected);
    }
  });

  test("changes from outside → impossible", () => {
    expect(() => (ring.keys as unknown[]).pop()).toThrow(TypeError);
    expect(() => Object.assign(ring.newest, { id: 1 })).toThrow(TypeError);
  });

  test("inspected or serialized → key ids, and nothing of a key (R28)", () => {
    const names = ring.keys.map((key) => key.name);
    expect(inspect(ring)).toBe(`KeyRing { ${names[0]}, ${names[1]} }`);
    expect(JSON.stringify(ring)).toBe(JSON.stringify({ keys: names }));
    const shown = [
      inspect({ ring, keys: ring.keys }, { depth: Infinity, showHidden: true }),
      inspect(ring, { customInspect: false, depth: Infinity, showHidden: true, getters: true }),
      JSON.stringify([ring, ring.keys, { ...ring }]),
      String(ring),
    ].join("\n");
    for (const [text, byte] of [
      [ONES, 1],
      [TWOS, 2],
    ] as const) {
      expect(shown).not.toContain(text.slice(5));
      expect(shown).not.toContain(Buffer.alloc(8, byte).toString("hex"));
    }
    for (const written of [ONES, TWOS]) {
      for (const name of ["row", "seal", "token", "user", "audit"] as const) {
        const bytes = derivedKey(written, name).export();
        expect(shown).not.toContain(bytes.toString("hex").slice(0, 16));
        expect(shown).not.toContain(inspect(bytes).slice(8, 32));
        expect(shown).not.toContain(bytes.toString("base64").slice(0, 12));
      }
    }
  });

  test("any error → repeats no part of a key (R28)", () => {
    const key = generateKey();
    const attempts = [
      [key, key],
      [key.slice(5)],
      [key.slice(0, -1)],
      [`${key}A`],
      [`ssk1_!${key.slice(6)}`],
      [`${key} ${key}`],
      [...many(8), key],
    ];
    for (const attempt of attempts) {
      const message = refusal(attempt);
      for (let at = 5; at + 6 <= key.length; at++) expect(message).not.toContain(key.slice(at, at + 6));
    }
  });
});

describe("users of a named application", () => {
  test("R22: another name → other references; no name → those of before; the same name → the same", () => {
    const ring = KeyRing.from([ONES, TWOS]);
    const hex = (app?: string) => ring.userRefs("42", app).map((ref) => Buffer.from(ref).toString("hex"));
    expect(hex("")).toEqual(hex());
    expect(hex("shop")).toEqual(hex("shop"));
    expect(new Set([...hex(), ...hex("shop"), ...hex("blog")]).size).toBe(6);
  });
});

describe("links", () => {
  const ring = KeyRing.from([ONES, TWOS]);
  const hex = (name: string, value: string, app: string) =>
    ring.linkRefs(name, value, app).map((ref) => Buffer.from(ref).toString("hex"));

  test("R29 R63: the vector of docs/formats.md → this reference", () => {
    expect(hex("idp", "https://idp.example|08a5019c", "shop")[0]).toBe(
      "47bc47b7b3733d21722a1f3247590ccd2fd0c460607dd820c383d311ba7d9b3b",
    );
  });

  test("R63: another name, value, application or key → another reference, and none is that of a user", () => {
    const all = [
      ...hex("idp", "1", ""),
      ...hex("idp", "1", "shop"),
      ...hex("idp", "2", ""),
      ...hex("idp2", "1", ""),
      ...hex("id", "p1", ""),
      ...ring.userRefs("idp\x001").map((ref) => Buffer.from(ref).toString("hex")),
    ];
    expect(new Set(all).size).toBe(12);
    expect(hex("idp", "1", "shop")).toEqual(hex("idp", "1", "shop"));
  });
});

describe("a key ring of another copy of the package", () => {
  test("passed in → refused by name", () => {
    const classes = { KeyRing: class {} };
    const otherCopy = new classes.KeyRing();
    expect(() => KeyRing.from(otherCopy as never)).toThrow(/another copy of stored-session/);
  });
});
