/**
 * The outcome that an error reports is true down to the client library: each statement of each operation, every BEGIN
 * and COMMIT among them, fails once before and once after it took effect.
 *
 * A part of the statements in the suite; all of them with TEST_OUTCOMES=all (`npm run test:soak`).
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { StoredSessionError, StoreError } from "../../src/index.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";
import { faultsOf, wireStore, type WireFault, type WireStore } from "../servers/wire.ts";
import { HandClock } from "../jobs/sessions.ts";
import { difference, operations, snapshot, type Place } from "./outcome-operations.ts";
import { storeOperations } from "./outcome-store-operations.ts";
import { empty } from "./stores.ts";

const all = process.env["TEST_OUTCOMES"] === "all";
const prepared = { ...operations, ...storeOperations };

for (const database of databases.filter(({ name }) => name !== "better-sqlite3")) {
  describe(database.name, () => {
    let created: CreatedStore;
    let wire: WireStore;
    let folder: string | undefined;
    const fault: { nth: number; seen: number; kind: WireFault; met: string; onWrite: (() => void) | null } = {
      nth: Infinity,
      seen: 0,
      kind: "refused before",
      met: "",
      onWrite: null,
    };
    let armed = false;

    beforeAll(async () => {
      let place = database.url;
      let table = "stored_sessions";
      if (place === null) {
        folder = mkdtempSync(join(tmpdir(), "stored-session-"));
        place = join(folder, "sessions.sqlite3");
      } else {
        created = await database.createStore();
        await created.store.migrate();
        table = created.table;
      }
      wire = await wireStore(database.kind, place, table, (text) => {
        if (!armed) return null;
        if (/^\s*(INSERT|UPDATE|DELETE|WITH)/.test(text)) fault.onWrite?.();
        if (++fault.seen !== fault.nth) return null;
        fault.met = text;
        return fault.kind;
      });
      await wire.store.migrate();
    });
    afterAll(async () => {
      await wire.close();
      await created?.drop();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    });

    /** Runs the operation with one statement failing; whether there was such a statement. */
    async function attempt(
      name: string,
      kind: WireFault,
      nth: number,
    ): Promise<{ met: boolean; changed: number }> {
      const sound = wire.store;
      Object.assign(fault, { nth, seen: 0, kind, met: "", onWrite: null });
      const place: Place = { sound, store: sound, clock: laterClock(), fault };
      const { work, state = snapshot } = await stateful(prepared[name]!, place);
      const before = await state(sound);
      armed = true;
      let error: unknown;
      try {
        await work();
      } catch (reason) {
        error = reason ?? "rejected";
      } finally {
        armed = false;
      }
      const changed = difference(before, await state(sound));
      await empty(sound);
      if (error !== undefined && fault.met === "") throw error;
      const said = `statement ${nth}, ${kind}, ${changed} changed: ${String(error)}\n${fault.met}`;
      if (error === undefined || !(error instanceof StoredSessionError)) assert.equal(error, undefined, said);
      if (kind === "transient before") expect(error, said).toBeUndefined();
      if (error instanceof StoreError) {
        if (changed > 0) expect(error.outcome, said).toBe("unknown");
        if (error.changed !== undefined) {
          expect(error.changed, said).toBeGreaterThan(0);
          expect(error.changed, said).toBeLessThanOrEqual(changed);
        }
      } else {
        // What was tried again, or does not matter to the caller, has changed as much as without the fault.
        expect(changed, said).toBe(sounds.get(name));
      }
      return { met: fault.met !== "", changed };
    }
    const sounds = new Map<string, number>();

    test.each(Object.keys(prepared))(
      "%s: a statement fails → none only when nothing changed",
      async (name) => {
        armed = false;
        sounds.set(name, -1);
        fault.nth = Infinity;
        const place: Place = { sound: wire.store, store: wire.store, clock: laterClock(), fault };
        const { work, state = snapshot } = await stateful(prepared[name]!, place);
        const before = await state(wire.store);
        Object.assign(fault, { nth: Infinity, seen: 0, met: "", onWrite: null });
        armed = true;
        await work().finally(() => (armed = false));
        const statements = fault.seen;
        sounds.set(name, difference(before, await state(wire.store)));
        await empty(wire.store);
        assert.ok(statements > 0);
        const faults = faultsOf(database.kind).filter((kind) => all || !/refused|ended/.test(kind));
        for (const [at, kind] of faults.entries()) {
          for (let nth = 1; nth <= statements; nth++) {
            // The last one is often a COMMIT.
            if (!all && nth !== statements && (nth + at) % Math.ceil(statements / 2) !== 0) continue;
            await attempt(name, kind, nth);
          }
        }
      },
      all ? 300_000 : undefined,
    );
  });
}

let attempts = 0;

/** Later with each attempt, so that no lease of an earlier one is in force. */
function laterClock(): HandClock {
  const clock = new HandClock();
  clock.time += ++attempts * 3_600_000;
  return clock;
}

type Work = () => Promise<unknown>;

async function stateful(
  prepare: (place: Place) => Promise<Work | { work: Work; state: typeof snapshot }>,
  place: Place,
): Promise<{ work: Work; state?: typeof snapshot }> {
  const answer = await prepare(place);
  return typeof answer === "function" ? { work: answer } : answer;
}
