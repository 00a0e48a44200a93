import { describe, expect, test } from "vitest";
import { fillRandom, randomBytes, RandomPool, randomVersion } from "./random.ts";

/** A pool whose refills are 1, 2, 3, …: 8,192 bytes of which no two neighbours repeat, with the last byte first. */
function countingPool() {
  const refills: Uint8Array[] = [];
  const pool = new RandomPool((target) => {
    refills.push(target);
    for (let index = 0; index < target.length; index++) target[index] = (index % 251) + 1;
  });
  return { pool, refills };
}

describe("RandomPool", () => {
  test("the first call → draws 8,192 bytes at once; nothing before it", () => {
    const { pool, refills } = countingPool();
    expect(refills).toHaveLength(0);
    pool.bytes(1);
    expect(refills.map((target) => target.length)).toEqual([8192]);
  });

  test("further calls → bytes in turn, each once, wiped after use", () => {
    const { pool, refills } = countingPool();
    expect([...pool.bytes(3)]).toEqual([1, 2, 3]);
    expect([...pool.bytes(2)]).toEqual([4, 5]);
    expect([...refills[0]!.subarray(0, 7)]).toEqual([0, 0, 0, 0, 0, 6, 7]);
  });

  test("returns copies: a caller changes its bytes → no other caller sees it", () => {
    const { pool, refills } = countingPool();
    const bytes = pool.bytes(4);
    expect(bytes.buffer).not.toBe(refills[0]!.buffer);
    expect(bytes.buffer.byteLength).toBe(4);
    bytes.fill(255);
    expect([...pool.bytes(1)]).toEqual([5]);
  });

  test("fill at an offset → the rest of the array stays", () => {
    const { pool } = countingPool();
    const target = new Uint8Array(6).fill(99);
    pool.write(target, 2, 3);
    expect([...target]).toEqual([99, 99, 1, 2, 3, 99]);
  });

  test("the last byte of a draw → used; the next call draws again", () => {
    const { pool, refills } = countingPool();
    pool.bytes(8191);
    expect([...pool.bytes(1)]).toEqual([(8191 % 251) + 1]);
    expect(refills).toHaveLength(1);
    expect([...pool.bytes(1)]).toEqual([1]);
    expect(refills).toHaveLength(2);
  });

  test("a remainder that is too short → dropped, so that no value mixes two draws", () => {
    const { pool, refills } = countingPool();
    pool.bytes(8191);
    expect([...pool.bytes(2)]).toEqual([1, 2]);
    expect(refills).toHaveLength(2);
  });

  test("8,192 bytes at once → given; more → a RangeError", () => {
    const { pool } = countingPool();
    expect(pool.bytes(8192)).toHaveLength(8192);
    expect(() => pool.bytes(8193)).toThrow(new RangeError("At most 8192 random bytes can be drawn at once."));
  });

  test("a version → the first 53 of 64 bits, and all 64 are wiped", () => {
    const version = (bytes: number[]) => {
      const refills: Uint8Array[] = [];
      const pool = new RandomPool((target) => {
        refills.push(target);
        target.set(bytes);
      });
      pool.bytes(1);
      const result = pool.version();
      expect([...refills[0]!.subarray(0, 9)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
      return result;
    };
    expect(version([7, 255, 255, 255, 255, 255, 255, 255, 255])).toBe(Number.MAX_SAFE_INTEGER);
    expect(version([7, 0, 0, 0, 0, 0, 0, 0, 0])).toBe(0);
    expect(version([7, 0, 0, 0x07, 0xff, 0, 0, 0, 0])).toBe(0);
    expect(version([7, 0, 0, 0x08, 0, 0, 0, 0, 1])).toBe(2 ** 32 + 1);
    expect(version([7, 0x80, 0, 0, 0, 0x80, 0, 0, 0])).toBe(2 ** 52 + 2 ** 31);
  });

  test("versions and bytes → from one sequence", () => {
    const { pool } = countingPool();
    pool.version();
    expect([...pool.bytes(2)]).toEqual([9, 10]);
  });
});

describe("the pool of this process (R1)", () => {
  test("many draws → no 32 bytes come twice", () => {
    const seen = new Set<string>();
    for (let index = 0; index < 10_000; index++) seen.add(Buffer.from(randomBytes(32)).toString("latin1"));
    expect(seen.size).toBe(10_000);
  });

  test("fillRandom → fills the whole array", () => {
    const target = new Uint8Array(64);
    fillRandom(target, 16, 32);
    expect(target.subarray(0, 16).every((byte) => byte === 0)).toBe(true);
    expect(target.subarray(16, 48).some((byte) => byte !== 0)).toBe(true);
    expect(target.subarray(48).every((byte) => byte === 0)).toBe(true);
  });

  test("versions → distinct safe integers that use all 53 bits", () => {
    const seen = new Set<number>();
    const ones = Array.from({ length: 53 }, () => 0);
    for (let index = 0; index < 20_000; index++) {
      const version = randomVersion();
      expect(Number.isSafeInteger(version) && version >= 0).toBe(true);
      seen.add(version);
      for (let bit = 0; bit < 53; bit++) ones[bit]! += Math.floor(version / 2 ** bit) % 2;
    }
    expect(seen.size).toBe(20_000);
    // Six standard deviations of a fair coin: 6 * sqrt(20,000) / 2.
    for (const count of ones) expect(Math.abs(count - 10_000)).toBeLessThan(425);
  });
});
