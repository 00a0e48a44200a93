/** Many requests that change one session of a drop-in store at once: they save through the same engine as our own. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, test } from "vitest";
import {
  StoredSessionStore,
  type StoredSessionStoreOptions,
} from "../../src/adapters/drop-in/express-session.ts";
import { memoryStore, SessionBusyError, SessionEndedError, StoreUnavailableError } from "../../src/index.ts";
import { around, Gate, testKeys } from "../session/doubles.ts";
import { eachStore } from "../session/stores.ts";

type Values = Record<string, any>;

const day = 86_400_000;
const cookie = () => ({ originalMaxAge: day, expires: new Date(Date.now() + day) });
const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** A store, a gate, and the statements that reach the database. */
function watched(options: Partial<StoredSessionStoreOptions> = {}) {
  const gate = new Gate();
  const statements: string[] = [];
  const below = around(gate.over(options.store ?? memoryStore()), (operation, call) => {
    statements.push(operation);
    return call();
  });
  return { store: new StoredSessionStore({ keys: testKeys, ...options, store: below }), gate, statements };
}

/** One request is held at its write, while others change the session. Answers how each of the others ended. */
async function whileOneWrites(
  { store, gate, statements }: ReturnType<typeof watched>,
  changes: readonly ((session: Values) => void)[],
): Promise<PromiseSettledResult<void>[]> {
  const one: Values = await store.get("id");
  const others: Values[] = await Promise.all(changes.map(() => store.get("id")));
  one["one"] = 1;
  gate.stop("update", "sent");
  const first = store.set("id", one);
  await gate.reached;
  const all = Promise.allSettled(
    others.map((session, at) => {
      changes[at]!(session);
      return store.set("id", session);
    }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  statements.length = 0;
  gate.open();
  await first;
  return all;
}

const failures = (results: readonly PromiseSettledResult<void>[]): unknown[] =>
  results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));

eachStore((name, create) => {
  test(`R39, promise 2 on ${name}: 500 requests change a key each → all are kept, in few statements`, async () => {
    const held = await create();
    const all = watched({ store: held.store, maxBytes: 100_000 });
    await all.store.set("id", { cookie: cookie() });
    const results = await whileOneWrites(
      all,
      range(500).map((at) => (session) => void (session[`key ${at}`] = at)),
    );
    assert.deepEqual(failures(results), []);
    const { cookie: _cookie, ...data } = await all.store.get("id");
    assert.equal(Object.keys(data).length, 501);
    const updates = all.statements.filter((operation) => operation === "update").length;
    assert.ok(updates < 50, `${updates} updates`);
    await held.drop();
  });
});

