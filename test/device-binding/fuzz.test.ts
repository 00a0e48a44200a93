import { expect, test } from "vitest";
import { fuzzProofs } from "../fuzz/proofs.ts";

test("mutated proofs: a sample of the campaign → every one is refused (R61)", async () => {
  const statuses = await fuzzProofs({ count: 3_000, seed: 20 });
  expect(Object.keys(statuses).toSorted()).toEqual(["400", "403"]);
});
