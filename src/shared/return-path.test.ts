import { expect, test } from "vitest";
import { returnPath } from "./return-path.ts";

test.each([
  ["/", "/"],
  ["/account", "/account"],
  ["/account/email?tab=2&x=%2F%2Fevil#top", "/account/email?tab=2&x=%2F%2Fevil#top"],
  ["/a/../b", "/b"],
  ["/käse", "/k%C3%A4se"],
  ["/?next=https://evil.example/", "/?next=https://evil.example/"],
])("returnPath: %j, a path of this site → %j", (given, path) => {
  expect(returnPath(given)).toBe(path);
});

test.each([
  "https://evil.example/",
  "//evil.example/",
  "/\\evil.example/",
  "\\\\evil.example/",
  "/.//evil.example/",
  "/a/..//evil.example/",
  "/%2e//evil.example/",
  "/\t/evil.example/",
  "/\n/evil.example",
  "/x\r\nset-cookie: a=b",
  " //evil.example",
  "javascript:alert(1)",
  "account",
  "",
  `/${"x".repeat(2_048)}`,
  ["/account"],
  { toString: () => "/account" },
  undefined,
  null,
  7,
])("returnPath: %j → the fallback (open redirect, R58)", (given) => {
  expect(returnPath(given, "/home")).toBe("/home");
});