describe("R39, promise 2: a hot session of a drop-in store", () => {
  test("a saved session is saved again → what others wrote with it stays", async () => {
    const all = watched();
    await all.store.set("id", { cookie: cookie(), n: 0 });
    const kept: Values[] = [];
    await whileOneWrites(
      all,
      range(3).map((at) => (session) => {
        session[`key ${at}`] = 1;
        kept.push(session);
      }),
    );
    const later: Values = await all.store.get("id");
    await all.store.set("id", Object.assign(later, { "key 0": 2, "key 2": 2 }));
    // What they saved before is no change of theirs any more.
    for (const session of kept) await all.store.set("id", Object.assign(session, { n: session["n"] + 1 }));
    const { cookie: _cookie, ...data } = await all.store.get("id");
    assert.deepEqual(data, { n: 1, one: 1, "key 0": 2, "key 1": 1, "key 2": 2 });
  });

  test("one of them makes the cookie longer → the session ends when that one does", async () => {
    const all = watched();
    await all.store.set("id", { cookie: cookie() });
    const results = await whileOneWrites(all, [
      (session) => void (session["a"] = 1),
      (session) => {
        session["b"] = 1;
        session["cookie"] = { originalMaxAge: 9 * day, expires: new Date(Date.now() + 9 * day) };
      },
      (session) => void (session["c"] = 1),
    ]);
    assert.deepEqual(failures(results), []);
    const { cookie: after, ...data } = await all.store.get("id");
    assert.deepEqual(data, { one: 1, a: 1, b: 1, c: 1 });
    assert.equal(after.originalMaxAge, 9 * day);
    assert.ok(after.expires.getTime() > Date.now() + 8 * day);
  });

  test("R42: a user logs in between them → nobody's change meets the user's session", async () => {
    const all = watched({ userOf: (data) => data["user"] as string | undefined });
    await all.store.set("id", { cookie: cookie() });
    const results = await whileOneWrites(all, [
      (session) => void (session["before"] = 1),
      (session) => void (session["user"] = "ada"),
      (session) => void (session["after"] = 1),
      (session) => void (session["user"] = "bob"),
    ]);
    assert.deepEqual(failures(results), []);
    const { cookie: _cookie, ...data } = await all.store.get("id");
    assert.equal(data["user"], "bob");
    assert.deepEqual(data, { user: "bob" });
    assert.equal((await all.store.sessions.forUser("ada").list()).length, 0);
  });

  test("promise 3: the session is destroyed meanwhile → it stays ended", async () => {
    const all = watched();
    await all.store.set("id", { cookie: cookie() });
    const [one, two, three]: Values[] = await Promise.all(range(3).map(() => all.store.get("id")));
    all.gate.stop("update", "sent");
    const first = all.store.set("id", Object.assign(one!, { one: 1 }));
    await all.gate.reached;
    const rest = [two!, three!].map((session, at) => all.store.set("id", Object.assign(session, { at })));
    const end = all.store.destroy("id");
    all.gate.open();
    await Promise.all([first, ...rest, end]);
    assert.equal(await all.store.get("id"), null);
  });

  test("a hook throws for one of them → that one's error, the others are kept", async () => {
    const all = watched({
      onConflict: ({ key, mine }) => {
        if (key === "bad") throw new RangeError("bad");
        return mine;
      },
    });
    await all.store.set("id", { cookie: cookie(), bad: 0 });
    const results = await whileOneWrites(all, [
      (session) => void (session["a"] = 1),
      (session) => void (session["bad"] = 1),
      (session) => void (session["bad"] = 2),
      (session) => void (session["c"] = 1),
    ]);
    assert.deepEqual(
      failures(results).map((error) => (error as Error).message),
      ["bad"],
    );
    const { cookie: _cookie, ...data } = await all.store.get("id");
    assert.deepEqual(data, { bad: 1, one: 1, a: 1, c: 1 });
  });

  test("hooks of several requests → each runs in the async context of its own request", async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: string[] = [];
    const all = watched({
      onConflict: ({ mine }) => {
        seen.push(`${context.getStore()}: ${mine}`);
        return mine;
      },
    });
    await all.store.set("id", { cookie: cookie() });
    const one: Values = await all.store.get("id");
    const others: Values[] = await Promise.all(range(3).map(() => all.store.get("id")));
    all.gate.stop("update", "sent");
    const first = all.store.set("id", Object.assign(one, { n: "first" }));
    await all.gate.reached;
    const rest = others.map((session, at) =>
      context.run(`request ${at}`, () => all.store.set("id", Object.assign(session, { n: `of ${at}` }))),
    );
    all.gate.open();
    await Promise.all([first, ...rest]);
    assert.deepEqual(
      seen.filter((line, at) => seen.indexOf(line) === at),
      ["request 0: of 0", "request 1: of 1", "request 2: of 2"],
    );
  });

  test("the answer to the joint write is lost → each of them is told, and none thinks that it saved", async () => {
    const all = watched();
    await all.store.set("id", { cookie: cookie() });
    const [one, ...others]: Values[] = await Promise.all(range(4).map(() => all.store.get("id")));
    all.gate.stop("update", "sent");
    const first = all.store.set("id", Object.assign(one!, { one: 1 }));
    await all.gate.reached;
    const rest = Promise.allSettled(
      others.map((session, at) => all.store.set("id", Object.assign(session, { [`key ${at}`]: 1 }))),
    );
    all.gate.open();
    // The first write was passed on; the next is the joint one, after one that does not match.
    all.gate.stop("update 1", "lost");
    await first;
    const errors = failures(await rest);
    assert.equal(errors.length, 3);
    for (const error of errors)
      assert.ok(error instanceof StoreUnavailableError && error.outcome === "unknown");
    await Promise.all(others.map((session) => all.store.set("id", session))); // once more
    const { cookie: _cookie, ...data } = await all.store.get("id");
    assert.deepEqual(data, { one: 1, "key 0": 1, "key 1": 1, "key 2": 1 });
  });

  test("each change that others wrote → one conflict event", async () => {
    const all = watched();
    await all.store.set("id", { cookie: cookie() });
    const events: Values[] = [];
    const listener = (event: unknown) => void events.push(event as Values);
    subscribe("stored-session.conflict", listener);
    await whileOneWrites(
      all,
      range(3).map((at) => (session) => void (session[`key ${at}`] = 1)),
    );
    unsubscribe("stored-session.conflict", listener);
    assert.deepEqual(
      events.map(({ outcome }) => outcome as string),
      ["merged", "merged", "merged"],
    );
  });

  test("promise 10: more than 4,096 wait → the next is told that the session is busy, the others are kept", async () => {
    const all = watched({ maxBytes: 1_000_000 });
    await all.store.set("id", { cookie: cookie() });
    const results = await whileOneWrites(
      all,
      range(4_097).map((at) => (session) => void (session[`k${at}`] = 1)),
    );
    const errors = failures(results);
    assert.equal(errors.length, 1);
    assert.ok(errors[0] instanceof SessionBusyError);
    assert.ok(!(errors[0] instanceof SessionEndedError));
    const { cookie: _cookie, ...data } = await all.store.get("id");
    assert.equal(Object.keys(data).length, 4_097);
  });
});
