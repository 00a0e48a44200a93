import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "vitest";
import { createSessionManager, memoryStore } from "../../src/index.ts";
import { counted, testKeys } from "./doubles.ts";

const requests = 100_000;

test(`promise 1, R35: ${requests} requests without a cookie → no statement`, async () => {
  const { store, total } = counted(memoryStore());
  const sessions = createSessionManager({ store, keys: testKeys });
  for (let i = 0; i < requests; i++) {
    const session = await sessions.load(i % 2 === 0 ? undefined : "theme=dark; lang=en");
    void session.data;
    assert.equal(await sessions.commit(session), null);
  }
  assert.equal(total(), 0);
}, 120_000);

test(`promise 1, R3, R9: ${requests} requests with forged cookies → no statement`, async () => {
  const { store, total } = counted(memoryStore());
  const sessions = createSessionManager({ store, keys: testKeys });
  for (let i = 0; i < requests; i++) {
    const bytes = randomBytes(48);
    bytes[0] = 1;
    const session = await sessions.load(`__Host-session=${bytes.toString("base64url")}`);
    assert.equal(await sessions.commit(session), null);
  }
  assert.equal(total(), 0);
}, 120_000);
