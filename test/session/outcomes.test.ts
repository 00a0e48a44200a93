/**
 * The outcome that an error reports is true: every statement of every operation fails once before and once after it
 * took effect, and no error says `none` when something changed.
 */
import assert from "node:assert/strict";
import { afterEach, describe, expect, test } from "vitest";
import type { Database, Statement } from "../../src/sql/dialect.ts";
import { StoreError, StoreUnavailableError, type SessionStore } from "../../src/index.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { HandClock } from "../jobs/sessions.ts";
import { around } from "./doubles.ts";
import { appOf, difference, intercepted, operations, snapshot, visits } from "./outcome-operations.ts";
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
  const audit = store.audit && failing(store.audit, fault);
  const calls = failing(store, fault);
  return new Proxy(calls, {
    get: (below, name) => (name === "audit" ? audit : Reflect.get(below, name, below)),
  });
}

const reads = ["read", "listByUser", "scan", "scanInfo", "count", "find", "ends", "subjects", "subjectsOf"];

function failing<Target extends object>(target: Target, fault: Fault): Target {
  return intercepted(target, (name, call) =>
    ["lanes", "giveUpAfter", "close", "migrate"].includes(name)
      ? call()
      : fault.pass(!reads.includes(name), call as () => Promise<unknown>),
  );
}

function overDatabase(database: Database, fault: Fault): Database {
  return intercepted(database, (name, call, args) => {
    if (name === "run") return fault.pass((args[0] as Statement).writes, call as () => Promise<unknown>);
    if (name === "interactive") return fault.pass(true, call as () => Promise<unknown>);
    if (name !== "transaction") return call();
    const writes = (args[0] as readonly Statement[]).some((statement) => statement.writes);
    return fault.pass(writes, call as () => Promise<unknown>);
  });
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
  const fault = new Fault(1, "unreachable before");
  const store = around(sound, (operation, call) =>
    operation === "listByUser" ? fault.pass(false, call) : call(),
  );
  const place = { sound, store, clock, fault };
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
