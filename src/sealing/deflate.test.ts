import { randomBytes } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { deflate, inflate } from "./deflate.ts";

describe("deflate", () => {
  test("any bytes → raw deflate of level 1", () => {
    const plaintext = Buffer.from("tea and biscuits, ".repeat(200));
    const deflated = deflate(plaintext)!;
    expect(Buffer.from(inflateRawSync(deflated))).toEqual(plaintext);
    expect(Buffer.from(deflated)).toEqual(deflateRawSync(plaintext, { level: 1 }));
    expect(Buffer.from(deflated)).not.toEqual(deflateRawSync(plaintext));
  });

  test("a result that is not smaller → null, even at the same length", () => {
    expect(deflate(randomBytes(2000))).toBeNull();
    expect(deflate(new Uint8Array())).toBeNull();
    const differences = new Set<number>();
    for (let count = 0; count < 40; count++) {
      // Bytes over 143 cost nine bits each, which uses up bit by bit what the run of one letter saves.
      const incompressible = Buffer.from(Array.from({ length: count }, (_, index) => 144 + index));
      const plaintext = Buffer.concat([incompressible, Buffer.alloc(6, "a")]);
      const { length } = deflateRawSync(plaintext, { level: 1 });
      differences.add(Math.sign(length - plaintext.length));
      expect(deflate(plaintext)?.length ?? null).toBe(length < plaintext.length ? length : null);
    }
    expect(differences).toEqual(new Set([-1, 0, 1]));
  });
});

describe("inflate (R30)", () => {
  const deflated = deflateRawSync(Buffer.alloc(100_000, "a"));

  test("a limit → at most that many bytes, and not one more", () => {
    expect(inflate(deflated, 100_000)).toHaveLength(100_000);
    expect(() => inflate(deflated, 99_999)).toThrow(
      expect.objectContaining({ code: "ERR_BUFFER_TOO_LARGE" }),
    );
  });

  test("an incomplete stream, or bytes behind it → an error", () => {
    expect(() => inflate(deflated.subarray(0, -1), 100_000)).toThrow(
      expect.objectContaining({ code: "Z_BUF_ERROR" }),
    );
    expect(() => inflate(Buffer.from("ffff", "hex"), 100_000)).toThrow(
      expect.objectContaining({ code: "Z_DATA_ERROR" }),
    );
  });
});
