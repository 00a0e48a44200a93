/** The operations of a store by themselves, batches among them, for the tests of outcomes. */
import type { SessionStore } from "../../src/index.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";
import type { Place, snapshot } from "./outcome-operations.ts";

type Work = () => Promise<unknown>;
type Prepared = Work | { work: Work; state: typeof snapshot };

const user = new Uint8Array(32).fill(7);

async function rowsIn({ sound }: Place, count = 3): Promise<ReturnType<typeof randomRows>> {
  const rows = randomRows(count).map((row) => ({ ...row, userRef: user }));
  await sound.insert(rows);
  return rows;
}

export const storeOperations: Record<string, (place: Place) => Promise<Prepared>> = {
  "store.insert of one": async ({ store }) => {
    const row = randomRow();
    return () => store.insert([row]);
  },
  "store.insert of three, one of them taken": async (place) => {
    const [taken] = await rowsIn(place, 1);
    const rows = [taken!, ...randomRows(2)];
    return () => place.store.insert(rows);
  },
  "store.update of one": async (place) => {
    const [row] = await rowsIn(place, 1);
    return () => place.store.update([{ loaded: row!, next: nextRow(row!) }]);
  },
  "store.update of three": async (place) => {
    const updates = (await rowsIn(place)).map((loaded) => ({ loaded, next: nextRow(loaded) }));
    return () => place.store.update(updates);
  },
  "store.update of three, one of them ended": async (place) => {
    const updates = (await rowsIn(place)).map((loaded) => ({ loaded, next: nextRow(loaded) }));
    await place.sound.delete([updates[1]!.loaded.id]);
    return () => place.store.update(updates);
  },
  "store.update of three, one of them written meanwhile": async (place) => {
    const updates = (await rowsIn(place)).map((loaded) => ({ loaded, next: nextRow(loaded) }));
    const [first] = updates;
    await place.sound.update([{ loaded: first!.loaded, next: nextRow(first!.loaded) }]);
    return () => place.store.update(updates);
  },
  "store.replace": async (place) => {
    const [row] = await rowsIn(place, 1);
    const next = randomRow();
    return () => place.store.replace(row!, next);
  },
  "store.replace by a row of the same id": async (place) => {
    const [row] = await rowsIn(place, 1);
    const next = randomRow({ id: row!.id });
    return () => place.store.replace(row!, next);
  },
  "store.replace by an id that is taken": async (place) => {
    const [row, taken] = await rowsIn(place, 2);
    return () => place.store.replace(row!, randomRow({ id: taken!.id }));
  },
  "store.touch of three": async (place) => {
    const touches = (await rowsIn(place)).map(({ id, updatedAt, expiresAt }, nth) => ({
      id,
      updatedAt: updatedAt + 5,
      expiresAt: expiresAt + 5 + nth,
    }));
    return () => place.store.touch(touches);
  },
  "store.delete of one": async (place) => {
    const [row] = await rowsIn(place, 1);
    return () => place.store.delete([row!.id]);
  },
  "store.delete of three, one of them ended": async (place) => {
    const rows = await rowsIn(place, 2);
    return () => place.store.delete([...rows.map(({ id }) => id), randomRow().id]);
  },
  "store.deleteByUser": async (place) => {
    const [row] = await rowsIn(place);
    return () => place.store.deleteByUser([user], { except: [row!.id] });
  },
  "store.deleteExpired": async (place) => {
    const [row] = await rowsIn(place);
    const before = row!.expiresAt + 1;
    const query = { before, idleTimeout: 1, absoluteTimeout: 1, limit: 10, cursor: null };
    return () => place.store.deleteExpired(query);
  },
  "store.deleteFuture": async (place) => {
    const [row] = await rowsIn(place);
    const query = { createdAfter: row!.createdAt - 1, expiresAfter: row!.createdAt, limit: 10 };
    return () => place.store.deleteFuture!(query);
  },
  "store.takeOver of three": async (place) => {
    await place.sound.takeOver!([]);
    const rows = randomRows(3);
    return () => place.store.takeOver!(rows);
  },
  "store.lease": async ({ store }) => {
    const name = `job ${String(randomRow().version)}`;
    // Another gets it, for no time at all, unless it is held.
    const state = async (below: SessionStore): Promise<Map<string, string>> =>
      new Map([[name, String(await below.lease(name, "another", 5, 10))]]);
    return { work: () => store.lease(name, "holder", 1_000, 10), state };
  },
};
