import { expect, test } from "vitest";
import { isPublicId, mintPublicId, privateId } from "./session-id.ts";

test("a new id → 32 lower-case hex characters from 16 random bytes (R1)", () => {
  const ids = new Set(Array.from({ length: 2000 }, mintPublicId));
  expect(ids.size).toBe(2000);
  for (const id of ids) expect(isPublicId(id)).toBe(true);
});

test("any other text → not an id (R3, R35)", () => {
  const id = "4f2a0c9be1d87365a1b2c3d4e5f60718";
  const garbage = [
    "",
    "a",
    id.slice(1),
    `${id}0`,
    id.toUpperCase(),
    ` ${id}`,
    `${id}\n`,
    `${id.slice(1)}g`,
    privateId(id),
  ];
  for (const value of garbage) expect(isPublicId(value), value).toBe(false);
  expect(isPublicId("２".repeat(32))).toBe(false);
});
