import { expect, test } from "vitest";
import { fuzzCodec } from "./codec.ts";

test("20,000 contents come back equal; their bytes mutated, cut and spliced are refused or read for what they are (R47)", () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`fuzz of the codec, seed ${seed}`);
  const { equal, read, refused } = fuzzCodec({ count: 20_000, seed });
  expect(equal).toBe(20_000);
  expect(read + refused).toBe(20_000);
  expect(read).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(5_000);
}, 60_000);

test("a seed gives the same bytes again", () => {
  expect(fuzzCodec({ count: 500, seed: 7 })).toEqual(fuzzCodec({ count: 500, seed: 7 }));
});
