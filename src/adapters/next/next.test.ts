import assert from "node:assert/strict";
import { test } from "vitest";
import { createSessionManager, generateKey, memoryStore } from "../../index.ts";
import { nextSessions, redirectTo } from "../next.ts";
import { controlFlowOf } from "./control-flow.ts";

test("Next.js: a manager in place of the function that creates it → a TypeError says what to write", () => {
  const manager = createSessionManager({ store: memoryStore(), keys: generateKey() });
  assert.throws(() => nextSessions(manager as never), /nextSessions\(\(\) => createSessionManager/);
});

test("Next.js: the function returns something else than a manager → a TypeError at the first use", () => {
  const sessions = nextSessions(() => ({}) as never, { name: "no manager" });
  assert.throws(() => sessions.manager, { name: "TypeError", message: /createSessionManager/ });
});

test("Next.js: close → the next use creates another manager", async () => {
  let created = 0;
  const sessions = nextSessions(
    () => {
      created++;
      return createSessionManager({ store: memoryStore(), keys: generateKey() });
    },
    { name: "closed" },
  );
  await sessions.close();
  assert.equal(created, 0);
  const first = sessions.manager;
  assert.equal(sessions.manager, first);
  await sessions.close();
  await assert.rejects(first.count(), { code: "ERR_STORED_SESSION_CLOSED" });
  assert.equal(await sessions.manager.count(), 0);
  assert.equal(created, 2);
  await sessions.close();
});

test("Next.js: redirectTo → a relative location; another site's is refused", () => {
  const { status, headers } = redirectTo("/account?tab=1");
  assert.deepEqual([status, headers.get("location")], [303, "/account?tab=1"]);
  assert.equal(redirectTo("/", 308).status, 308);
  assert.equal(redirectTo("/Straße#ö").headers.get("location"), "/Stra%C3%9Fe#%C3%B6");
  // Browsers drop tabs and line breaks, and resolve dots.
  const dropped = ["/\t/evil.example", "/\n/evil.example", "/\r\\evil.example", "/.//evil.example"];
  for (const path of [...dropped, "//evil.example", "/\\evil.example", "https://evil.example", "account", ""])
    assert.throws(() => redirectTo(path), TypeError, JSON.stringify(path));
});

test("Next.js: errors of next/navigation → told apart from others", () => {
  const digest = (text: string) => controlFlowOf(Object.assign(new Error(text), { digest: text }));
  assert.deepEqual(digest("NEXT_REDIRECT;push;/a;b?c=1;2;307;"), {
    kind: "redirect",
    location: "/a;b?c=1;2",
    status: 307,
  });
  assert.deepEqual(digest("NEXT_HTTP_ERROR_FALLBACK;403"), { kind: "status", status: 403 });
  for (const other of ["DYNAMIC_SERVER_USAGE", "12345"]) assert.equal(digest(other), null);
  for (const other of [undefined, null, "NEXT_REDIRECT", {}]) assert.equal(controlFlowOf(other), null);
});
