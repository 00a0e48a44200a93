import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "vitest";
import {
  SessionEndedError,
  StoreUnavailableError,
  type Session,
  type SessionManager,
} from "../../src/index.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import { commitForResponse } from "../../src/manager.ts";
import { around, cookieOf, Gate, testRing, type Fate } from "./doubles.ts";
import { eachStoreAndBinding, type Making, type TestStore } from "./stores.ts";

// What the application does with a session while a commit or an update of it is under way ends as if it had come after
// that. The table: everything that can be under way, stopped where it waits, times everything that can be done to a
// session, times what becomes of the write.

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;
const minute = 60_000;

/** What a request holds in its hands, and whether the session lives on. */
interface Held {
  readonly alive: boolean;
  readonly user: string | undefined;
  readonly data: Data;
}

interface Act {
  readonly act: (session: Session<Data>) => void;
  /** @param unseen what the request did not know when it acted: keys of another request, or of an update under way */
  readonly after: (held: Held, unseen: Data) => Held;
  readonly newId?: boolean;
  /** Unless given, where there is to be a new id. */
  readonly asks?: boolean;
}

const login = (user: string): Act => ({
  act: (session) => session.login(user),
  after: (held) => {
    const keeps = held.user === undefined || held.user === user;
    return { alive: true, user, data: keeps ? held.data : {} };
  },
  newId: true,
});

const acts: Record<string, Act> = {
  nothing: { act: () => {}, after: (held) => held },
  "a change": {
    act: (session) => (session.data["x"] = 1),
    after: (held) => ({ ...held, data: { ...held.data, x: 1 } }),
  },
  "other data": {
    act: (session) => (session.data = { y: 2 }),
    after: (held, unseen) => ({ ...held, data: { ...unseen, y: 2 } }),
  },
  "login as 7": login("7"),
  "login as 42": login("42"),
  regenerate: { act: (session) => session.regenerate(), after: (held) => held, newId: true },
  reset: {
    act: (session) => (session.reset(), (session.data["fresh"] = 1)),
    after: () => ({ alive: true, user: undefined, data: { fresh: 1 } }),
    newId: true,
  },
  destroy: {
    act: (session) => session.destroy(),
    asks: true,
    after: () => ({ alive: false, user: undefined, data: {} }),
  },
};

interface UnderWay {
  /** The store's operation, or the hook, at which it is stopped. */
  readonly at: string;
  /** A session that the store does not have yet. */
  readonly fresh?: true;
  /** What the application did before. */
  readonly prepare?: (session: Session<Data>) => void;
  /** `sessions.update`; otherwise it is a commit. */
  readonly update?: true;
  /** What another request does meanwhile, before this one writes. */
  readonly other?: "saves" | "ends";
  readonly options?: Partial<SessionManagerOptions<Data>>;
  /** The session's limit passes before. */
  readonly late?: "and was moved" | "and it is over";
  /** The first try was lost, and this is the second. */
  readonly lost?: "insert" | "replace";
  /** A hook throws. */
  readonly throws?: true;
  /** What there is when it is done. */
  readonly after: (held: Held, isRepeated: boolean) => Held;
  readonly unseen?: Data;
  /** Whether a destroy has a cookie to clear; unless given, where the session lives on. */
  readonly clears?: boolean;
  readonly fates?: readonly Fate[];
}

const five = (session: Session<Data>) => void (session.data["n"] = 5);
const saved = (held: Held): Held => ({ ...held, data: { ...held.data, n: 5 } });
const counted = (held: Held): Held => ({ ...held, data: { ...held.data, hits: 1 } });
const ended = (held: Held): Held => ({ ...held, alive: false });
/** What was loaded ended with the session, so that a login does not bring it back (promise 3). */
const endedUnchanged = (held: Held): Held => ({ ...held, alive: false, data: {} });
const withTheirs = (held: Held): Held => ({ ...held, data: { ...held.data, theirs: 1 } });

