import assert from "node:assert/strict";
import { test } from "vitest";
import { storedSessionStorage } from "../../src/adapters/better-auth.ts";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import {
  createSessionManager,
  generateKey,
  memoryStore,
  OptionsError,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { settingsOf } from "../../src/manager.ts";
import { policyOf } from "../../src/device-binding/policy.ts";
import { railsFormat } from "../../src/rails/format.ts";

const base = { store: memoryStore(), keys: generateKey() };
const manage = (deviceBinding: unknown, more: Partial<SessionManagerOptions> = {}) =>
  createSessionManager({ ...base, ...more, deviceBinding } as never);

type Wrong = [what: string, deviceBinding: unknown, message: RegExp, more?: object];

const wrong: readonly Wrong[] = [
  ["null", null, /`deviceBinding` must be an object, such as \{ mode: "offer" \}/],
  ["true", true, /`deviceBinding` must be an object/],
  ["no mode", {}, /`deviceBinding\.mode` is undefined: use "offer" or "require"/],
  ["another mode", { mode: "on" }, /`deviceBinding\.mode` is "on": use "offer" or "require"/],
  [
    "a misspelled option",
    { mode: "offer", lifetime: 1 },
    /`deviceBinding\.lifetime` is not an option\. Valid options: mode, /,
  ],
  [
    "a lifetime that is none",
    { mode: "offer", cookieLifetime: "soon" },
    /`deviceBinding\.cookieLifetime` must be a duration/,
  ],
  [
    "a lifetime below a second",
    { mode: "offer", cookieLifetime: 999 },
    /`deviceBinding\.cookieLifetime` must be a duration from 1000 ms to 1 day/,
  ],
  [
    "a lifetime of days",
    { mode: "offer", cookieLifetime: "2 days" },
    /`deviceBinding\.cookieLifetime` must be/,
  ],
  ["a negative lifetime", { mode: "offer", cookieLifetime: -1 }, /`deviceBinding\.cookieLifetime` must be/],
  [
    "a grace period of days",
    { mode: "require", gracePeriod: "25 h" },
    /`deviceBinding\.gracePeriod` must be a duration from 10000 ms to 1 day/,
  ],
  [
    "a grace period that is none",
    { mode: "require", gracePeriod: {} },
    /`deviceBinding\.gracePeriod` must be/,
  ],
  [
    "a grace period that ends before browsers can bind",
    { mode: "require", gracePeriod: 0 },
    /`deviceBinding\.gracePeriod` must be a duration from 10000 ms to 1 day/,
  ],
  ["a grace period below the least", { mode: "require", gracePeriod: 9_999 }, /\.gracePeriod` must be/],
  ...["/a/../b", "/.", "/a/.", "/..", "/a/./b"].map((path): Wrong => [
    `the path ${path}, which browsers change`,
    { mode: "offer", path },
    /`deviceBinding\.path` .*no segment \. or \.\./,
  ]),
  ...["/app", "/.well-known/stored-session/x", "/.well-known/stored", "/.well-known/stored-session/"].map(
    (path): Wrong => [
      `a session cookie of the path ${path}, which the endpoint does not get`,
      { mode: "offer" },
      /`deviceBinding\.path` .*`cookie\.path`/,
      { cookie: { name: "sid", path } },
    ],
  ),
  ["a path without /", { mode: "offer", path: "device" }, /`deviceBinding\.path` must begin with one \//],
  [
    "a path that ends the header's string",
    { mode: "offer", path: '/a";challenge="b' },
    /`deviceBinding\.path` must begin/,
  ],
  ["a path with a query", { mode: "offer", path: "/a?b" }, /`deviceBinding\.path` must begin/],
  ["a path of another host", { mode: "offer", path: "//evil.example/x" }, /`deviceBinding\.path` must begin/],
  ["an endless path", { mode: "offer", path: `/${"a".repeat(256)}` }, /`deviceBinding\.path` must begin/],
  ["a path that is a number", { mode: "offer", path: 1 }, /`deviceBinding\.path` must begin/],
  [
    "a hook that is none",
    { mode: "require", onUnbound: "x" },
    /`deviceBinding\.onUnbound` must be a function/,
  ],
  ["a hook in mode offer", { mode: "offer", onUnbound() {} }, /called only with mode "require"/],
  ["no HTTPS", { mode: "offer" }, /requires HTTPS/, { cookie: { secure: false } }],
  [
    "cookies of a domain",
    { mode: "offer" },
    /sessions of one host/,
    { cookie: { name: "s", domain: "example.com" } },
  ],
];

test.each(wrong)(
  "deviceBinding: %s → an OptionsError that says what to do",
  (_what, given, message, more) => {
    assert.throws(
      () => manage(given, more),
      (error: Error) => error instanceof OptionsError && message.test(error.message),
    );
  },
);

test("deviceBinding: several wrong options → all in one error", () => {
  assert.throws(
    () => manage({ mode: 1, path: "x", cookieLifetime: 0 }),
    ({ message }: Error) => [/\.mode/, /\.path/, /\.cookieLifetime/].every((part) => part.test(message)),
  );
});

test("deviceBinding: the widest values → accepted; undefined is off", () => {
  for (const given of [
    { mode: "offer", cookieLifetime: "1 day", path: "/~a-b_c.d/e" },
    { mode: "require", cookieLifetime: 1_000, gracePeriod: 10_000, onUnbound() {} },
    { mode: "require", gracePeriod: "24 h" },
    { mode: "offer", path: "/..a/.b/c./..." },
  ])
    assert.ok(policyOf(settingsOf(manage(given) as never)) !== null);
  assert.equal(policyOf(settingsOf(manage(undefined) as never)), null);
  assert.throws(() => manage({ mode: "offer" }, { cookie: { path: 1 } } as never), OptionsError);
});

test("deviceBinding: a session cookie whose path covers the endpoint → accepted", () => {
  for (const [cookiePath, path] of [
    ["/app", "/app/device"],
    ["/app/", "/app/device"],
    ["/app", "/app"],
    ["/", "/device"],
  ] as const)
    assert.ok(manage({ mode: "offer", path }, { cookie: { name: "sid", path: cookiePath } }));
});

test("deviceBinding: the device cookie → __Host-, HttpOnly, Secure, of this host only, whatever the session cookie is", () => {
  for (const cookie of [
    {},
    { name: "sid" },
    { name: "__Secure-sid", path: "/app" },
    { name: "__Host-Http-sid" },
    { sameSite: "none", partitioned: true },
  ] as NonNullable<SessionManagerOptions["cookie"]>[]) {
    const policy = policyOf(settingsOf(manage({ mode: "offer", path: "/app/device" }, { cookie }) as never))!;
    const [first = "", ...attributes] = policy.prove({ id: new Uint8Array(16) } as never).split("; ");
    assert.match(first, /^__Host-[a-z]+-device=[\w-]{40}$/);
    for (const attribute of ["Path=/", "HttpOnly", "Secure"]) assert.ok(attributes.includes(attribute));
    assert.ok(!attributes.some((attribute) => attribute.startsWith("Domain")));
  }
});

test("deviceBinding with a drop-in store, better-auth or Rails mode → an error that names the reason; undefined is fine", () => {
  const deviceBinding = { mode: "offer" };
  for (const Store of [StoredSessionStore, StoredSessionKoaStore]) {
    assert.throws(
      () => new Store({ ...base, deviceBinding } as never),
      /`deviceBinding` does not work with a drop-in store/,
    );
    assert.ok(new Store({ ...base, deviceBinding: undefined } as never));
  }
  const format = railsFormat({
    primaryKey: "EGY8WhulUOXixybod7ZWwMIL68R9o5kC",
    keyDerivationSalt: "xEY0dt6TZcAMg52K7O84wYzkjvbA62Hz",
    hashDigestClass: "SHA256",
  });
  assert.throws(
    () => createSessionManager({ store: memoryStore(), format, deviceBinding } as never),
    (error: Error) =>
      error instanceof OptionsError &&
      /cannot be combined with `format`, such as Rails mode/.test(error.message),
  );
  assert.throws(
    () => storedSessionStorage(manage(deviceBinding)),
    (error: Error) => error instanceof TypeError && /does not work with `deviceBinding`/.test(error.message),
  );
});
