import { createCipheriv, createHmac, randomBytes, randomInt } from "node:crypto";
import { inspect } from "node:util";
import { deflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { LimitError, RefusedError } from "../errors.ts";
import { derivedKey } from "../../test/session/derived-keys.ts";
import { ContextWriter, type SealContext } from "./context.ts";
import { generateKey, type Key, KeyRing } from "./keyring.ts";
import { Sealer, type SealerOptions } from "./sealer.ts";

const SENTENCES = {
  length: "The stored session is too short: it was truncated, or another program wrote it.",
  suite:
    "The stored session has an unknown format: a newer version of stored-session wrote it, or it was edited.",
  flags:
    "The stored session has unknown flags: a newer version of stored-session wrote it, or it was edited.",
  key: "The stored session names a key that is not in the key ring. If that key was removed too early, add it back at the end of `keys`.",
  mode: "The stored session was not sealed as `sealTo` requires, or opening it requires its cookie. If `sealTo` was changed, set `alsoOpens` to its previous value until those sessions have ended.",
  commitment:
    "The stored session does not match its row: it was copied from another row, a column was edited, or `app` was changed.",
  tag: "The stored session's ciphertext was modified.",
  inflate:
    "The stored session cannot be decompressed within `maxBytes`. If `maxBytes` was lowered, raise it again.",
} as const;

const written = [generateKey(), generateKey()];
const keys = KeyRing.from(written);
const older = KeyRing.from(generateKey());

const sealerWith = (options: Partial<SealerOptions> = {}): Sealer =>
  new Sealer({ keys, app: "shop", sealTo: "keys", compressAbove: 1024, maxBytes: 2 ** 20, ...options });
const sealer = sealerWith();
const cookieSealer = sealerWith({ sealTo: "cookie" });

const plaintext = Buffer.from("928163636172740180", "hex");
const sid = randomBytes(32);
const context: SealContext = {
  id: randomBytes(32),
  version: 7,
  createdAt: 1_700_000_000_000,
  absoluteExpiresAt: 1_702_592_000_000,
  userRef: keys.userRefs("42")[0]!,
};

function expectRefused(open: () => unknown, reason: keyof typeof SENTENCES): RefusedError {
  let caught: unknown;
  try {
    open();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(RefusedError);
  const refused = caught as RefusedError;
  expect(refused.reason).toBe(reason);
  expect(refused.message).toBe(SENTENCES[reason]);
  return refused;
}

function changed(envelope: Uint8Array, at: number, mask = 1): Uint8Array {
  const copy = Uint8Array.from(envelope);
  copy[at]! ^= mask;
  return copy;
}

/** An envelope made of the primitives alone, with a content of the test's own choosing. */
function forge(key: Key, flags: number, content: Uint8Array, row: SealContext = context): Uint8Array {
  const salt = randomBytes(16);
  const writer = new ContextWriter("row", "shop");
  writer.write(flags, key.id, row, salt, 0);
  const secret = derivedKey(written[keys.keys.indexOf(key)]!, "row");
  const okm = createHmac("sha512", secret).update(writer.block).digest();
  const cipher = createCipheriv("aes-256-gcm", okm.subarray(0, 32), Buffer.alloc(12), { authTagLength: 16 });
  cipher.setAAD(writer.context);
  const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
  return Buffer.concat([
    Buffer.from([1, flags]),
    Buffer.from(key.name, "hex"),
    salt,
    okm.subarray(32, 48),
    ciphertext,
    cipher.getAuthTag(),
  ]);
}

describe.each([
  ["the key ring", sealer, 0],
  ["the cookie", cookieSealer, 2],
])("sealing to %s", (_, sealing, mode) => {
  test("a content of zero bytes to a mebibyte → 54 bytes longer, and opens again", () => {
    for (const length of [0, 1, 15, 16, 17, 300, 1024, 4096, 2 ** 20]) {
      const bytes = randomBytes(length);
      const envelope = sealing.seal(bytes, context, sid);
      expect(envelope).toHaveLength(length + 54);
      expect(envelope[0]).toBe(1);
      expect(envelope[1]).toBe(mode);
      expect(Buffer.compare(sealing.open(envelope, context, sid), bytes)).toBe(0);
    }
  });

  test("every kind of Uint8Array, and Buffers that are views → sealed", () => {
    const envelope = sealing.seal(Uint8Array.from(plaintext), context, Uint8Array.from(sid));
    const shifted = new Uint8Array(envelope.length + 3);
    shifted.set(envelope, 3);
    expect(Buffer.from(sealing.open(shifted.subarray(3), context, sid))).toEqual(plaintext);
    expect(Buffer.from(sealing.open(Uint8Array.from(envelope), context, sid))).toEqual(plaintext);
  });

  test("sealing and opening → the inputs stay as they were", () => {
    const copies = [Buffer.from(plaintext), Buffer.from(sid), structuredClone(context)];
    const envelope = sealing.seal(plaintext, context, sid);
    const before = Buffer.from(envelope);
    const opened = sealing.open(envelope, context, sid);
    sealing.open(sealing.seal(randomBytes(9), context, sid), context, sid);
    expect(Buffer.from(envelope)).toEqual(before);
    expect(Buffer.from(opened)).toEqual(plaintext);
    expect([plaintext, sid, structuredClone(context)]).toEqual(copies);
  });

  test("each message → its own salt, and so its own key (R21)", () => {
    const parts = new Set<string>();
    for (let index = 0; index < 500; index++) {
      const envelope = Buffer.from(sealing.seal(plaintext, context, sid));
      for (const [from, to] of [
        [6, 22],
        [22, 38],
        [38, 47],
        [47, 63],
      ] as const) {
        parts.add(envelope.toString("hex", from, to));
      }
    }
    expect(parts.size).toBe(2000);
  });

  test("any bit changed → refused, with the reason of its place (R25, R47)", () => {
    const envelope = sealing.seal(plaintext, context, sid);
    for (let at = 0; at < envelope.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const mask = 1 << bit;
        let reason: keyof typeof SENTENCES = "tag";
        if (at === 0) reason = "suite";
        else if (at === 1) reason = bit === 0 ? "commitment" : bit === 1 ? "mode" : "flags";
        else if (at < 6) reason = "key";
        else if (at < 38) reason = "commitment";
        expectRefused(() => sealing.open(changed(envelope, at, mask), context, sid), reason);
      }
    }
  });

  test("any other length → refused (R24)", () => {
    const envelope = sealing.seal(plaintext, context, sid);
    for (let length = 0; length < envelope.length; length++) {
      const cut = () => sealing.open(envelope.subarray(0, length), context, sid);
      expectRefused(cut, length < 54 ? "length" : "tag");
    }
    expectRefused(() => sealing.open(Buffer.concat([envelope, Buffer.alloc(1)]), context, sid), "tag");
    expectRefused(() => sealing.open(Buffer.concat([envelope, envelope]), context, sid), "tag");
  });

  test("a tag of 4 bytes → refused (R24)", () => {
    for (const length of [0, 11, 12, 300]) {
      const envelope = sealing.seal(randomBytes(length), context, sid);
      const cut = envelope.subarray(0, envelope.length - 12);
      expectRefused(() => sealing.open(cut, context, sid), length < 12 ? "length" : "tag");
    }
  });

  test("any column edited → refused (R16, R22)", () => {
    const envelope = sealing.seal(plaintext, context, sid);
    const edits: [string, Partial<SealContext>][] = [
      ["another id", { id: randomBytes(32) }],
      ["a bit of the id", { id: changed(context.id, 31) }],
      ["a short id", { id: context.id.subarray(0, 31) }],
      ["a long id", { id: Buffer.concat([context.id, Buffer.alloc(1)]) }],
      ["no id", { id: new Uint8Array() }],
      ["version + 1", { version: 8 }],
      ["version - 1", { version: 6 }],
      ["version + 2^32", { version: 7 + 2 ** 32 }],
      ["version + 0.5", { version: 7.5 }],
      ["version below zero", { version: -7 }],
      ["version - 2^53", { version: 7 - 2 ** 53 }],
      ["version past 2^53", { version: 2 ** 64 + 7 * 2 ** 12 }],
      ["version that is none", { version: Number.NaN }],
      ["createdAt + 1", { createdAt: context.createdAt + 1 }],
      ["createdAt - 1", { createdAt: context.createdAt - 1 }],
      ["createdAt + 0.5", { createdAt: context.createdAt + 0.5 }],
      ["createdAt below zero", { createdAt: -context.createdAt }],
      ["createdAt infinite", { createdAt: Infinity }],
      ["absoluteExpiresAt + 1", { absoluteExpiresAt: context.absoluteExpiresAt + 1 }],
      ["absoluteExpiresAt - 1", { absoluteExpiresAt: context.absoluteExpiresAt - 1 }],
      ["absoluteExpiresAt + 2^32", { absoluteExpiresAt: context.absoluteExpiresAt + 2 ** 32 }],
      ["absoluteExpiresAt + 0.25", { absoluteExpiresAt: context.absoluteExpiresAt + 0.25 }],
      ["absoluteExpiresAt none", { absoluteExpiresAt: Number.NaN }],
      ["both times swapped", { createdAt: context.absoluteExpiresAt, absoluteExpiresAt: context.createdAt }],
      ["another user", { userRef: keys.userRefs("43")[0]! }],
      ["the user's older reference", { userRef: keys.userRefs("42")[1]! }],
      ["no user", { userRef: null }],
      ["a user of zeros", { userRef: new Uint8Array(32) }],
      ["a short user", { userRef: context.userRef!.subarray(0, 31) }],
      ["a long user", { userRef: Buffer.concat([context.userRef!, Buffer.alloc(1)]) }],
    ];
    for (const [, edit] of edits) {
      expectRefused(() => sealing.open(envelope, { ...context, ...edit }, sid), "commitment");
    }
    expect(Buffer.from(sealing.open(envelope, { ...context }, sid))).toEqual(plaintext);
  });

  test("zeros where there is no user → refused, so that no column has two spellings (R22)", () => {
    const anonymous = { ...context, userRef: null };
    const envelope = sealing.seal(plaintext, anonymous, sid);
    expect(Buffer.from(sealing.open(envelope, anonymous, sid))).toEqual(plaintext);
    for (const userRef of [new Uint8Array(32), new Uint8Array(0), Buffer.alloc(32, 1), context.userRef]) {
      expectRefused(() => sealing.open(envelope, { ...anonymous, userRef }, sid), "commitment");
    }
  });

  test("no user, after a row with one → no trace of that row", () => {
    const anonymous = { ...context, userRef: null };
    sealing.seal(plaintext, context, sid);
    const envelope = sealing.seal(plaintext, anonymous, sid);
    sealing.seal(plaintext, context, sid);
    expect(Buffer.from(sealing.open(envelope, anonymous, sid))).toEqual(plaintext);
  });

  test("the row of another application → refused (R22)", () => {
    const envelope = sealing.seal(plaintext, context, sid);
    for (const app of ["", "Shop", "shop ", "other"]) {
      const other = sealerWith({ app, sealTo: mode === 0 ? "keys" : "cookie" });
      expectRefused(() => other.open(envelope, context, sid), "commitment");
    }
  });

  test("every pair of 300 rows swapped → refused (R22)", () => {
    const users = [null, ...["1", "2", "3"].map((user) => keys.userRefs(user)[0]!)];
    const rows = Array.from({ length: 300 }, (_row, index) => {
      const row = {
        id: randomBytes(32),
        // Versions and times repeat on purpose, so that it is not these that tell the rows apart.
        version: index % 3,
        createdAt: 1_700_000_000_000 + (index % 5),
        absoluteExpiresAt: 1_702_592_000_000,
        userRef: users[index % users.length]!,
      };
      const rowSid = randomBytes(32);
      return { row, sid: rowSid, envelope: sealing.seal(randomBytes(8), row, rowSid) };
    });
    let refused = 0;
    for (const from of rows) {
      for (const to of rows) {
        if (from === to) continue;
        try {
          sealing.open(from.envelope, to.row, to.sid);
        } catch (error) {
          if (error instanceof RefusedError && error.reason === "commitment") refused++;
        }
      }
    }
    expect(refused).toBe(300 * 299);
    for (const { row, sid: rowSid, envelope } of rows)
      expect(sealing.open(envelope, row, rowSid)).toHaveLength(8);
  }, 60_000);

  test("several keys → the newest seals, every one opens (R27)", () => {
    const sealTo = mode === 0 ? "keys" : "cookie";
    const before = sealerWith({ keys: older, sealTo }).seal(plaintext, context, sid);
    const text = [generateKey(), generateKey()] as const;
    const first = KeyRing.from(text[1]);
    const both = KeyRing.from(text);
    const old = sealerWith({ keys: first, sealTo }).seal(plaintext, context, sid);
    const turned = sealerWith({ keys: both, sealTo });
    expect(Buffer.from(turned.open(old, context, sid))).toEqual(plaintext);
    const resealed = turned.seal(plaintext, context, sid);
    expect(Sealer.keyId(old)).toBe(both.keys[1]!.id);
    expect(Sealer.keyId(resealed)).toBe(both.keys[0]!.id);
    expectRefused(() => turned.open(before, context, sid), "key");
    expectRefused(() => sealerWith({ keys: first, sealTo }).open(resealed, context, sid), "key");
  });

  test("an envelope → opened with the key of its id, and no other is tried (R23)", () => {
    const envelope = Buffer.from(sealing.seal(plaintext, context, sid));
    envelope.writeUInt32BE(keys.keys[1]!.id, 2);
    expectRefused(() => sealing.open(envelope, context, sid), "commitment");
  });

  test("a content above the limit → deflated, if that is smaller", () => {
    const sealTo = mode === 0 ? "keys" : "cookie";
    const row = (length: number, options: Partial<SealerOptions>) => {
      const bytes = Buffer.alloc(length, "a");
      const sealingSome = sealerWith({ sealTo, ...options });
      const envelope = sealingSome.seal(bytes, context, sid);
      expect(Buffer.compare(sealingSome.open(envelope, context, sid), bytes)).toBe(0);
      expect(Buffer.compare(sealing.open(envelope, context, sid), bytes)).toBe(0);
      return { deflated: (envelope[1]! & 1) === 1, smaller: envelope.length < length + 54 };
    };
    expect(row(1024, {})).toEqual({ deflated: false, smaller: false });
    expect(row(1025, {})).toEqual({ deflated: true, smaller: true });
    expect(row(100_000, { compressAbove: false })).toEqual({ deflated: false, smaller: false });
    expect(row(100, { compressAbove: 0 })).toEqual({ deflated: true, smaller: true });
    expect(row(2, { compressAbove: 0 })).toEqual({ deflated: false, smaller: false });
    const incompressible = sealing.seal(randomBytes(5000), context, sid);
    expect(incompressible[1]! & 1).toBe(0);
    expect(incompressible).toHaveLength(5054);
  });
});

describe("the two modes", () => {
  test("an envelope of the other mode → refused, whatever the row says", () => {
    expectRefused(() => cookieSealer.open(sealer.seal(plaintext, context, sid), context, sid), "mode");
    expectRefused(() => sealer.open(cookieSealer.seal(plaintext, context, sid), context, sid), "mode");
  });

  test("sealing to the keys, with or without a sid → opens", () => {
    const envelope = sealer.seal(plaintext, context, new Uint8Array());
    expect(Buffer.from(sealer.open(envelope, context, null))).toEqual(plaintext);
    expect(Buffer.from(sealer.open(envelope, context, randomBytes(32)))).toEqual(plaintext);
  });

  test("sealing to the cookie → opens with that cookie only", () => {
    const envelope = cookieSealer.seal(plaintext, context, sid);
    expectRefused(() => cookieSealer.open(envelope, context, null), "mode");
    for (const other of [randomBytes(32), changed(sid, 0), sid.subarray(0, 31), new Uint8Array()]) {
      expectRefused(() => cookieSealer.open(envelope, context, other), "commitment");
    }
  });

  test("sealing to the cookie, an id of any length → opens; of none → an error", () => {
    for (const length of [1, 24, 33, 200]) {
      const id = randomBytes(length);
      const envelope = cookieSealer.seal(plaintext, context, id);
      expect(Buffer.from(cookieSealer.open(envelope, context, id))).toEqual(plaintext);
    }
    expect(() => cookieSealer.seal(plaintext, context, new Uint8Array())).toThrow(
      new TypeError("Sealing to the cookie requires a sid, but it is empty."),
    );
  });

  test("several faults at once → the one that the format checks first", () => {
    const [first] = keys.keys;
    const one = (flags: number, id: number, length = 54) => {
      const bytes = Buffer.alloc(length);
      bytes[0] = 1;
      bytes[1] = flags;
      bytes.writeUInt32BE(id, 2);
      return bytes;
    };
    const unknown = older.newest.id;
    const bad = { ...context, id: new Uint8Array() };
    expectRefused(() => sealer.open(changed(one(4, unknown, 53), 0), bad, null), "length");
    expectRefused(() => sealer.open(changed(one(4, unknown), 0), bad, null), "suite");
    expectRefused(() => sealer.open(one(4, unknown), bad, null), "flags");
    expectRefused(() => sealer.open(one(2, unknown), bad, null), "key");
    expectRefused(() => sealer.open(one(2, first!.id), bad, null), "mode");
    expectRefused(() => cookieSealer.open(one(0, first!.id), bad, sid), "mode");
    expectRefused(() => cookieSealer.open(one(2, first!.id), bad, null), "mode");
    expectRefused(() => sealer.open(one(0, first!.id), bad, null), "commitment");
  });
});

describe("limits", () => {
  test("a content above maxBytes → an error with both sizes (R45)", () => {
    const small = sealerWith({ maxBytes: 100, compressAbove: 50 });
    const most = Buffer.alloc(100, "a");
    expect(Buffer.from(small.open(small.seal(most, context, sid), context, sid))).toEqual(most);
    let caught: unknown;
    try {
      small.seal(Buffer.alloc(101), context, sid);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(LimitError);
    expect(caught).toMatchObject({
      limit: "bytes",
      message:
        "The session is 101 bytes, over the limit of 100 (`maxBytes`). Store less in it, or raise `maxBytes`.",
    });
  });

  test("a bomb of 1,000:1 → stops at the limit (R30)", () => {
    const zeros = Buffer.alloc(64 * 2 ** 20);
    const bomb = forge(keys.newest, 1, deflateRawSync(zeros, { level: 9 }));
    expect(bomb.length * 1000).toBeLessThan(zeros.length);
    const refused = expectRefused(() => sealer.open(bomb, context, sid), "inflate");
    expect(refused.cause).toMatchObject({ code: "ERR_BUFFER_TOO_LARGE" });
  });

  test("a content that inflates to maxBytes → opened; to one byte more → refused (R30)", () => {
    const envelope = sealerWith({ compressAbove: 0 }).seal(Buffer.alloc(5000, "a"), context, sid);
    expect(sealerWith({ maxBytes: 5000 }).open(envelope, context, sid)).toHaveLength(5000);
    expectRefused(() => sealerWith({ maxBytes: 4999 }).open(envelope, context, sid), "inflate");
  });

  test("a content that only claims to be deflated → refused, with the cause", () => {
    const [key] = keys.keys;
    const whole = deflateRawSync(Buffer.alloc(500, "tea "));
    expect(Buffer.from(sealer.open(forge(key!, 1, whole), context, null))).toEqual(Buffer.alloc(500, "tea "));
    expect(Buffer.from(sealer.open(forge(key!, 0, whole), context, null))).toEqual(whole);
    for (const content of [plaintext, whole.subarray(0, -1), new Uint8Array(), Buffer.from("ff", "hex")]) {
      const refused = expectRefused(() => sealer.open(forge(key!, 1, content), context, null), "inflate");
      expect(refused.cause).toBeInstanceOf(Error);
    }
  });

  test("a wrong tag → an error with a cause; other refusals → without one", () => {
    const envelope = sealer.seal(plaintext, context, sid);
    const last = envelope.length - 1;
    expect(
      expectRefused(() => sealer.open(changed(envelope, last), context, sid), "tag").cause,
    ).toBeInstanceOf(Error);
    expect("cause" in expectRefused(() => sealer.open(envelope.subarray(1), context, sid), "suite")).toBe(
      false,
    );
  });
});

describe("seal: fields out of range → a TypeError, and nothing is sealed", () => {
  test.each<[string, Partial<SealContext>]>([
    ["a short id", { id: new Uint8Array(31) }],
    ["a long id", { id: new Uint8Array(33) }],
    ["a version below zero", { version: -1 }],
    ["a version of 2^53", { version: 2 ** 53 }],
    ["a broken version", { version: 1.5 }],
    ["no time of creation", { createdAt: Number.NaN }],
    ["a broken time of creation", { createdAt: 0.5 }],
    ["no end", { absoluteExpiresAt: Infinity }],
    ["a broken end", { absoluteExpiresAt: 0.5 }],
    ["a short user reference", { userRef: Buffer.alloc(31, 1) }],
    ["a long user reference", { userRef: Buffer.alloc(33, 1) }],
    ["a user reference of zeros", { userRef: new Uint8Array(32) }],
  ])("%s", (_, edit) => {
    const message =
      "A row requires a 32-byte id, an integer version, integer times, and a user reference that is 32 bytes or null.";
    expect(() => sealer.seal(plaintext, { ...context, ...edit }, sid)).toThrow(new TypeError(message));
  });

  test("every field at its limit → sealed, and opens with exactly that row", () => {
    const corners: SealContext[] = [];
    for (const version of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      for (const createdAt of [Number.MIN_SAFE_INTEGER, -(2 ** 32), -1, 0, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
        corners.push({ ...context, version, createdAt, absoluteExpiresAt: createdAt });
      }
    }
    for (const lastByteOnly of [0, 31]) {
      const userRef = new Uint8Array(32);
      userRef[lastByteOnly] = 1;
      corners.push({ ...context, userRef });
    }
    const envelopes = corners.map((corner) => sealer.seal(plaintext, corner, sid));
    for (const [index, envelope] of envelopes.entries()) {
      expect(Buffer.from(sealer.open(envelope, corners[index]!, null))).toEqual(plaintext);
      const other = corners[(index + 1) % corners.length]!;
      expectRefused(() => sealer.open(envelope, other, null), "commitment");
    }
  });
});

describe("ContextWriter", () => {
  test("integers → 64 bits, big-endian, two's complement", () => {
    const writer = new ContextWriter("row", "");
    const random = () => randomInt(2 ** 48 - 1) * (randomInt(2) === 0 ? 1 : -1) * randomInt(1, 32);
    for (let index = 0; index < 200; index++) {
      const [createdAt, absoluteExpiresAt] = [random(), random()];
      const version = Math.abs(random());
      writer.write(0, 0, { ...context, version, createdAt, absoluteExpiresAt }, new Uint8Array(16), 0);
      const bytes132 = Buffer.from(writer.context);
      expect(bytes132.readBigUInt64BE(76)).toBe(BigInt(version));
      expect(bytes132.readBigInt64BE(84)).toBe(BigInt(createdAt));
      expect(bytes132.readBigInt64BE(92)).toBe(BigInt(absoluteExpiresAt));
    }
  });
});

describe("the client column", () => {
  const { id, createdAt, absoluteExpiresAt } = context;
  const client = { id, createdAt, absoluteExpiresAt };

  test("either mode → sealed under the key ring", () => {
    for (const sealing of [sealer, cookieSealer]) {
      const envelope = sealing.sealClient(plaintext, client);
      expect(envelope[1]).toBe(0);
      expect(envelope).toHaveLength(plaintext.length + 54);
      for (const opening of [sealer, cookieSealer]) {
        expect(Buffer.from(opening.openClient(envelope, client))).toEqual(plaintext);
      }
    }
  });

  test("opened as data, or data opened as a client → refused (R22)", () => {
    const row: SealContext = { ...client, version: 0, userRef: null };
    const asClient = sealer.sealClient(plaintext, client);
    const asData = sealer.seal(plaintext, row, sid);
    expectRefused(() => sealer.open(asClient, row, sid), "commitment");
    expectRefused(() => sealer.openClient(asData, client), "commitment");
    expectRefused(() => cookieSealer.open(asClient, row, sid), "mode");
    expectRefused(() => sealer.openClient(cookieSealer.seal(plaintext, row, sid), client), "mode");
    expectRefused(() => cookieSealer.openClient(cookieSealer.seal(plaintext, row, sid), client), "mode");
  });

  test("a covered column or any byte edited → refused", () => {
    const envelope = sealer.sealClient(plaintext, client);
    for (const edit of [
      { id: randomBytes(32) },
      { id: id.subarray(1) },
      { createdAt: createdAt + 1 },
      { absoluteExpiresAt: absoluteExpiresAt - 1 },
    ]) {
      expectRefused(() => sealer.openClient(envelope, { ...client, ...edit }), "commitment");
    }
    expectRefused(() => sealerWith({ app: "other" }).openClient(envelope, client), "commitment");
    for (let at = 0; at < envelope.length; at++) {
      expect(() => sealer.openClient(changed(envelope, at), client)).toThrow(RefusedError);
    }
    expectRefused(() => sealer.openClient(envelope.subarray(0, 53), client), "length");
  });

  test("other columns edited → opens, because it outlives them", () => {
    const envelope = sealer.sealClient(plaintext, { ...context, version: 1, userRef: null } as typeof client);
    expect(Buffer.from(sealer.openClient(envelope, { ...context, version: 2 } as typeof client))).toEqual(
      plaintext,
    );
  });
});

describe("Sealer.keyId", () => {
  test("an envelope → its key's id, whether or not anyone has the key", () => {
    expect(Sealer.keyId(sealer.seal(plaintext, context, sid))).toBe(keys.newest.id);
    expect(Sealer.keyId(sealerWith({ keys: older }).seal(plaintext, context, sid))).toBe(older.newest.id);
    expect(Sealer.keyId(Buffer.from(`0100ff000001${"00".repeat(48)}`, "hex"))).toBe(0xff000001);
    expect(Sealer.keyId(Buffer.from(`010080fe7d02${"00".repeat(48)}`, "hex"))).toBe(0x80fe7d02);
  });

  test("bytes that are not an envelope → null", () => {
    const envelope = sealer.seal(new Uint8Array(), context, sid);
    expect(Sealer.keyId(envelope)).toBe(keys.newest.id);
    expect(Sealer.keyId(envelope.subarray(0, 53))).toBeNull();
    expect(Sealer.keyId(changed(envelope, 0))).toBeNull();
    expect(Sealer.keyId(new Uint8Array())).toBeNull();
  });
});

describe("a sealer that is shown (R28)", () => {
  test("inspected or serialized → nothing of its keys", () => {
    const shown = inspect(sealer, { depth: Infinity, showHidden: true, getters: true });
    expect(shown).toBe("Sealer {}");
    expect(JSON.stringify(sealer)).toBe("{}");
  });
});

describe("a change of sealTo", () => {
  const both = sealerWith({ sealTo: "cookie", alsoOpens: "keys" });

  test("alsoOpens → both modes open, and the row cannot choose another", () => {
    const [toKeys, toCookie] = [both.sealToKeys(plaintext, context), both.seal(plaintext, context, sid)];
    expect(Sealer.isToCookie(toKeys)).toBe(false);
    expect(Sealer.isToCookie(toCookie)).toBe(true);
    expect(Sealer.isToCookie(toCookie.subarray(0, 53))).toBe(false);
    for (const envelope of [toKeys, toCookie]) {
      expect(Buffer.from(both.open(envelope, context, sid))).toEqual(plaintext);
      expectRefused(() => both.open(changed(envelope, 1, 2), context, sid), "commitment");
    }
    expectRefused(() => both.open(toCookie, context, null), "mode");
    expectRefused(() => cookieSealer.open(toKeys, context, sid), "mode");
  });

  test("isDeflated: after seal → whether seal compressed", () => {
    const long = Buffer.alloc(5_000, 1);
    expect(Sealer.isDeflated(both.sealToKeys(long, context))).toBe(true);
    expect(Sealer.isDeflated(both.sealToKeys(long, context, false))).toBe(false);
  });

  test("an empty sid → a TypeError, because nothing would be sealed to a cookie", () => {
    expect(() => both.seal(plaintext, context, new Uint8Array())).toThrow(TypeError);
  });
});
