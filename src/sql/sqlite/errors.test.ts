import { expect, test } from "vitest";
import { isTransient, primaryCode } from "./errors.ts";

/** An error of Deno's node:sqlite, from `exec` or the opening of a file. */
const ofDeno = (message: string): Error => Object.assign(new Error(message), { code: "ERR_SQLITE_ERROR" });

test.each([
  ["database is locked", 5],
  ["database table is locked: stored_sessions", 6],
  ["attempt to write a readonly database", 8],
  ["disk I/O error", 10],
  ["database disk image is malformed", 11],
  ["database or disk is full", 13],
  ["unable to open database file: /nowhere/x.db", 14],
  ["file is not a database", 26],
  ["cannot start a transaction within a transaction", 1],
])("Deno: an error without SQLite's code, %s → %i", (message, code) => {
  expect(primaryCode(ofDeno(message))).toBe(code);
});

test("Deno: a file that another process locks → worth another try", () => {
  expect(isTransient(ofDeno("database is locked"))).toBe(true);
  expect(isTransient(ofDeno('near "x": syntax error'))).toBe(false);
});