const logIn: Pick<UnderWay, "prepare" | "after"> = {
  prepare: (session) => (session.login("42"), five(session)),
  after: (held) => saved({ ...held, user: "42" }),
};
const reset: Pick<UnderWay, "prepare" | "after"> = {
  prepare: (session) => (session.reset(), five(session)),
  after: () => ({ alive: true, user: undefined, data: { n: 5 } }),
};
const regenerate: Pick<UnderWay, "prepare" | "after"> = {
  prepare: (session) => (session.regenerate(), five(session)),
  after: saved,
};

const underWay: Record<string, UnderWay> = {
  "a save": { at: "update", prepare: five, after: saved },
  "a save that met another": {
    at: "read",
    other: "saves",
    prepare: five,
    after: (held) => saved(withTheirs(held)),
    unseen: { theirs: 1 },
  },
  "a save, its second try": {
    at: "update 2",
    other: "saves",
    prepare: five,
    after: (held) => saved(withTheirs(held)),
  },
  "a save of what has ended": {
    at: "update",
    other: "ends",
    prepare: five,
    after: (held) => ended(saved(held)),
  },
  "a save that finds the end": {
    at: "read",
    other: "ends",
    prepare: five,
    after: (held) => ended(saved(held)),
  },
  "a first save": { at: "insert", fresh: true, prepare: five, after: saved },
  "a login": { at: "replace", ...logIn },
  "a login that met another": {
    at: "read",
    other: "saves",
    ...logIn,
    after: (held) => withTheirs(logIn.after(held, false)),
    unseen: { theirs: 1 },
  },
  "a login whose session has ended": { at: "insert", other: "ends", ...logIn },
  "a regenerate": { at: "replace", ...regenerate },
  "a regenerate that met another": {
    at: "read",
    other: "saves",
    ...regenerate,
    after: (held) => saved(withTheirs(held)),
    unseen: { theirs: 1 },
  },
  "a regenerate of what has ended": {
    at: "read",
    other: "ends",
    ...regenerate,
    after: (held) => ended(saved(held)),
  },
  "a reset": { at: "replace", ...reset },
  "a reset that met another": { at: "read", other: "saves", ...reset },
  "a destroy": {
    at: "delete",
    prepare: (session) => session.destroy(),
    after: () => ({ alive: false, user: undefined, data: {} }),
    clears: true,
  },
  "a renewal": {
    at: "update",
    options: { cookie: { rolling: true }, touchEvery: 0 },
    prepare: (session) => void session.data,
    after: (held) => held,
  },
  "an update": { at: "update", update: true, after: counted, unseen: { hits: 1 } },
  "an update that met another": {
    at: "read",
    other: "saves",
    update: true,
    after: (held) => counted(withTheirs(held)),
    unseen: { hits: 1, theirs: 1 },
  },
  "an update of what has ended": { at: "update", other: "ends", update: true, after: endedUnchanged },
  "an update that finds the end": { at: "read", other: "ends", update: true, after: endedUnchanged },
  "the update of a new session": {
    at: "insert",
    fresh: true,
    update: true,
    after: counted,
    unseen: { hits: 1 },
  },
  "the validation of a save": { at: "validate", prepare: five, after: saved },
  "the validation of a first save": {
    at: "validate",
    fresh: true,
    prepare: five,
    after: saved,
    clears: false,
  },
  "the validation of a regenerate": { at: "validate", ...regenerate },
  "the validation of a save, which fails": {
    at: "validate",
    prepare: five,
    after: saved,
    fates: ["failed"],
  },
  "the validation of a regenerate, which fails": {
    at: "validate",
    ...regenerate,
    after: (held, isRepeated) => (isRepeated ? saved(held) : ended(saved(held))),
    fates: ["failed"],
  },
  "the validation of a save that met another": {
    at: "validate 2",
    other: "saves",
    prepare: five,
    after: (held) => saved(withTheirs(held)),
    unseen: { theirs: 1 },
  },
  "the validation of a save's second try": {
    at: "validate 3",
    other: "saves",
    prepare: five,
    after: (held) => saved(withTheirs(held)),
  },
  "the validation of an update": { at: "validate", update: true, after: counted, unseen: { hits: 1 } },
  "the look at a limit that was moved": {
    at: "read",
    late: "and was moved",
    prepare: five,
    after: saved,
  },
  "the look at a limit that has passed": {
    at: "read",
    late: "and it is over",
    prepare: five,
    after: (held) => ended(saved(held)),
  },
  "an update's look at a limit that was moved": {
    at: "read",
    late: "and was moved",
    update: true,
    after: counted,
    unseen: { hits: 1 },
  },
  "an update's look at a limit that has passed": {
    at: "read",
    late: "and it is over",
    update: true,
    after: endedUnchanged,
  },
  "the search for a first save that was lost": {
    at: "read",
    lost: "insert",
    fresh: true,
    prepare: five,
    after: saved,
  },
  "the search for the lost update of a new session": {
    at: "read",
    lost: "insert",
    fresh: true,
    update: true,
    after: counted,
    unseen: { hits: 1 },
  },
  "the search for a login that was lost": { at: "read", lost: "replace", ...logIn },
  "the end of a session whose hook threw": {
    at: "delete",
    throws: true,
    ...regenerate,
    after: (held) => ended(saved(held)),
    fates: ["sent", "answered"],
  },
};

