import { createHmac, randomBytes, randomInt } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Hmac } from "./hmac.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("HMAC (R29)", () => {
  test.each([
    [
      1,
      Buffer.alloc(20, 0x0b),
      "Hi There",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
    ],
    [
      2,
      Buffer.from("Jefe"),
      "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ],
    [
      3,
      Buffer.alloc(20, 0xaa),
      Buffer.alloc(50, 0xdd),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
      "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
    ],
    [
      4,
      Buffer.from(Array.from({ length: 25 }, (_, index) => index + 1)),
      Buffer.alloc(50, 0xcd),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
      "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
    ],
  ])("RFC 4231, test case %i → the published answer", (_, key, text, sha256, sha512) => {
    const message = Buffer.from(text);
    expect(hex(new Hmac("sha256", key).of(message))).toBe(sha256);
    expect(hex(new Hmac("sha512", key).of(message))).toBe(sha512);
  });

  test.each(["sha256", "sha512"] as const)(
    "%s of any key and message → the answer of node:crypto",
    (algorithm) => {
      const block = algorithm === "sha256" ? 64 : 128;
      for (let round = 0; round < 300; round++) {
        const key = randomBytes(round <= block ? round : randomInt(block + 1));
        const hmac = new Hmac(algorithm, key);
        for (const length of [0, 33, 33, randomInt(400), 1, randomInt(5_000), 33, randomInt(400)]) {
          const message = randomBytes(length);
          expect(hex(hmac.of(message))).toBe(createHmac(algorithm, key).update(message).digest("hex"));
        }
      }
    },
  );

  test("a long message → its memory is released, and none of it is in the next answer", () => {
    const hmac = new Hmac("sha256", Buffer.alloc(32, 1));
    const own = (message: Uint8Array) =>
      createHmac("sha256", Buffer.alloc(32, 1)).update(message).digest("hex");
    for (const length of [4_096, 4_097, 20_000_000, 33, 4_097, 33]) {
      const message = randomBytes(length);
      expect(hex(hmac.of(message))).toBe(own(message));
    }
    const before = process.memoryUsage().arrayBuffers;
    const many = Array.from({ length: 30 }, () => new Hmac("sha256", Buffer.alloc(32, 1)));
    const long = Buffer.alloc(1_000_000);
    for (const one of many) one.of(long);
    (globalThis as { gc?: () => void }).gc?.();
    expect(many.length).toBe(30);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000);
  });

  test("a key longer than a block, which HMAC would hash first → an error", () => {
    expect(() => new Hmac("sha256", Buffer.alloc(65))).toThrow(
      "An HMAC-sha256 key must be at most 64 bytes long.",
    );
    expect(() => new Hmac("sha512", Buffer.alloc(129))).toThrow(
      "An HMAC-sha512 key must be at most 128 bytes long.",
    );
  });

  test("inspected or serialized → nothing of the key (R28)", () => {
    const key = randomBytes(32);
    const hmac = new Hmac("sha256", key);
    hmac.of(Buffer.from("a message"));
    const shown = `${inspect(hmac, { depth: Infinity, showHidden: true, getters: true })}${JSON.stringify(hmac)}`;
    const inner = key.map((byte) => byte ^ 0x36);
    for (const bytes of [key, inner]) {
      expect(shown).not.toContain(hex(bytes).slice(0, 8));
      expect(shown).not.toContain(bytes.toString("base64").slice(0, 8));
    }
  });
});
