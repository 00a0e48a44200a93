/**
 * Every operation that changes sessions, prepared to run over a store whose statements or calls may fail, and a look at
 * what has changed.
 */
import { DropInSessions } from "../../src/adapters/drop-in/drop-in-sessions.ts";
import { StoreUnavailableError, type SessionStore } from "../../src/index.ts";
import { recordsOf } from "../../src/manager.ts";
import { revokeEverything } from "../../src/operator/admin.ts";
import { HandClock, manage, visit } from "../jobs/sessions.ts";
import { randomRows } from "../servers/rows.ts";
import { around, olderKey, testKeys } from "./doubles.ts";

/** The same object, with something around every method. */
export function intercepted<Target extends object>(
  target: Target,
  wrap: (name: string, call: () => unknown, args: readonly unknown[]) => unknown,
): Target {
  return new Proxy(target, {
    get(below, name) {
      const value: unknown = Reflect.get(below, name, below);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) =>
        wrap(String(name), () => (value as (...args: unknown[]) => unknown).apply(below, args), args);
    },
  });
}

export interface Place {
  /** Without faults. */
  readonly sound: SessionStore;
  /** With them. */
  readonly store: SessionStore;
  readonly clock: HandClock;
  /** `onWrite` is called when a write is under way. */
  readonly fault: { onWrite: (() => void) | null };
}

/** Prepares, and answers the operation. */
export type Prepare = (place: Place) => Promise<() => Promise<unknown>>;

const day = 86_400_000;
export const appOf = ({ store, clock }: Place) => manage(store, [testKeys, olderKey], { clock: clock.now });
const soundApp = ({ sound, clock }: Place) => manage(sound, [testKeys, olderKey], { clock: clock.now });

export async function visits(place: Place, users: readonly (string | undefined)[]): Promise<string[]> {
  const app = soundApp(place);
  const cookies: string[] = [];
  for (const user of users) cookies.push(await visit(app, user));
  return cookies;
}

const dropInOf = ({ store, clock }: Place) => new DropInSessions({ store, keys: testKeys, clock: clock.now });

export const operations: Record<string, Prepare> = {
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
    const [loaded] = await place.sound.scan(null, 1);
    let lost = false;
    const losing = around(place.store, async (operation, call) => {
      const answer = await call();
      if (operation !== "replace" || lost) return answer;
      lost = true;
      throw new StoreUnavailableError("The answer was lost.", { outcome: "unknown" });
    });
    const app = manage(losing, [testKeys, olderKey], { clock: place.clock.now });
    const session = await app.load(cookie);
    session.regenerate();
    await app.commit(session).catch(() => {});
    // The row of before comes back, as from a server that had not replaced it: both are to be deleted.
    await place.sound.insert([loaded!]);
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

export async function snapshot(store: SessionStore): Promise<Map<string, string>> {
  const rows = await store.scan(null, 1_000);
  return new Map(
    rows.map(({ id, version, updatedAt, client }) => [
      Buffer.from(id).toString("hex"),
      JSON.stringify([version, updatedAt, client && Buffer.from(client).toString("hex")]),
    ]),
  );
}

/** How many rows of before are gone or other, and how many are new. */
export function difference(before: Map<string, string>, after: Map<string, string>): number {
  const gone = [...before].filter(([id, row]) => after.get(id) !== row).length;
  return gone + [...after.keys()].filter((id) => !before.has(id)).length;
}
