import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSessionManager, type SessionManager } from "../../src/index.ts";
import {
  afterRailsFormat,
  importRailsSessions,
  plainValue,
  railsFormat,
  railsRows,
  RubyFloat,
  RubySymbol,
  symbolHash,
  type RailsRow,
} from "../../src/rails/index.ts";
import { privateId } from "../../src/rails/session-id.ts";
import { cookieOf, testKeys } from "../session/doubles.ts";
import { databases } from "../servers/databases.ts";
import { Gem, railsKeys, valueOf } from "./gem.ts";
import { createTable, type RailsTable } from "./tables.ts";
import { decodeRuby } from "../../src/rails/decode.ts";
import { bytes, vectors, type Typed } from "./typed.ts";

type Data = Record<string, unknown>;
const format = railsFormat({
  ...railsKeys,
  userOf: (data) => (data["user_id"] === undefined ? undefined : String(data["user_id"])),
});
const none = { refreshed: 0, endedSince: 0, changedSince: 0 };
const START = Date.UTC(2026, 10, 23);
const cookie = { name: "_my_app_session" };

describe.each(databases.map((database) => [database.name, database] as const))("%s", (_name, database) => {
  let held: RailsTable;
  let created: Awaited<ReturnType<typeof database.createStore>>;
  let now = START;
  beforeEach(async () => {
    held = await createTable(database);
    created = await database.createStore();
    await created.store.migrate();
    now = START;
  });
  afterEach(async () => {
    await held.drop();
    await created.drop();
  });
  const native = (): SessionManager<Data> =>
    createSessionManager<Data>({
      store: created.store,
      format: afterRailsFormat({ keys: testKeys }),
      cookie,
      clock: () => now,
    });

  test("the last step of a migration → rows of Rails become native ones, and users stay logged in", async () => {
    const gem = new Gem(held, database.kind, () => now);
    const ids = Array.from({ length: 25 }, (_, i) => i.toString(16).padStart(32, "0"));
    for (const [i, id] of ids.entries()) {
      await gem.write(id, {
        user_id: i,
        price: new RubyFloat(2),
        item: symbolHash({ sku: RubySymbol.for("tea") }),
        _csrf_token: "x",
        flash: { discard: [], flashes: { notice: "Hi" } },
      });
    }
    await held.ask(`UPDATE ${held.table} SET data = ? WHERE sid = ?`, [
      Buffer.from("cc80"),
      privateId(ids[3]!),
    ]);
    await held.ask(`UPDATE ${held.table} SET created_at = ? WHERE sid = ?`, [
      "2026-10-01 00:00:00.000",
      privateId(ids[4]!),
    ]);
    await gem.write("ff".repeat(16), {});
    now = START + 60_000;

    const refused: RailsRow[] = [];
    const sessions = native();
    const options = { batchSize: 7, onRefused: (row: RailsRow) => void refused.push(row) };
    const result = await importRailsSessions({ store: held.store, format }, sessions, options);
    expect(result).toEqual({
      imported: 23,
      withUser: 23,
      before: 0,
      ...none,
      present: 0,
      ended: 2,
      refused: 1,
    });
    expect(refused.map(({ sid }) => sid)).toEqual([privateId(ids[3]!)]);
    expect(await importRailsSessions({ store: held.store, format }, sessions)).toEqual({
      imported: 0,
      withUser: 0,
      before: 23,
      ...none,
      present: 0,
      ended: 2,
      refused: 1,
    });
    expect(await held.store.count(0)).toBe(26);

    const old = `_my_app_session=${ids[7]}`;
    const session = await sessions.load(old);
    expect(session.user).toBe("7");
    expect(session.createdAt.getTime()).toBe(START);
    expect(session.data).toEqual({ user_id: 7, price: 2, item: { sku: "tea" } });
    const setCookie = await sessions.commit(session);
    expect(valueOf(cookieOf(setCookie))).toMatch(/^[\w-]{64}$/);
    expect((await sessions.load(cookieOf(setCookie))).user).toBe("7");
    expect(await sessions.forUser("7").list()).toHaveLength(1);
    expect(await sessions.forUser("7").revokeAll()).toBe(1);
    expect((await sessions.load(old)).isNew).toBe(true);

    // promise 3: another import brings back neither what was revoked nor what its visitor ended or left for a new id
    const leaving = await sessions.load(`_my_app_session=${ids[5]}`);
    leaving.destroy();
    await sessions.commit(leaving);
    const renewed = await sessions.load(`_my_app_session=${ids[6]}`);
    renewed.regenerate();
    await sessions.commit(renewed);
    const live = await sessions.count();
    for (const dryRun of [true, false]) {
      const again = await importRailsSessions({ store: held.store, format }, sessions, { dryRun });
      expect(again).toMatchObject({ imported: 0, before: 23, present: 0 });
    }
    expect(await sessions.count()).toBe(live);

    // With `refresh`, what Rails wrote since arrives; what ended, and what the application wrote, stays.
    const written = await sessions.load(`_my_app_session=${ids[8]}`);
    written.data["price"] = 5;
    await sessions.commit(written);
    now += 60_000;
    for (const n of [5, 7, 8, 9]) await gem.write(ids[n]!, { user_id: n, price: 9 });
    const refreshed = { imported: 0, before: 18, refreshed: 1, endedSince: 3, changedSince: 1 };
    for (const dryRun of [true, false]) {
      const asked = { refresh: true, dryRun };
      expect(await importRailsSessions({ store: held.store, format }, sessions, asked)).toMatchObject(
        refreshed,
      );
    }
    expect((await sessions.load(`_my_app_session=${ids[9]}`)).data["price"]).toBe(9);
    expect((await sessions.load(`_my_app_session=${ids[8]}`)).data["price"]).toBe(5);
    expect(await sessions.count()).toBe(live);
    for (const id of [5, 6, 7]) expect((await sessions.load(`_my_app_session=${ids[id]}`)).isNew).toBe(true);
    expect((await sessions.load(`_my_app_session=${ids[3]}`)).isNew).toBe(true);

    // without it a cookie of Rails is nothing
    const plain = createSessionManager({ store: created.store, keys: testKeys, cookie, clock: () => now });
    expect((await plain.load(`_my_app_session=${ids[8]}`)).isNew).toBe(true);
    expect((await sessions.load(`_my_app_session=${ids[8]}`)).isNew).toBe(false);
    now = START + 30 * 86_400_000;
    expect((await sessions.load(`_my_app_session=${ids[8]}`)).isNew).toBe(true);
  });
});

