import { expect, test } from "vitest";
import { fuzzEnvelopes } from "./envelopes.ts";

test("envelopes: 20,000 mutated, cut, extended, spliced and misplaced ones → refused for the right reason (R22, R47)", () => {
  const seed = Date.now() % 2 ** 31;
  const { refused } = fuzzEnvelopes({ count: 20_000, seed });
  console.log(`fuzz of envelopes, seed ${seed}`);
  expect(Object.values(refused).reduce((sum, count) => sum + count)).toBe(20_000);
  const reasons = ["length", "suite", "flags", "key", "mode", "commitment", "tag"];
  expect(Object.keys(refused).toSorted()).toEqual(reasons.toSorted());
}, 60_000);

test("envelope fuzzing: the same seed → the same mutations", () => {
  const [first, second] = [1, 2].map(() => fuzzEnvelopes({ count: 500, seed: 7 }).refused);
  expect(first).toEqual(second);
});