/** Writes that nobody was faster than: their answer can be lost. */
function fatesOf({ at, other, fates }: UnderWay): readonly Fate[] {
  const isWrite = ["update", "insert", "replace", "delete"].includes(at) && other === undefined;
  return fates ?? (isWrite ? ["sent", "answered", "lost", "failed"] : ["sent", "answered"]);
}

eachStoreAndBinding(suite, (name) => name === "memory");

function suite(
  name: string,
  create: () => Promise<TestStore>,
  { createSessionManager, isBound }: Making,
): void {
  const users = name === "memory" && !isBound ? [undefined, "42"] : ["42"];
  let held: TestStore;
  let now: number;
  beforeEach(async () => {
    held = await create();
    now = 1_700_000_000_000;
  });
  afterEach(async () => held.drop());

  function manager(options: Partial<SessionManagerOptions<Data>> = {}): Sessions {
    return createSessionManager<Data>({
      store: held.store,
      keys: testRing,
      clock: () => now,
      idleTimeout: "1 h",
      ...options,
    });
  }

  async function begin(user: string | undefined): Promise<string> {
    const sessions = manager();
    const session = await sessions.load(null);
    session.data["n"] = 0;
    if (user !== undefined) session.login(user);
    return cookieOf(await sessions.commit(session));
  }

  async function otherRequest(cookie: string, act: (session: Session<Data>) => void): Promise<void> {
    const sessions = manager();
    const session = await sessions.load(cookie);
    act(session);
    await sessions.commit(session);
  }

  async function seen(cookie: string | null) {
    const { isNew, user, data } = await manager().load(cookie);
    return { isNew, user, data };
  }

  /** Begins something, acts while it is stopped, lets it go on, and answers as an adapter does. */
  async function run(
    what: UnderWay,
    { act, after, newId, asks = newId ?? false }: Act,
    user: string | undefined,
    fate: Fate,
  ) {
    const gate = new Gate();
    const losing = new Gate();
    let throws = false;
    const validate = (value: unknown) =>
      gate.pass("validate", async () => {
        if (throws) throw new RangeError("hook");
        return { value: { ...(value as Data) } };
      });
    const schema = { "~standard": { version: 1, vendor: "test", validate } };
    // R17: no id of before a login is ever that of who logs in
    const watched = around(held.store, async (operation, work) => {
      const answer = await work();
      if (operation === "update" && cookie !== null) assert.notEqual((await seen(cookie)).user, "7");
      return answer;
    });
    const sessions = manager({
      store: losing.over(gate.over(watched)),
      ...((what.throws || what.at.startsWith("validate")) && { schema: schema as never }),
      ...what.options,
    });
    const go = () =>
      what.update
        ? sessions.update(session, (data) => void (data["hits"] = 1))
        : sessions.commit(session).then(() => {});

    const cookie = what.fresh ? null : await begin(user);
    const session = await sessions.load(cookie);
    if (what.fresh && user !== undefined) session.login(user);
    const before: Held = { alive: true, user, data: what.fresh ? {} : { n: 0 } };
    what.prepare?.(session);
    now += 1000;
    if (what.late !== undefined) {
      now += 50 * minute;
      const [row] = await held.store.scan(null, 1);
      const touch = { id: row!.id, updatedAt: now, expiresAt: now + 60 * minute };
      if (what.late === "and was moved") await held.store.touch([touch]);
      now += 20 * minute;
    }
    if (what.other === "saves") await otherRequest(cookie!, (other) => (other.data["theirs"] = 1));
    if (what.other === "ends") await otherRequest(cookie!, (other) => other.destroy());
    if (what.lost !== undefined) {
      losing.stop(what.lost, "lost");
      losing.open();
      await assert.rejects(go(), StoreUnavailableError);
    }

    throws = what.throws ?? false;
    gate.stop(what.at, fate);
    const outcome = go().then(
      () => null,
      (error: Error) => error,
    );
    await Promise.race([gate.reached, outcome.then(() => assert.fail(`never came to ${what.at}`))]);
    throws = false;
    act(session);
    const { handle } = session;
    gate.open();
    const error = await outcome;

    // what was asked meanwhile is done by a commit that goes on, whose hook is then asked again
    const isRepeated = fate === "failed" && what.at === "validate" && asks;
    const isUnsure = (fate === "lost" || fate === "failed") && !isRepeated;
    const isDone = !(fate === "failed" && what.update);
    const wasDone = isDone ? what.after(before, isRepeated) : before;
    if (isUnsure) assert.ok(error instanceof StoreUnavailableError, String(error));
    else if (what.throws) assert.ok(error instanceof RangeError, String(error));
    else if (what.update && !wasDone.alive) assert.ok(error instanceof SessionEndedError, String(error));
    else assert.equal(error, null);
    if (!what.update && error === null && asks && cookie !== null) {
      assert.equal((await seen(cookie)).isNew, true, "left to the next commit");
    }

    const answer = await sessions.commit(session);
    const setCookie = await commitForResponse(sessions as never, session as never);
    const browser = setCookie === null ? cookie : /Max-Age=0/.test(setCookie) ? null : cookieOf(setCookie);
    const expected = after(wasDone, isDone ? (what.unseen ?? {}) : {});
    const { isNew, ...found } = await seen(browser);
    assert.deepEqual(found, {
      user: expected.alive ? expected.user : undefined,
      data: expected.alive ? expected.data : {},
    });
    assert.ok(expected.alive || isNew, "it lives on");
    assert.equal(await manager().count(), isNew ? 0 : 1, "rows");
    if (cookie !== null && (newId || !expected.alive)) {
      assert.equal((await seen(cookie)).isNew, true, "the old id lives on");
    }
    if (isUnsure) return;
    if (newId) assert.equal(answer, setCookie, "the next commit answers the cookie");
    if (expected.alive && what.lost === undefined) assert.equal(session.handle, handle, "handle");
    if (act === acts["destroy"]!.act) {
      assert.equal(setCookie !== null, what.clears ?? wasDone.alive, "R41: clears its own cookie only");
      assert.equal(answer, setCookie);
    }
  }

  describe("promises 2, 3 and 7; R17, R38–R42: what is done meanwhile ends as if it had come after", () => {
    for (const [under, what] of Object.entries(underWay)) {
      for (const [action, act] of Object.entries(acts)) {
        for (const fate of fatesOf(what)) {
          test(`${under} (${fate}), and ${action} → as if it had come after`, async () => {
            for (const user of users) {
              await run(what, act, user, fate);
              await Promise.all((await held.store.scan(null, 10)).map(({ id }) => held.store.delete([id])));
            }
          });
        }
      }
    }
  });
}
