/**
 * The outcome that an error reports is true: every statement of every operation fails once before and once after it
 * took effect, and no error says `none` when something changed.
 */
import assert from "node:assert/strict";
import { afterEach, describe, expect, test } from "vitest";
import { DropInSessions } from "../../src/adapters/drop-in/drop-in-sessions.ts";
import type { Database, Statement } from "../../src/sql/dialect.ts";
import { StoreError, StoreUnavailableError, type SessionStore } from "../../src/index.ts";
import { revokeEverything } from "../../src/operator/admin.ts";
import { recordsOf } from "../../src/manager.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { HandClock, manage, visit } from "../jobs/sessions.ts";
import { randomRows } from "../servers/rows.ts";
import { olderKey, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

/** refused: the store said no to this statement. lost: nobody knows whether it arrived. */
const modes = ["refused before", "unreachable before", "lost after"] as const;
type Mode = (typeof modes)[number];

/** Fails one statement of those that pass here. */
class Fault {
  seen = 0;
  /** Called when a write is under way. */
  onWrite: (() => void) | null = null;
  readonly #nth: number;
  readonly #mode: Mode;

  constructor(nth: number, mode: Mode) {
    this.#nth = nth;
    this.#mode = mode;
  }

  get met(): boolean {
    return this.seen >= this.#nth;
  }

  async pass<Answer>(writes: boolean, call: () => Promise<Answer>): Promise<Answer> {
    const fails = ++this.seen === this.#nth;
    if (writes) this.onWrite?.();
    if (!fails) return call();
    if (this.#mode === "refused before") throw new StoreError("The test refuses this.");
    if (this.#mode === "lost after") await call();
    const outcome = writes && this.#mode === "lost after" ? "unknown" : "none";
    throw new StoreUnavailableError("The test's connection broke.", { outcome });
  }
}

/** Over a SQL database the statements fail, in memory the calls. */
function over(store: SessionStore, fault: Fault): SessionStore {
  if (store instanceof SqlStore) return new SqlStore(overDatabase(store.database, fault));
  const reads = ["read", "listByUser", "scan", "scanInfo", "count"];
  return intercepted(store, (name, call) =>
    ["lanes", "giveUpAfter", "close", "migrate"].includes(name)
      ? call()
      : fault.pass(!reads.includes(name), call as () => Promise<unknown>),
  );
}

function overDatabase(database: Database, fault: Fault): Database {
  return intercepted(database, (name, call, args) => {
    if (name === "run") return fault.pass((args[0] as Statement).writes, call as () => Promise<unknown>);
    if (name !== "transaction") return call();
    const writes = (args[0] as readonly Statement[]).some((statement) => statement.writes);
    return fault.pass(writes, call as () => Promise<unknown>);
  });
}

function intercepted<Target extends object>(
  target: Target,
  around: (name: string, call: () => unknown, args: readonly unknown[]) => unknown,
): Target {
  return new Proxy(target, {
    get(below, name) {
      const value: unknown = Reflect.get(below, name, below);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) =>
        around(String(name), () => (value as (...args: unknown[]) => unknown).apply(below, args), args);
    },
  });
}

interface Place {
  /** Without faults. */
  readonly sound: SessionStore;
  /** With them. */
  readonly store: SessionStore;
  readonly clock: HandClock;
  readonly fault: Fault;
}

/** Prepares, and answers the operation. */
type Prepare = (place: Place) => Promise<() => Promise<unknown>>;

const day = 86_400_000;
const appOf = ({ store, clock }: Place) => manage(store, [testKeys, olderKey], { clock: clock.now });
const soundApp = ({ sound, clock }: Place) => manage(sound, [testKeys, olderKey], { clock: clock.now });

async function visits(place: Place, users: readonly (string | undefined)[]): Promise<string[]> {
  const app = soundApp(place);
  const cookies: string[] = [];
  for (const user of users) cookies.push(await visit(app, user));
  return cookies;
}

const dropInOf = ({ store, clock }: Place) => new DropInSessions({ store, keys: testKeys, clock: clock.now });

const operations: Record<string, Prepare> = {
  "forUser().revokeAll": async (place) => {
    await visits(place, ["42", "42", "43"]);
    return () => appOf(place).forUser("42").revokeAll();
  },
  eraseUser: async (place) => {
    await visits(place, ["42", "43"]);
    return () => appOf(place).eraseUser("42");
  },
  "forUser().revoke": async (place) => {
    await visits(place, ["42", "42"]);
    const [info] = await soundApp(place).forUser("42").list();
    return () => appOf(place).forUser("42").revoke(info!.handle);
  },
  "revoking everything": async (place) => {
    await visits(place, ["1", "2", undefined, "4", "5"]);
    return () => revokeEverything(recordsOf(appOf(place) as never), { batchSize: 2 });
  },
  expire: async (place) => {
    await visits(place, ["1", "2", undefined, "4", "5"]);
    place.clock.time += 400 * day;
    return () => appOf(place).expire({ batchSize: 2, maxPerSecond: Infinity, share: 1, exclusive: true });
  },
  reseal: async (place) => {
    const old = manage(place.sound, olderKey, { clock: place.clock.now });
    for (let nth = 0; nth < 5; nth++) await visit(old, "7");
    return () => appOf(place).reseal({ batchSize: 2, maxPerSecond: Infinity, share: 1 });
  },
  "destroy after a regenerate whose answer was lost": async (place) => {
    const [cookie] = await visits(place, ["42"]);
    let lost = false;
    const losing = intercepted(place.store, (name, call) => {
      if (name !== "replace" || lost) return call();
      lost = true;
      return (async () => {
        await place.sound.replace(...(await replaced));
        throw new StoreUnavailableError("The answer was lost.", { outcome: "unknown" });
      })();
    });
    let replaced!: Promise<Parameters<SessionStore["replace"]>>;
    const recording = new Proxy(losing, {
      get(below, name) {
        const value: unknown = Reflect.get(below, name, below);
        if (name !== "replace") return value;
        return (...args: Parameters<SessionStore["replace"]>) => {
          replaced = Promise.resolve(args);
          return (value as SessionStore["replace"])(...args);
        };
      },
    });
    const app = manage(recording, [testKeys, olderKey], { clock: place.clock.now });
    const session = await app.load(cookie);
    session.regenerate();
    await app.commit(session).catch(() => {});
    // The row of before comes back, as from a server that had not replaced it: both are to be deleted.
    const [loaded] = await replaced;
    await place.sound.insert([loaded]);
    session.destroy();
    return () => app.commit(session);
  },
  "a commit that is asked for more meanwhile": async (place) => {
    const [cookie] = await visits(place, ["42"]);
    const app = appOf(place);
    const session = await app.load(cookie);
    session.data.items = ["coffee"];
    place.fault.onWrite = () => {
      place.fault.onWrite = null;
      session.destroy();
    };
    return () => app.commit(session);
  },
  "an update with a login before it": async (place) => {
    const [cookie] = await visits(place, [undefined]);
    const app = appOf(place);
    const session = await app.load(cookie);
    session.login("42");
    return () => app.update(session, (data) => void (data.items = ["coffee"]));
  },
  "a login": async (place) => {
    const [cookie] = await visits(place, [undefined]);
    const app = appOf(place);
    const session = await app.load(cookie);
    session.login("42");
    return () => app.commit(session);
  },
  "the drop-in's clear": async (place) => {
    await visits(place, ["1", undefined, "3"]);
    return () => dropInOf(place).clear();
  },
  "the drop-in's save over a session that ended": async (place) => {
    const before = new DropInSessions({ store: place.sound, keys: testKeys, clock: place.clock.now });
    await before.save("an id", { n: 1 }, null, place.clock.time + day);
    place.clock.time += 2 * day;
    return () => dropInOf(place).save("an id", { n: 2 }, null, place.clock.time + day);
  },
  "an import of several batches": async (place) => {
    await place.sound.takeOver!([]);
    const rows = randomRows(3).map((row) => ({ ...row, data: new Uint8Array(700_000) }));
    return () => place.store.takeOver!(rows);
  },
};

async function snapshot(store: SessionStore): Promise<Map<string, string>> {
  const rows = await store.scan(null, 1_000);
  return new Map(
    rows.map(({ id, version, updatedAt, client }) => [
      Buffer.from(id).toString("hex"),
      JSON.stringify([version, updatedAt, client && Buffer.from(client).toString("hex")]),
    ]),
  );
}

/** How many rows of before are gone or other, and how many are new. */
function difference(before: Map<string, string>, after: Map<string, string>): number {
  const gone = [...before].filter(([id, row]) => after.get(id) !== row).length;
  return gone + [...after.keys()].filter((id) => !before.has(id)).length;
}

eachStore((_name, create) => {
  let held: TestStore | undefined;
  afterEach(async () => held?.drop());

  describe.each(modes)("a statement that is %s", (mode) => {
    test.each(Object.entries(operations))(
      "%s: a failure after something changed → unknown, never none",
      async (_, prepare) => {
        for (let nth = 1; ; nth++) {
          held = await create();
          const sound = held.store;
          const fault = new Fault(nth, mode);
          let armed = false;
          const idle = new Fault(Infinity, mode);
          const store = over(sound, {
            pass: (writes: boolean, call: () => Promise<unknown>) =>
              (armed ? fault : idle).pass(writes, call),
          } as Fault);
          const work = await prepare({ sound, store, clock: new HandClock(), fault });
          const before = await snapshot(sound);
          armed = true;
          const error: unknown = await work().then(
            () => null,
            (reason: unknown) => reason ?? "rejected",
          );
          const changed = difference(before, await snapshot(sound));
          await held.drop();
          held = undefined;
          if (!fault.met) {
            assert.equal(error, null);
            assert.ok(nth > 1);
            return;
          }
          if (!(error instanceof StoreError)) continue;
          const said = `statement ${nth}, ${changed} changed: ${error.outcome}, ${error.changed}: ${error.message}`;
          if (changed > 0) expect(error.outcome, said).toBe("unknown");
          if (error.changed !== undefined) {
            expect(error.changed, said).toBeGreaterThan(0);
            expect(error.changed, said).toBeLessThanOrEqual(changed);
          }
        }
      },
    );
  });
});

test("revokeAll: the list after the deletion fails → the error tells how many had ended, and calling again ends the rest", async () => {
  const { memoryStore } = await import("../../src/index.ts");
  const sound = memoryStore();
  const clock = new HandClock();
  const fault = new Fault(2, "unreachable before");
  const place = { sound, store: over(sound, fault), clock, fault };
  await visits(place, ["42", "42", "42"]);
  const app = appOf(place);
  await expect(app.forUser("42").revokeAll()).rejects.toMatchObject({
    name: "StoreUnavailableError",
    outcome: "unknown",
    changed: 3,
    message: "3 sessions were deleted before the operation failed: The test's connection broke.",
  });
  expect(await app.forUser("42").revokeAll()).toBe(0);
});
