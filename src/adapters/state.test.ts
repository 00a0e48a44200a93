import assert from "node:assert/strict";
import { test } from "vitest";
import { isLocal, warnOfInsecureRequest } from "./state.ts";

test("hosts and addresses of this machine", () => {
  for (const host of [
    "localhost",
    "LOCALHOST:3000",
    "shop.localhost:1",
    "127.0.0.1",
    "127.1.2.3:80",
    "::ffff:127.0.0.1",
    "::1",
    "[::1]:3000",
  ]) {
    assert.equal(isLocal(host), true, host);
  }
  for (const host of [
    undefined,
    "",
    "localhost.example",
    "notlocalhost",
    "10.0.0.1",
    "::2",
    "[::12]",
    "example.com:127",
    "1127.0.0.1",
  ]) {
    assert.equal(isLocal(host), false, host);
  }
});

test("a Secure cookie on plain http gives one warning a process, with a code", async () => {
  const codes: unknown[] = [];
  const onWarning = (warning: Error & { code?: string }) => void codes.push(warning.code);
  process.on("warning", onWarning);
  warnOfInsecureRequest("a=b; Path=/", () => false);
  warnOfInsecureRequest("secure=b; Path=/secure", () => false);
  warnOfInsecureRequest("a=b; Secure; Path=/", () => true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(codes, []);
  warnOfInsecureRequest("a=b; Path=/; Secure", () => false);
  warnOfInsecureRequest("a=b; Path=/; Secure", () => false);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", onWarning);
  assert.deepEqual(codes, ["STORED_SESSION_INSECURE_REQUEST"]);
});
