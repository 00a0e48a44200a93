import { expect, test } from "vitest";
import { timeOf, timeText } from "./times.ts";

test("a time with any number of digits → read, rounded down", () => {
  const second = Date.UTC(2026, 10, 23, 9, 5, 7);
  expect(timeOf("2026-11-23 09:05:07")).toBe(second);
  expect(timeOf("2026-11-23 09:05:07.1")).toBe(second + 100);
  expect(timeOf("2026-11-23 09:05:07.999999")).toBe(second + 999);
  expect(timeOf("9999-12-31 23:59:59.999")).toBe(Date.UTC(9999, 11, 31, 23, 59, 59, 999));
  expect(timeOf(timeText(second + 296))).toBe(second + 296);
});

test.each([
  "2026-13-45 99:99:99",
  "2026-02-30 00:00:00",
  "2026-11-23 24:00:00",
  "2026-11-23 09:60:00",
  "2026-00-10 00:00:00",
  "0099-01-01 00:00:00",
  "1969-12-31 23:59:59.5",
  "2026-11-23T09:00:00",
  "2026-11-23 09:00:00 UTC",
  "infinity",
  null,
])("%s is not a time → its row is dead", (text) => {
  expect(timeOf(text)).toBe(0);
});
