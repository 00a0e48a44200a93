import { createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { RefusedError } from "../src/errors.ts";
import { ContextWriter, SALT_BYTES } from "../src/sealing/context.ts";
import { type Key, KeyRing } from "../src/sealing/keyring.ts";
import { Sealer } from "../src/sealing/sealer.ts";
import { readToken, refreshToken, rowIdOf } from "../src/session/token.ts";

// Deflate has many right outputs, and another zlib than Node's made the vectors: these bytes are taken from them.
const deflated = vi.hoisted(() => ({ next: new Uint8Array() as Uint8Array }));
vi.mock(import("../src/sealing/deflate.ts"), async (importOriginal) => ({
  ...(await importOriginal()),
  deflate: () => deflated.next,
}));

interface EnvelopeVector {
  name: string;
  master: string;
  sid: string;
  app: string;
  version: number;
  created_at: number;
  absolute_expires_at: number;
  user: string | null;
  cookie_bound: boolean;
  deflate: boolean;
  salt: string;
  plaintext: string;
  context: string;
  message_key: string;
  commitment: string;
  envelope: string;
}

interface Vectors {
  keys: ({ master: string; kid: string } & Record<Derived, string>)[];
  tokens: { master: string; sid: string; token: string; row_id: string }[];
  users: { master: string; user: string; user_ref: string }[];
  envelopes: EnvelopeVector[];
  refused: { why: string; of: number; change?: Partial<EnvelopeVector>; envelope: string }[];
  client: Omit<EnvelopeVector, "version" | "user" | "cookie_bound" | "deflate">[];
}

type Derived = "row" | "seal" | "token" | "user" | "audit";

const vectors: Vectors = JSON.parse(
  readFileSync(new URL("./vectors/sealing-vectors.json", import.meta.url), "utf8"),
);

const bytes = (text: string): Buffer => Buffer.from(text, "hex");
const hex = (array: Uint8Array): string => Buffer.from(array).toString("hex");
const ringOf = (master: string): KeyRing => KeyRing.from(`ssk1_${bytes(master).toString("base64url")}`);
const sealerOf = (
  vector: Pick<EnvelopeVector, "master" | "app" | "salt">,
  toCookie: boolean,
  deflate: boolean,
): Sealer =>
  new Sealer({
    keys: ringOf(vector.master),
    app: vector.app,
    sealTo: toCookie ? "cookie" : "keys",
    compressAbove: deflate ? 0 : false,
    maxBytes: 2 ** 20,
    random: (target, offset, length) => {
      expect(length).toBe(SALT_BYTES);
      target.set(bytes(vector.salt), offset);
    },
  });
const contextOf = (vector: EnvelopeVector) => ({
  id: rowIdOf(bytes(vector.sid)),
  version: vector.version,
  createdAt: vector.created_at,
  absoluteExpiresAt: vector.absolute_expires_at,
  userRef: vector.user === null ? null : ringOf(vector.master).userRefs(vector.user)[0]!,
});

/** The content of an envelope, by the cipher alone and the message key that the vector states. */
const contentOf = (vector: EnvelopeVector): Buffer => {
  const envelope = bytes(vector.envelope);
  const decipher = createDecipheriv("aes-256-gcm", bytes(vector.message_key), Buffer.alloc(12), {
    authTagLength: 16,
  });
  decipher.setAAD(bytes(vector.context)).setAuthTag(envelope.subarray(-16));
  return Buffer.concat([decipher.update(envelope.subarray(38, -16)), decipher.final()]);
};

describe("sealing-vectors.json (R29)", () => {
  test.each(vectors.keys)("key $kid → the derived keys of the vector", (vector) => {
    const key = ringOf(vector.master).newest;
    expect(key.name).toBe(vector.kid);
    expect(key.id).toBe(Number.parseInt(vector.kid, 16));
    for (const name of ["row", "seal", "token", "user", "audit"] as const) {
      const algorithm = name === "row" || name === "seal" ? "sha512" : "sha256";
      const message = randomBytes(100);
      const code = createHmac(algorithm, bytes(vector[name])).update(message).digest();
      expect(hex((key[name] satisfies Key[Derived]).of(message))).toBe(hex(code));
    }
  });

  test.each(vectors.tokens)("token $token → the id and tag of the vector", (vector) => {
    const keys = ringOf(vector.master);
    const token = readToken(keys, vector.token)!;
    expect(hex(token.sid)).toBe(vector.sid);
    expect(hex(token.id)).toBe(vector.row_id);
    expect(token.stale).toBe(false);
    expect(refreshToken(keys, { ...token, sid: bytes(vector.sid), text: "" }).text).toBe(vector.token);
  });

  test.each(vectors.users)("user reference of '$user' → that of the vector", (vector) => {
    expect(ringOf(vector.master).userRefs(vector.user).map(hex)).toEqual([vector.user_ref]);
  });

  describe.each(vectors.envelopes.map((vector, index) => ({ index, ...vector })))(
    "envelope $index: $name, user $user, cookie bound $cookie_bound, deflated $deflate",
    (vector) => {
      const sealer = sealerOf(vector, vector.cookie_bound, vector.deflate);

      test("row → the context of the vector", () => {
        const writer = new ContextWriter("row", vector.app);
        const flags = (vector.deflate ? 1 : 0) | (vector.cookie_bound ? 2 : 0);
        writer.write(flags, ringOf(vector.master).newest.id, contextOf(vector), bytes(vector.salt), 0);
        expect(hex(writer.context)).toBe(vector.context);
        expect(hex(writer.block)).toBe(`${vector.context}${vector.salt}01`);
      });

      test("seal → the bytes of the vector", () => {
        deflated.next = contentOf(vector);
        const envelope = sealer.seal(bytes(vector.plaintext), contextOf(vector), bytes(vector.sid));
        expect(hex(envelope)).toBe(vector.envelope);
      });

      test("open → the content of the vector", () => {
        const plaintext = sealer.open(bytes(vector.envelope), contextOf(vector), bytes(vector.sid));
        expect(hex(plaintext)).toBe(vector.plaintext);
      });

      test("keyId → the key of the vector", () => {
        expect(Sealer.keyId(bytes(vector.envelope))).toBe(ringOf(vector.master).newest.id);
      });
    },
  );

  test.each(vectors.client)("client envelope of $master → sealed and opened as in the vector", (vector) => {
    const sealer = sealerOf(vector, true, false);
    const context = {
      id: rowIdOf(bytes(vector.sid)),
      createdAt: vector.created_at,
      absoluteExpiresAt: vector.absolute_expires_at,
    };
    const writer = new ContextWriter("client", vector.app);
    const row = { ...context, version: 0, userRef: null };
    writer.write(0, ringOf(vector.master).newest.id, row, bytes(vector.salt), 0);
    expect(hex(writer.context)).toBe(vector.context);
    expect(hex(sealer.sealClient(bytes(vector.plaintext), context))).toBe(vector.envelope);
    expect(hex(sealer.openClient(bytes(vector.envelope), context))).toBe(vector.plaintext);
  });

  const REASONS: Record<string, string> = {
    empty: "length",
    "one byte": "length",
    "unknown suite": "suite",
    "reserved flag bit": "flags",
    "cookie-bound flag set on a row that is not": "mode",
    "deflate flag set on a row that is not": "commitment",
    "unknown key id": "key",
    "salt changed": "commitment",
    "commitment changed": "commitment",
    "ciphertext changed": "tag",
    "tag changed": "tag",
    "tag cut to 4 bytes": "length",
    "trailing byte": "tag",
    "no ciphertext and no tag": "length",
    "row's version changed by one": "commitment",
    "row's created_at changed by one": "commitment",
    "row's absolute_expires_at changed by one": "commitment",
    "another app's row": "commitment",
    "another row's id": "commitment",
    "another user": "commitment",
  };

  test("refused vectors → each has a reason here", () => {
    expect(vectors.refused.map(({ why }) => why)).toEqual(Object.keys(REASONS));
  });

  test.each(vectors.refused)("refused: $why", ({ why, of, change, envelope }) => {
    const vector = vectors.envelopes[of]!;
    const changed = { ...vector, ...change };
    // That one is the vector's own envelope, met by a server that does not seal to the cookie.
    const toCookie = REASONS[why] === "mode" ? false : vector.cookie_bound;
    const open = () =>
      sealerOf(changed, toCookie, false).open(bytes(envelope), contextOf(changed), bytes(changed.sid));
    expect(open).toThrow(RefusedError);
    expect(open).toThrow(expect.objectContaining({ reason: REASONS[why] }));
  });
});