test("import: progress, a stop between two batches, and a dry run → reported, and nothing written in the dry run", async () => {
  const [database] = databases;
  const held = await createTable(database!);
  const gem = new Gem(held, database!.kind, Date.now);
  for (let i = 0; i < 40; i++) await gem.write(i.toString(16).padStart(32, "0"), { user_id: i });
  const created = await database!.createStore();
  await created.store.migrate();
  const sessions = createSessionManager({
    store: created.store,
    format: afterRailsFormat({ keys: testKeys }),
  });
  const from = { store: held.store, format };

  const dry = await importRailsSessions(from, sessions, { dryRun: true });
  expect(dry).toEqual({ imported: 40, withUser: 40, before: 0, ...none, present: 0, ended: 0, refused: 0 });
  expect(await sessions.count()).toBe(0);

  const stop = new AbortController();
  const stopped = await importRailsSessions(from, sessions, {
    batchSize: 10,
    signal: stop.signal,
    onProgress: ({ read }) => read === 20 && stop.abort(),
  });
  expect(stopped).toMatchObject({ imported: 20, before: 0 });
  expect(await sessions.count()).toBe(20);

  const told: { read: number; fraction: number }[] = [];
  const rest = await importRailsSessions(from, sessions, { batchSize: 10, onProgress: (p) => told.push(p) });
  expect(rest).toMatchObject({ imported: 20, before: 20, present: 0 });
  expect(told.map(({ read }) => read)).toEqual([10, 20, 30, 40]);
  const sids = Array.from({ length: 40 }, (_, i) => privateId(i.toString(16).padStart(32, "0"))).toSorted();
  for (const { read, fraction } of told)
    expect(fraction).toBeCloseTo(parseInt(sids[read - 1]!.slice(3, 9), 16) / 2 ** 24, 9);
  expect(await importRailsSessions(from, sessions, { dryRun: true })).toMatchObject({
    imported: 0,
    before: 40,
  });
  await created.drop();
  await held.drop();
});

test("promise 3: a store that cannot record what it imported → refuses the import", async () => {
  const { memoryStore } = await import("../../src/index.ts");
  const forgetful = Object.assign(memoryStore(), { takeOver: undefined });
  const sessions = createSessionManager({
    store: forgetful as never,
    format: afterRailsFormat({ keys: testKeys }),
  });
  const from = { store: memoryStore(), format };
  for (const dryRun of [true, false])
    await expect(importRailsSessions(from, sessions, { dryRun })).rejects.toThrow(/has no `takeOver`/);
});

test("every value of the vectors → has a plain form that a native session holds", async () => {
  const { memoryStore } = await import("../../src/index.ts");
  const sessions = createSessionManager<Data>({ store: memoryStore(), keys: testKeys });
  const session = await sessions.load(null);
  let count = 0;
  for (const { hex } of vectors("messagepack").cases as Typed[]) {
    if (hex === undefined) continue;
    let plain: unknown = plainValue(decodeRuby(bytes(hex)));
    if (plain instanceof Map && plain.size === 0) plain = {};
    session.data[`v${count++}`] = plain;
  }
  expect(count).toBeGreaterThan(100);
  await sessions.commit(session);
  for await (const _ of railsRows(memoryStore(), format)) throw new Error("nothing is there");
});
