import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import { StoreUnavailableError, type Session, type SessionManager } from "../../src/index.ts";
import { commitForResponse } from "../../src/manager.ts";
import { around, cookieOf, testRing } from "./doubles.ts";
import { eachStoreAndBinding, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;

/** When a write whose answer is lost is done. */
type Landing = "at once" | "before the next write" | "never";

const count = (data: Data): void => void (data["n"] = (data["n"] ?? 0) + 1);

/** What the application does next; answers how many updates were acknowledged. */
const continuations: Record<string, (sessions: Sessions, session: Session<Data>) => Promise<number>> = {
  "nothing more": async () => 0,
  "it is repeated": async (sessions, session) => (await sessions.update(session, count), 1),
  "it is repeated twice": async (sessions, session) => {
    await sessions.update(session, count);
    await sessions.update(session, count);
    return 2;
  },
  "another key is changed": async (_, session) => ((session.data["other"] = 1), 0),
  "another key is changed and it is repeated": async (sessions, session) => {
    session.data["other"] = 1;
    await sessions.update(session, count);
    return 1;
  },
  "the session gets a new id": async (_, session) => (session.regenerate(), 0),
  "somebody logs in, and it is repeated": async (sessions, session) => {
    session.login("42");
    await sessions.update(session, count);
    return 1;
  },
};

eachStoreAndBinding((_name, create, { createSessionManager, user: someone }) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(async () => held.drop());

  /** A manager whose next write loses its answer. */
  function losing(landing: Landing) {
    const writes = ["update", "insert", "replace"];
    let lose = false;
    let late: (() => Promise<unknown>) | null = null;
    let landed = 0;
    const land = async (call: () => Promise<unknown>) => {
      const [matched] = (await call()) as boolean[];
      if (matched) landed++;
    };
    const store = around(held.store, async (operation, call) => {
      if (!writes.includes(operation)) return call();
      if (lose) {
        lose = false;
        if (landing === "at once") await land(call);
        if (landing === "before the next write") late = call;
        throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
      }
      if (late !== null) await land(late);
      late = null;
      return call();
    });
    return {
      sessions: createSessionManager<Data>({
        store,
        keys: testRing,
        onConflict: () => assert.fail("an update of one's own is no conflict"),
      }),
      lose: () => void (lose = true),
      landed: () => landed,
    };
  }

  for (const kind of ["stored", "new"] as const) {
    for (const landing of ["at once", "before the next write", "never"] as const) {
      for (const [what, go] of Object.entries(continuations)) {
        test(`promises 2 and 7: an update of a ${kind} session is lost and lands ${landing}, then ${what} → each acknowledged write is applied once`, async () => {
          const { sessions, lose, landed } = losing(landing);
          let cookie: string | null = null;
          if (kind === "stored") {
            const first = await sessions.load(null);
            first.data["n"] = 0;
            if (someone !== undefined) first.login(someone);
            cookie = cookieOf(await sessions.commit(first));
          }
          const session = await sessions.load(cookie);
          lose();
          await assert.rejects(sessions.update(session, count), StoreUnavailableError);
          const acknowledged = await go(sessions, session);
          if (acknowledged > 0) assert.equal(session.data["n"], landed() + acknowledged);
          const setCookie = await commitForResponse(sessions as never, session as never);
          const { data, user } = await sessions.load(setCookie === null ? cookie : cookieOf(setCookie));
          assert.equal(data["n"] ?? 0, landed() + acknowledged);
          assert.equal(data["other"], session.data["other"]);
          assert.equal(user, session.user);
          assert.ok((await held.store.scan(null, 10)).length <= 1);
        });
      }
    }
  }
});
