import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { railsCsrfToken, verifyRailsCsrfToken } from "./csrf.ts";

const real = Buffer.from(Array.from({ length: 32 }, (_, index) => index + 200));
const data = (): Record<string, unknown> => ({ _csrf_token: real.toString("base64url") });

/** As Rails masks: the pad, then the token XORed with it. */
function mask(raw: Buffer, pad = Buffer.alloc(32, 0xa5)): string {
  return Buffer.concat([pad, Buffer.from(raw.map((byte, index) => byte ^ (pad[index] ?? 0)))]).toString(
    "base64url",
  );
}
const hmac = (text: string): Buffer => createHmac("sha256", real).update(text).digest();

describe("tokens that Rails renders → accepted", () => {
  const accepted: [string, string][] = [
    ["masked, for all forms", mask(hmac("!real_csrf_token"))],
    ["masked, the session's own (before 6.1)", mask(real)],
    ["unmasked", real.toString("base64url")],
    ["padded base64", Buffer.from(mask(hmac("!real_csrf_token")), "base64url").toString("base64")],
  ];
  test.each(accepted)("%s", (_, token) => {
    expect(verifyRailsCsrfToken(data(), token)).toBe(true);
    expect(verifyRailsCsrfToken({ _csrf_token: real.toString("base64") }, token)).toBe(true);
    expect(verifyRailsCsrfToken({ _csrf_token: Buffer.alloc(32).toString("base64url") }, token)).toBe(false);
  });

  test("per form, where the form is named", () => {
    const token = mask(hmac("/posts/1#patch"));
    expect(verifyRailsCsrfToken(data(), token, { path: "/posts/1/", method: "PATCH" })).toBe(true);
    expect(verifyRailsCsrfToken(data(), token, { path: "/posts/2", method: "PATCH" })).toBe(false);
    expect(verifyRailsCsrfToken(data(), token)).toBe(false);
  });
});

test("a minted token → the form that Rails expects, masked anew each time", () => {
  const session = data();
  const [one, two] = [railsCsrfToken(session), railsCsrfToken(session)];
  expect(one).not.toBe(two);
  expect(one).toMatch(/^[\w-]{86}$/);
  const bytes = Buffer.from(one, "base64url");
  expect(mask(hmac("!real_csrf_token"), bytes.subarray(0, 32))).toBe(one);
  expect(session).toEqual(data());
  expect(verifyRailsCsrfToken(session, railsCsrfToken(session, { path: "/a", method: "post" }))).toBe(false);
  const form = { path: "/a", method: "post" };
  expect(verifyRailsCsrfToken(session, railsCsrfToken(session, form), form)).toBe(true);
});

test("a session without a token → a form gets one, a check creates none", () => {
  const fresh: Record<string, unknown> = {};
  expect(verifyRailsCsrfToken(fresh, mask(real))).toBe(false);
  expect(fresh).toEqual({});
  const token = railsCsrfToken(fresh);
  expect(fresh["_csrf_token"]).toMatch(/^[\w-]{43}$/);
  expect(verifyRailsCsrfToken(fresh, token)).toBe(true);
  expect(verifyRailsCsrfToken(JSON.parse(JSON.stringify(fresh)), token)).toBe(true);
});

test("any other token → refused, without an error", () => {
  const good = mask(hmac("!real_csrf_token"));
  const bad: unknown[] = [
    "",
    "x",
    null,
    undefined,
    1,
    [good],
    {},
    `${good}=`,
    ` ${good}`,
    `${good}A`,
    good.slice(4),
  ];
  bad.push(
    "A".repeat(86),
    "A".repeat(1_000_000),
    `${good.slice(0, 40)}!${good.slice(41)}`,
    good.slice(0, -1),
  );
  for (let index = 0; index < 85; index++) {
    bad.push(good.slice(0, index) + (good[index] === "Q" ? "R" : "Q") + good.slice(index + 1));
  }
  for (const token of bad)
    expect(verifyRailsCsrfToken(data(), token), String(token).slice(0, 99)).toBe(false);
  for (const stored of [null, 5, "", "short", Buffer.alloc(33).toString("base64")]) {
    expect(verifyRailsCsrfToken({ _csrf_token: stored }, stored)).toBe(false);
  }
});
