import assert from "node:assert/strict";
import { test } from "vitest";
import { generateKey } from "../sealing/keyring.ts";
import { memoryStore } from "../store/memory.ts";
import { fakeClock, type FakeClock } from "../testing/clock.ts";
import { WatchedStore } from "../testing/watched-store.ts";
import { createSessionManager } from "../manager.ts";
import { stateOf, type Session } from "./session.ts";
import { settledWithoutStore } from "./settled.ts";

type Data = Record<string, unknown>;
type Options = Partial<Parameters<typeof createSessionManager<Data>>[0]>;

interface Request {
  readonly session: Session<Data>;
  readonly clock: FakeClock;
}

interface Case {
  readonly options?: Options;
  /** Of the manager that stored the session, where it differs. */
  readonly stored?: Options;
  readonly anonymous?: true;
  readonly request?: (request: Request) => unknown;
}

const oldKey = generateKey();
const newKey = generateKey();
const minute = 60_000;

/** One request: loaded, used, and asked whether it is settled; then committed, and what that did. */
async function serve({ options, stored, anonymous, request }: Case) {
  const clock = fakeClock();
  const watched = new WatchedStore(memoryStore());
  const common = { store: watched.store, keys: oldKey, clock: clock.now, ...options };
  const before = createSessionManager<Data>({ ...common, ...stored });
  const visitor = await before.load(null);
  visitor.data = { n: 1, cart: [{ sku: "tea" }], user: "ann" };
  visitor.flash("notice", "hello");
  const cookie = (await before.commit(visitor))!.split(";")[0]!;
  const sessions = createSessionManager<Data>(common);
  const session = await sessions.load(anonymous ? null : cookie);
  await request?.({ session, clock });
  watched.calls.length = 0;
  const settled = settledWithoutStore(stateOf(session as Session<never>));
  const asked = [...watched.calls];
  const setCookie = await sessions.commit(session).catch((error: Error) => error.name);
  return { settled, asked, did: { calls: watched.calls, setCookie } };
}

const generous = {
  "~standard": { version: 1, vendor: "test", validate: (value: Data) => ({ value: { n: 0, ...value } }) },
};

const settled: Record<string, Case> = {
  "not looked at": {},
  "only read": { request: ({ session }) => session.data["n"] },
  "changed and changed back": {
    request: ({ session }) => {
      session.data["n"] = 2;
      session.data["n"] = 1;
    },
  },
  "read just before its touch is due": {
    options: { touchEvery: minute },
    request: ({ session, clock }) => {
      void session.data;
      clock.advance(minute - 1);
    },
  },
  "rolling, not due": { options: { cookie: { rolling: true } }, request: ({ session }) => session.user },
  "of nobody, and read": { anonymous: true, request: ({ session }) => session.data["n"] },
  "of nobody, with a schema that would give it data": {
    options: { schema: generous as never },
    anonymous: true,
    request: ({ session }) => session.data["n"],
  },
  "with userOf, not looked at": { options: { userOf: () => "bob" } },
};

for (const [name, example] of Object.entries(settled)) {
  test(`settled: a session that is ${name} → true, and its commit does nothing`, async () => {
    const answer = await serve(example);
    assert.deepEqual(answer, { settled: true, asked: [], did: { calls: [], setCookie: null } });
  });
}

const unsettled: Record<string, Case> = {
  "changed deep inside": {
    request: ({ session }) => ((session.data["cart"] as { sku: string }[])[0]!.sku = "cup"),
  },
  "changed in the order of its keys": {
    request: ({ session }) => {
      const { n, ...others } = session.data;
      session.data = { ...others, n };
    },
  },
  "given data by nobody": { anonymous: true, request: ({ session }) => (session.data["n"] = 1) },
  "given a flash": { anonymous: true, request: ({ session }) => session.flash("notice", 1) },
  "robbed of a flash": { request: ({ session }) => session.takeFlash("notice") },
  "logged in": { request: ({ session }) => session.login("42") },
  "given a new id": { request: ({ session }) => session.regenerate() },
  reset: { request: ({ session }) => session.reset() },
  destroyed: { request: ({ session }) => session.destroy() },
  "not storable any more": { request: ({ session }) => (session.data["bad"] = () => 1) },
  "due for a touch": {
    options: { touchEvery: minute },
    request: ({ clock }) => clock.advance(minute),
  },
  "due for its rolling cookie": {
    options: { touchEvery: minute, cookie: { rolling: true } },
    request: ({ clock }) => clock.advance(minute),
  },
  "known by a cookie of an older key (promise 9)": {
    options: { keys: [newKey, oldKey] },
    stored: { keys: oldKey },
  },
  "of a user whom a hook names": {
    options: { userOf: (data: Data) => String(data["user"]) },
    stored: { userOf: () => undefined },
    request: ({ session }) => session.data,
  },
  "of a user hook that throws": {
    options: {
      userOf: () => {
        throw new TypeError("no user");
      },
    },
    stored: { userOf: () => undefined },
    request: ({ session }) => session.data,
  },
};

for (const [name, example] of Object.entries(unsettled)) {
  test(`settled: a session that is ${name} → false, and its commit does something (promise 4)`, async () => {
    const { settled: answer, asked, did } = await serve(example);
    assert.equal(answer, false);
    assert.deepEqual(asked, []);
    assert.notDeepEqual(did, { calls: [], setCookie: null });
  });
}

test("settled: a clean commit still owes its cookie, or the session has ended → false", async () => {
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: oldKey });
  const session = await sessions.load(null);
  session.data["n"] = 1;
  await sessions.commit(session);
  assert.equal(settledWithoutStore(stateOf(session as Session<never>)), false);
  session.destroy();
  await sessions.commit(session);
  assert.equal(settledWithoutStore(stateOf(session as Session<never>)), false);
});

test("settled: the absolute limit passes during the request, and no touch is due → false (promise 5)", async () => {
  const clock = fakeClock();
  const watched = new WatchedStore(memoryStore());
  const limits = { absoluteTimeout: "10 min", touchEvery: "5 min" } as const;
  const sessions = createSessionManager<Data>({
    store: watched.store,
    keys: oldKey,
    clock: clock.now,
    ...limits,
  });
  const first = await sessions.load(null);
  first.data["n"] = 1;
  const cookie = (await sessions.commit(first))!.split(";")[0]!;
  clock.advance(9 * minute);
  const second = await sessions.load(cookie);
  second.data["n"] = 2;
  await sessions.commit(second);
  const third = await sessions.load(cookie);
  assert.equal(third.data["n"], 2);
  clock.advance(minute - 1);
  assert.equal(settledWithoutStore(stateOf(third as Session<never>)), true);
  clock.advance(1);
  assert.equal(settledWithoutStore(stateOf(third as Session<never>)), false);
});
