import assert from "node:assert/strict";
import { test } from "vitest";
import { instant, instantFrom, keyOfUser, pathToUser } from "./options.ts";

test.each([
  ["2026-11-23T18:00Z", "2026-11-23T18:00:00.000Z"],
  ["2026-11-23T18:00:30Z", "2026-11-23T18:00:30.000Z"],
  ["2026-11-23T18:00:30.250Z", "2026-11-23T18:00:30.250Z"],
  ["2026-11-23T19:00+01:00", "2026-11-23T18:00:00.000Z"],
  ["2026-11-23T00:30-05:30", "2026-11-23T06:00:00.000Z"],
  ["2026-11-23", "2026-11-24T00:00:00.000Z"],
  ["2026-12-31", "2027-01-01T00:00:00.000Z"],
  ["2028-02-29", "2028-03-01T00:00:00.000Z"],
])("%s → a moment; a day alone is its end in UTC", (text, moment) => {
  assert.equal(instant(text).toISOString(), moment);
});

test.each([
  "",
  "5",
  "11/26",
  "Nov 26",
  "Nov 26 2026 18:00 UTC",
  "2026",
  "2026-11",
  "2026-11-23T18:00",
  "2026-11-23 18:00Z",
  "2026-11-23T18Z",
  "2026-11-23T18:00+01",
  "2026-11-23T18:00 CET",
  "2026-02-30",
  "2026-02-30T10:00Z",
  "2026-13-01",
  "2026-11-23T25:00Z",
  "2026-11-23T18:00+25:00",
  "2026-11-23T18:00Z\n",
])("%j is ambiguous → no moment", (text) => {
  assert.throws(
    () => instant(text),
    /^InvalidArgumentError: Use a time with its zone, such as "2026-11-23T18:00Z"[^\n]+\.$/,
  );
});

test("a time that sessions are compared with → a day alone is its start in UTC, and the message says so", () => {
  assert.equal(instantFrom("2026-11-23").toISOString(), "2026-11-23T00:00:00.000Z");
  assert.equal(instantFrom("2026-11-23T19:00+01:00").toISOString(), "2026-11-23T18:00:00.000Z");
  assert.throws(() => instantFrom("tomorrow"), /counts as its start in UTC/);
  assert.throws(() => instant("tomorrow"), /counts as its end in UTC/);
});

test("--user-path: an empty part → rejected", () => {
  assert.deepEqual(pathToUser("passport.user"), ["passport", "user"]);
  assert.deepEqual(pathToUser("id"), ["id"]);
  for (const path of ["", ".", "a..b", ".a", "a."])
    assert.throws(() => pathToUser(path), /without empty parts/);
  assert.equal(keyOfUser("warden.user.user.key"), "warden.user.user.key");
  assert.throws(() => keyOfUser(""), /Use a key that is not empty/);
});
