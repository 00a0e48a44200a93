import assert from "node:assert/strict";
import { test } from "vitest";
import { pageOf } from "../../src/adapters/next/page-session.ts";
import { memoryStore } from "../../src/index.ts";
import { world } from "./world.ts";

test("Next.js auth(): a bound session and another → deviceBound says which (R60)", async () => {
  const owner = world({}, memoryStore()).browser();
  const page = async () => pageOf(await owner.load(), async () => undefined);
  assert.equal((await page()).deviceBound, false);
  await owner.bind();
  assert.equal((await page()).deviceBound, true);
});
