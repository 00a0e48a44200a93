import assert from "node:assert/strict";
import { test } from "vitest";
import { writeSessionHeaders } from "./headers.ts";

function written(
  before: Record<string, string>,
  accessed: boolean,
  setCookie: string | null,
): Record<string, string> {
  const headers = new Headers(before);
  writeSessionHeaders(
    {
      get: (name) => headers.get(name) ?? undefined,
      names: () => [...headers.keys()],
      set: (name, value) => headers.set(name, value),
      append: (name, value) => headers.append(name, value),
    },
    { accessed, setCookie },
  );
  return Object.fromEntries(headers);
}

test("an unused session → no header (promise 1)", () => {
  assert.deepEqual(written({ vary: "accept" }, false, null), { vary: "accept" });
  assert.deepEqual(written({}, false, null), {});
});

test("Vary: the session was accessed → Vary: Cookie, added once (R12)", () => {
  assert.deepEqual(written({}, true, null), { vary: "Cookie" });
  assert.deepEqual(written({ vary: "" }, true, null), { vary: "Cookie" });
  assert.deepEqual(written({ vary: "Accept,  Origin" }, true, null), { vary: "Accept,  Origin, Cookie" });
  for (const vary of ["cookie", "Accept, COOKIE", "*", "Accept, *"]) {
    assert.deepEqual(written({ vary }, true, null), { vary });
  }
  assert.deepEqual(written({ vary: "Set-Cookie" }, true, null), { vary: "Set-Cookie, Cookie" });
});

test("Cache-Control: the cookie is set or cleared → no-store replaces weaker directives (R12)", () => {
  const cookie = { vary: "Cookie", "set-cookie": "a=b" };
  const strict = { ...cookie, "cache-control": "no-store" };
  assert.deepEqual(written({}, false, "a=b"), strict);
  for (const weaker of ["", "public", "private, no-cache", "max-age=0", 'x="no-store"', "no-store-not"]) {
    assert.deepEqual(written({ "cache-control": weaker }, true, "a=b"), strict, weaker);
  }
  for (const enough of ["no-store", "private, NO-STORE, max-age=0"]) {
    assert.deepEqual(written({ "cache-control": enough }, true, "a=b"), {
      ...cookie,
      "cache-control": enough,
    });
  }
});

test("targeted cache headers: the cookie is set → no-store in each (R12)", () => {
  assert.deepEqual(
    written({ "cdn-cache-control": "max-age=9", "surrogate-control": "no-store" }, true, "a=b"),
    {
      vary: "Cookie",
      "set-cookie": "a=b",
      "cache-control": "no-store",
      "cdn-cache-control": "no-store",
      "surrogate-control": "no-store",
    },
  );
});

test("Set-Cookie: cookies of the application → kept", () => {
  const headers = new Headers({ "set-cookie": "theme=dark" });
  writeSessionHeaders(
    {
      get: (name) => headers.get(name) ?? undefined,
      names: () => [...headers.keys()],
      set: (name, value) => headers.set(name, value),
      append: (name, value) => headers.append(name, value),
    },
    { accessed: true, setCookie: "a=b" },
  );
  assert.deepEqual(headers.getSetCookie(), ["theme=dark", "a=b"]);
});

test("Set-Cookie: the application already wrote the same cookie → not repeated; another cookie does not match", () => {
  const clear = "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/";
  for (const present of [["a=b; Path=/"], ["theme=dark", "a=b; Path=/", clear]]) {
    const headers = new Headers(present.map((line) => ["set-cookie", line] as [string, string]));
    const target = {
      get: (name: string) => headers.get(name) ?? undefined,
      names: () => [...headers.keys()],
      set: (name: string, value: string) => headers.set(name, value),
      append: (name: string, value: string) => headers.append(name, value),
    };
    writeSessionHeaders(target, { accessed: true, setCookie: "a=b; Path=/" });
    assert.deepEqual(headers.getSetCookie(), present);
    assert.equal(headers.get("cache-control"), "no-store");
    writeSessionHeaders(target, { accessed: true, setCookie: "a=b" });
    assert.deepEqual(headers.getSetCookie(), [...present, "a=b"]);
  }
});

test("targeted cache headers, whatever their names → no-store where a cookie is set (R12, RFC 9213)", () => {
  const weak = {
    "akamai-cache-control": "max-age=60",
    "cdn-cache-control": "max-age=60",
    "cloudflare-cdn-cache-control": "max-age=60",
    "edge-control": "max-age=60",
    "examplecdn-cache-control": "max-age=60",
    "netlify-cdn-cache-control": "public, durable",
    "surrogate-control": "max-age=60",
    "vercel-cdn-cache-control": "max-age=60",
  };
  const after = written({ ...weak, "X-Accel-Expires": "@9999999999" }, true, "a=b");
  for (const name of Object.keys(weak)) assert.equal(after[name], "no-store", name);
  assert.equal(after["x-accel-expires"], "0");
  const strict = { "vercel-cdn-cache-control": "private, No-Store", "x-accel-expires": "0" };
  const kept = written(strict, true, "a=b");
  for (const [name, value] of Object.entries(strict)) assert.equal(kept[name], value);
  const untouched = written({ ...weak, "x-accel-expires": "60" }, true, null);
  assert.deepEqual(untouched, { ...weak, "x-accel-expires": "60", vary: "Cookie" });
});
