import assert from "node:assert/strict";
import { test } from "vitest";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";

test("promise 1, R35: 100,000 requests without a cookie and 100,000 with forged ones → 0 statements, 0 cookies", async () => {
  const watched = new WatchedStore(memoryStore());
  const keys = [generateKey(), generateKey()];
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys });
  const one = await sessions.load(null);
  one.data.n = 1;
  const genuine = (await sessions.commit(one))!.split(";")[0]!;
  watched.calls.length = 0;
  const token = genuine.slice(genuine.indexOf("=") + 1);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  let cookies = 0;
  for (let n = 0; n < 100_000; n++) {
    const session = await sessions.load(n % 2 === 0 ? undefined : `theme=dark; other=${token}`);
    void session.data;
    if ((await sessions.commit(session)) !== null) cookies++;

    // one character of a genuine token changed, at every place and to every other character in turn
    const at = n % 64;
    const other = alphabet[(alphabet.indexOf(token[at]!) + 1 + (Math.floor(n / 64) % 63)) % 64]!;
    const forged = await sessions.load(`__Host-session=${token.slice(0, at)}${other}${token.slice(at + 1)}`);
    assert.equal(forged.isNew, true);
    if ((await sessions.commit(forged)) !== null) cookies++;
  }
  assert.equal(cookies, 0);
  assert.deepEqual(watched.calls, []);
  await sessions.load(genuine);
  assert.deepEqual(watched.calls, ["read"], "the genuine one is read");
});
