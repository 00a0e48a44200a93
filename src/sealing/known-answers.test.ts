import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { describe, expect, test } from "vitest";

const bytes = (text: string): Buffer => Buffer.from(text, "hex");
const run = (first: number, last: number): Buffer =>
  Buffer.from(Array.from({ length: last - first + 1 }, (_, index) => first + index));

// The primitives that everything here stands on, against the answers that their authors published.
describe("known answers of the runtime's cryptography (R29)", () => {
  test.each([
    [
      "A.1",
      Buffer.alloc(22, 0x0b),
      run(0x00, 0x0c),
      run(0xf0, 0xf9),
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ],
    [
      "A.2",
      run(0x00, 0x4f),
      run(0x60, 0xaf),
      run(0xb0, 0xff),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09" +
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ],
    [
      "A.3",
      Buffer.alloc(22, 0x0b),
      Buffer.alloc(0),
      Buffer.alloc(0),
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ],
  ])("HKDF, RFC 5869 %s → the published answer", (_, secret, salt, info, answer) => {
    const okm = Buffer.from(hkdfSync("sha256", secret, salt, info, answer.length / 2));
    expect(okm.toString("hex")).toBe(answer);
  });

  test.each([
    [
      "14",
      "00".repeat(32),
      "00".repeat(12),
      "00".repeat(16),
      "",
      "cea7403d4d606b6e074ec5d3baf39d18",
      "d0d1c8a799996bf0265b98b5d48ab919",
    ],
    [
      "16",
      "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      "cafebabefacedbaddecaf888",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525" +
        "b16aedf5aa0de657ba637b39",
      "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838" +
        "c5f61e6393ba7a0abcc9f662",
      "76fc6ece0f4e1768cddf8853bb2d551b",
    ],
  ])(
    "AES-256-GCM, test case %s of its specification → the published answer",
    (_, key, nonce, plaintext, data, ciphertext, tag) => {
      const options = { authTagLength: 16 };
      const cipher = createCipheriv("aes-256-gcm", bytes(key), bytes(nonce), options).setAAD(bytes(data));
      expect(Buffer.concat([cipher.update(bytes(plaintext)), cipher.final()]).toString("hex")).toBe(
        ciphertext,
      );
      expect(cipher.getAuthTag().toString("hex")).toBe(tag);
      const decipher = createDecipheriv("aes-256-gcm", bytes(key), bytes(nonce), options);
      decipher.setAAD(bytes(data)).setAuthTag(bytes(tag));
      const opened = Buffer.concat([decipher.update(bytes(ciphertext)), decipher.final()]);
      expect(opened.toString("hex")).toBe(plaintext);
    },
  );
});
