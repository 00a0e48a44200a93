import { expect, test } from "vitest";
import { fuzzEnvelopes } from "./envelopes.ts";

test("20,000 mutated, cut, extended, spliced and misplaced envelopes are refused for the right reason (R22, R47)", () => {
  const seed = Date.now() % 2 ** 31;
  const { refused } = fuzzEnvelopes({ count: 20_000, seed });
  console.log(`fuzz of envelopes, seed ${seed}`);
  expect(Object.values(refused).reduce((sum, count) => sum + count)).toBe(20_000);
  const reasons = ["length", "suite", "flags", "key", "mode", "commitment", "tag"];
  expect(Object.keys(refused).toSorted()).toEqual(reasons.toSorted());
}, 60_000);

test("a seed gives the same mutations again", () => {
  const [first, second] = [1, 2].map(() => fuzzEnvelopes({ count: 500, seed: 7 }).refused);
  expect(first).toEqual(second);
});
