import { expect, test } from "vitest";
import { fuzzCodec } from "./codec.ts";

test("codec: 20,000 contents → equal when read back; their bytes mutated, cut and spliced → refused, or read as what they are (R47)", () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`fuzz of the codec, seed ${seed}`);
  const { equal, read, refused } = fuzzCodec({ count: 20_000, seed });
  expect(equal).toBe(20_000);
  expect(read + refused).toBe(20_000);
  expect(read).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(5_000);
}, 60_000);

test("codec fuzzing: the same seed → the same bytes", () => {
  expect(fuzzCodec({ count: 500, seed: 7 })).toEqual(fuzzCodec({ count: 500, seed: 7 }));
});
