import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createSessionManager, NotMigratedError, RefusedError, TableError } from "../../src/index.ts";
import {
  railsFormat,
  railsRows,
  railsStore,
  RailsUsersError,
  type RailsDatabase,
} from "../../src/rails/index.ts";
import { privateId } from "../../src/rails/session-id.ts";
import { ivOf, versionOf } from "../../src/rails/version.ts";
import { randomVersion } from "../../src/sealing/random.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { cookieOf } from "../session/doubles.ts";
import { createTable, databases, type RailsTable } from "./tables.ts";
import { bytes, fromTyped, vectors, type Typed } from "./typed.ts";

const keys = {
  primaryKey: "test primary key one",
  keyDerivationSalt: "test salt",
  hashDigestClass: "SHA256",
} as const;
const format = railsFormat(keys);
const id = (name: string): Uint8Array => new TextEncoder().encode(privateId(name));
const NOW = Date.UTC(2026, 10, 23, 2, 20, 20, 296);

function row(name: string, about: Partial<SessionRow> = {}): SessionRow {
  const version = randomVersion();
  const bare = { id: id(name), version, userRef: null, createdAt: NOW, updatedAt: NOW };
  const ends = { absoluteExpiresAt: NOW + 1, expiresAt: NOW + 1, client: null };
  const plaintext = format.encode({ data: { name }, user: undefined, flash: {} }, null);
  const data = format.seal(plaintext, { ...bare, ...ends }, null);
  return { ...bare, ...ends, data, ...about };
}

test("a version → found in the bytes of the row, in every form of a message (promise 2)", () => {
  for (const more of [{}, { storeKeyReferences: true }, { envelope: true }, { compress: false }]) {
    const sealing = railsFormat({ ...keys, ...more });
    for (const length of [1, 200, 300, 70_000]) {
      const version = randomVersion();
      const content = { data: { text: "x".repeat(length) }, user: undefined, flash: {} };
      const data = sealing.seal(sealing.encode(content, null), { ...row("a"), version }, null);
      expect(versionOf(data)).toBe(version);
    }
  }
  expect(ivOf(2 ** 53 - 1)).not.toEqual(ivOf(2 ** 53 - 1));
  const data = row("a").data;
  for (let length = 0; length < data.length; length++) {
    expect(Number.isSafeInteger(versionOf(data.subarray(0, length)))).toBe(true);
  }
});

describe.each(databases.map((database) => [database.name, database] as const))("%s", (_name, database) => {
  let held: RailsTable;
  beforeEach(async () => {
    held = await createTable(database);
  });
  afterEach(() => held.drop());
  const stored = async (name: string): Promise<SessionRow> => (await held.store.read([id(name)]))[0]!;

  test("whole rows of Rails → read; rows that Node writes → as Rails writes them", async () => {
    const { store, ask, table } = held;
    const { rows } = vectors("rows")[database.kind === "sqlite" ? "sqlite" : "postgresql"];
    for (const { id: key, sid, data, created_at, updated_at } of rows) {
      await ask(`INSERT INTO ${table} (id, sid, data, created_at, updated_at) VALUES (?, ?, ?, ?, ?)`, [
        key,
        sid,
        data && Buffer.from(data, "hex"),
        created_at,
        updated_at,
      ]);
    }
    if (database.kind === "postgres") {
      await ask("SELECT setval(pg_get_serial_sequence(?, 'id'), 6)", [table]);
    }
    for (const expected of rows as Typed[]) {
      const read = await stored(expected.public_id);
      expect(format.decode(format.open(read, null)).data).toStrictEqual(fromTyped(expected.value));
      expect(read.createdAt).toBe(Date.parse(`${expected.created_at.slice(0, 23).replace(" ", "T")}Z`));
      if (expected.data !== null) expect(read.data).toEqual(new Uint8Array(bytes(expected.data)));
    }
    const seen = [];
    for await (const each of railsRows(store, format, { batchSize: 2 })) seen.push(each.sid);
    expect(seen).toEqual(rows.map(({ sid }: Typed) => sid).toSorted());

    await store.insert([row("mine"), row("empty", { data: new Uint8Array(0) })]);
    const types = database.kind === "sqlite" ? ", typeof(created_at) AS t, typeof(data) AS d" : "";
    const text =
      database.kind === "postgres"
        ? `SELECT sid, data, created_at::text, updated_at::text, id FROM ${table} WHERE sid = ?`
        : `SELECT sid, data, created_at, updated_at, id ${types} FROM ${table} WHERE sid = ?`;
    const [mine] = await ask(text, [privateId("mine")]);
    expect(String(mine?.["created_at"])).toMatch(/^2026-11-23 02:20:20\.296(000)?$/);
    expect(Number(mine?.["id"])).toBe(database.kind === "sqlite" || database.kind === "postgres" ? 7 : 4);
    if (database.kind === "sqlite") expect(mine).toMatchObject({ t: "text", d: "blob" });
    expect((await ask(text, [privateId("empty")]))[0]?.["data"]).toBeNull();
  });

  test("insert → adds and never replaces, in batches too (promise 2)", async () => {
    const { store } = held;
    const first = row("a");
    expect(await store.insert([first])).toEqual([true]);
    expect(await store.insert([row("a")])).toEqual([false]);
    expect(await store.insert([row("b"), row("a"), row("c")])).toEqual([true, false, true]);
    expect((await stored("a")).data).toEqual(first.data);
    expect((await store.read([id("c"), id("x"), id("b")])).map((each) => each?.data.length ?? 0)).toEqual([
      (await stored("c")).data.length,
      0,
      (await stored("b")).data.length,
    ]);
    const both = await Promise.all([store.insert([row("d")]), held.another().insert([row("d")])]);
    expect(both.flat().toSorted()).toEqual([false, true]);
  });

  test("update → compares the stored bytes, NULL too, and never inserts (promises 2 and 3)", async () => {
    const { store } = held;
    const [a, b] = [row("a"), row("b", { data: new Uint8Array(0) })];
    await store.insert([a, b]);
    const next = row("a", { updatedAt: NOW + 5_000 });
    expect(await store.update([{ loaded: row("a"), next }])).toEqual([false]);
    expect(await store.update([{ loaded: row("gone"), next: row("gone") }])).toEqual([false]);
    expect((await stored("a")).data).toEqual(a.data);
    const filled = row("b");
    expect(
      await store.update([
        { loaded: a, next },
        { loaded: row("gone"), next: row("gone") },
        { loaded: b, next: filled },
      ]),
    ).toEqual([true, false, true]);
    expect(await store.update([{ loaded: b, next: row("b") }])).toEqual([false]);
    const read = await stored("a");
    expect(read).toMatchObject({ createdAt: NOW, updatedAt: NOW + 5_000, version: next.version });
    expect(await store.update([{ loaded: filled, next: { ...b, updatedAt: NOW + 9 } }])).toEqual([true]);
    expect((await stored("b")).data).toHaveLength(0);
    expect(await store.count(0)).toBe(2);
  });

  test("replace → ends the old row and adds the new one, or does neither (promise 3)", async () => {
    const { store } = held;
    const [a, b] = [row("a"), row("b")];
    await store.insert([a, b]);
    expect(await store.replace(row("a"), row("c"))).toBe(false);
    expect(await store.replace(a, row("b"))).toBe(false);
    expect((await stored("a")).data).toEqual(a.data);
    expect(await store.replace(a, row("c"))).toBe(true);
    expect(await store.replace(a, row("d"))).toBe(false);
    expect((await store.read([id("a"), id("c"), id("d")])).map((each) => each !== null)).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("touch → moves updated_at, never back; delete → reports which rows existed", async () => {
    const { store } = held;
    await store.insert([row("a"), row("b"), row("c")]);
    const to = (name: string, updatedAt: number) => ({ id: id(name), updatedAt, expiresAt: updatedAt + 1 });
    await store.touch([to("a", NOW + 1_000), to("gone", NOW + 1_000)]);
    await store.touch([to("a", NOW + 500)]);
    expect(await stored("a")).toMatchObject({ updatedAt: NOW + 1_000, createdAt: NOW });
    expect(await store.delete([id("c"), id("x"), id("a")])).toEqual([true, false, true]);
    expect(await store.count(0)).toBe(1);
  });

  test("expiry → deletes by both timeouts, oldest first, and returns a cursor (R34)", async () => {
    const { store } = held;
    const [hour, minute] = [3_600_000, 60_000];
    await store.insert([
      row("new"),
      row("idle", { createdAt: NOW - hour, updatedAt: NOW - 31 * minute }),
      row("edge", { createdAt: NOW - hour, updatedAt: NOW - 30 * minute }),
      row("just", { createdAt: NOW - hour, updatedAt: NOW - 30 * minute + 1 }),
      row("old", { createdAt: NOW - 24 * hour, updatedAt: NOW }),
      row("almost", { createdAt: NOW - 24 * hour + 1, updatedAt: NOW }),
    ]);
    const limits = { before: NOW, idleTimeout: 30 * minute, absoluteTimeout: 24 * hour, limit: 1 };
    let [deleted, steps, cursor] = [0, 0, null as never];
    do {
      const step = await store.deleteExpired({ ...limits, cursor });
      deleted += step.deleted;
      cursor = step.cursor as never;
      expect(++steps).toBeLessThan(10);
    } while (cursor !== null);
    expect(deleted).toBe(3);
    const left = await store.read(["new", "just", "almost", "old", "idle", "edge"].map(id));
    expect(left.map((each) => each !== null)).toEqual([true, true, true, false, false, false]);
    const byAge = {
      ...limits,
      limit: 100,
      createdBefore: NOW - hour + 1,
      cursor: { bucket: 1, id: id("a") },
    };
    expect((await store.deleteExpired(byAge)).deleted).toBe(2);
  });

  test("times with six digits and without → never rounded up, so sessions end on time (promise 5)", async () => {
    const { store, ask, table } = held;
    await store.insert([row("a")]);
    await ask(`UPDATE ${table} SET created_at = ?, updated_at = ?`, [
      "2026-11-23 02:20:20.296999",
      "2026-11-23 02:20:20",
    ]);
    const read = await stored("a");
    expect(read.createdAt).toBe(NOW);
    expect(read.updatedAt).toBe(NOW - 296);
    const limits = { idleTimeout: 1_000_000, absoluteTimeout: 1_000, limit: 9, cursor: null };
    const run = async (before: number): Promise<number> => {
      const first = await store.deleteExpired({ ...limits, before });
      return first.deleted + (await store.deleteExpired({ ...limits, before, cursor: first.cursor })).deleted;
    };
    expect(await run(NOW + 999)).toBe(0);
    expect(await run(NOW + 1_000)).toBe(1);
  });

  test("a session is read → limits apply, whatever job runs (promise 5)", async () => {
    let now = NOW;
    const sessions = createSessionManager<Record<string, unknown>>({
      store: held.store,
      format,
      clock: () => now,
      idleTimeout: "30 min",
      absoluteTimeout: "8 h",
      touchEvery: "1 min",
      cookie: { name: "_my_app_session", persist: false },
    });
    const session = await sessions.load(null);
    session.data["user_id"] = 42;
    const cookie = cookieOf(await sessions.commit(session));
    const alive = async (): Promise<boolean> => {
      const loaded = await sessions.load(cookie);
      await sessions.commit(loaded);
      if (loaded.isNew) return false;
      // the touch is off the request's path
      const touched = async () => (await held.store.scan(null, 1))[0]!.updatedAt;
      await vi.waitFor(async () => expect(now - (await touched())).toBeLessThan(60_000), {
        timeout: 20_000,
      });
      return true;
    };
    for (let used = 0; used < 17; used++) {
      expect(await alive()).toBe(true);
      now += 29 * 60_000;
    }
    now = NOW + 8 * 3_600_000 - 1;
    expect(await alive()).toBe(true);
    now += 1;
    expect(await alive()).toBe(false);
    expect(await held.store.count(0)).toBe(1);
    expect(await sessions.expire()).toBe(1);

    const second = await sessions.load(null);
    second.data["user_id"] = 43;
    const idle = cookieOf(await sessions.commit(second));
    now += 30 * 60_000 - 1;
    expect((await sessions.load(idle)).isNew).toBe(false);
    now += 1;
    expect((await sessions.load(idle)).isNew).toBe(true);
  });

  test("a row with garbled times, or empty bytes as data → dead, and blocks nothing", async () => {
    const { store, ask, table } = held;
    await store.insert([row("a"), row("b"), row("c")]);
    await ask(`UPDATE ${table} SET data = ? WHERE sid = ?`, [Buffer.alloc(0), privateId("b")]);
    if (database.kind === "sqlite")
      await ask(`UPDATE ${table} SET created_at = 'soon' WHERE sid = ?`, [privateId("a")]);
    const rows = await store.read(["a", "b", "c"].map(id));
    const sessions = createSessionManager({ store, format, clock: () => NOW + 1 });
    if (database.kind === "sqlite") {
      expect(await sessions.find(Buffer.from(id("a")).toString("base64url"))).toBeNull();
    }
    expect(() => format.open(rows[1] as SessionRow, null)).toThrow(RefusedError);
    const seen = [];
    for await (const each of railsRows(store, format)) seen.push(each.refusal?.reason ?? each.data);
    expect(seen).toHaveLength(3);
    expect(seen.filter((each) => each === "decode")).toHaveLength(1);
  });

  test("malformed ids → misses without a statement; a query by user → refused (R31)", async () => {
    const { store } = held;
    await store.insert([row("a")]);
    const upper = new TextEncoder().encode(privateId("a").toUpperCase());
    const odd = [new Uint8Array(0), upper, id("a").subarray(1), new Uint8Array(67)];
    expect(await store.read(odd)).toEqual([null, null, null, null]);
    expect(await store.delete(odd)).toEqual([false, false, false, false]);
    expect(
      await store.update(odd.map((each) => ({ loaded: { ...row("a"), id: each }, next: row("a") }))),
    ).toEqual([false, false, false, false]);
    await store.touch(odd.map((each) => ({ id: each, updatedAt: NOW, expiresAt: NOW })));
    await expect(store.insert([{ ...row("a"), id: upper }])).rejects.toThrow(TypeError);
    const sessions = createSessionManager({ store, format });
    await expect(sessions.forUser("42").list()).rejects.toThrow(RailsUsersError);
    await expect(sessions.forUser("42").revokeAll()).rejects.toThrow(RailsUsersError);
    await expect(sessions.eraseUser("42")).rejects.toThrow(RailsUsersError);
  });

  test("the table is missing, another's, or without its unique index → an error at first use", async () => {
    const { ask, table } = held;
    const fresh = () => held.another();
    await ask(`ALTER TABLE ${table} RENAME COLUMN data TO payload`);
    await expect(fresh().count(0)).rejects.toThrow(TableError);
    await ask(`ALTER TABLE ${table} RENAME COLUMN payload TO data`);
    const mysql = database.kind === "mysql" || database.kind === "mariadb";
    await ask(`DROP INDEX index_${table}_on_sid${mysql ? ` ON ${table}` : ""}`);
    await expect(fresh().count(0)).rejects.toThrow(/no unique index on sid/);
    if (database.kind === "postgres") {
      await ask(`CREATE UNIQUE INDEX ON ${table} (sid)`);
      await ask(`ALTER TABLE ${table} ALTER created_at TYPE timestamp with time zone`);
      await expect(fresh().count(0)).rejects.toThrow(
        /created_at has the type timestamp\(6\) with time zone|created_at has the type timestamp with time zone/,
      );
    }
    await ask(`DROP TABLE ${table}`);
    const late = fresh();
    await expect(late.count(0)).rejects.toThrow(NotMigratedError);
    await late.migrate();
    expect(await late.count(0)).toBe(0);
    await late.migrate();
  });

  test("a handle or a pool of the caller → works, and stays open", async () => {
    await held.store.insert([row("a")]);
    const { url, kind } = database;
    const check = async (given: RailsDatabase): Promise<void> => {
      const store = railsStore(given, { table: held.table });
      expect((await store.read([id("a")]))[0]).toMatchObject({ createdAt: NOW, updatedAt: NOW });
      await store.close();
    };
    if (kind === "postgres") {
      const { Pool } = await import("pg");
      const pool = new Pool({ connectionString: url as string, max: 1 });
      await check(pool);
      await pool.query("SET TIME ZONE 'Asia/Tokyo'");
      await check(pool);
      await pool.end();
    } else if (url !== null) {
      const { createPool } = await import("mysql2/promise");
      const { createPool: callbackPool } = await import("mysql2");
      const pool = createPool({ uri: url, connectionLimit: 1, timezone: "+09:00" });
      await check(pool as never);
      await pool.query("SET time_zone = '+09:00'");
      await check(pool as never);
      await pool.end();
      const older = callbackPool({ uri: url, connectionLimit: 1 });
      await check(older as never);
      await older.promise().end();
    }
  });

  test("stats, find, export and expiry by age → work over the table", async () => {
    const { store } = held;
    await store.insert([
      row("a"),
      row("b", { createdAt: NOW - 1_000 }),
      row("c", { data: Uint8Array.of(0xc1) }),
    ]);
    const sessions = createSessionManager({ store, format, clock: () => NOW + 1 });
    expect(await sessions.stats()).toMatchObject({ total: 3 });
    const handle = Buffer.from(id("a")).toString("base64url");
    expect(await sessions.find(handle)).toMatchObject({ handle, createdAt: new Date(NOW), client: null });
    expect(await sessions.expire({ maxCreatedAge: 1_000, exclusive: true })).toBe(1);
    const job = sessions.scheduleExpiry({ every: 60_000 });
    await job.stop();
    expect(await sessions.count()).toBe(2);
  });

  test("leases → hold within the process", async () => {
    const { store } = held;
    expect(await store.lease("expire", "a", NOW + 10, NOW)).toBe(true);
    expect(await store.lease("expire", "b", NOW + 10, NOW)).toBe(false);
    expect(await store.lease("expire", "b", NOW + 30, NOW + 10)).toBe(true);
    expect(await store.lease("expire", "b", 0, NOW + 10)).toBe(true);
    expect(await store.lease("expire", "a", NOW + 30, NOW + 10)).toBe(true);
  });

  test("close → waits, and later calls are refused", async () => {
    const store = held.another();
    const reading = store.read([id("a")]);
    await store.close();
    expect(await reading).toEqual([null]);
    await expect(store.count(0)).rejects.toThrow("closed");
    await store.close();
  });
});

test("a SQLite handle of the caller → stays open", async () => {
  const handle = new DatabaseSync(":memory:");
  const store = railsStore(handle, { createTable: true });
  await store.migrate();
  expect(await store.insert([row("a")])).toEqual([true]);
  await store.close();
  expect(handle.prepare("SELECT count(*) AS rows FROM stored_sessions").get()).toEqual({ rows: 1 });
  await expect(railsStore(":memory:").migrate()).rejects.toThrow(NotMigratedError);
  handle.close();
});

test("railsStore: an unsupported handle → an error that says what to pass", () => {
  expect(() => railsStore(7 as never)).toThrow(/a path, a URL/);
  expect(() => railsStore({} as never)).toThrow(/a path, a URL/);
  expect(() => railsStore(":memory:", { table: "a b" })).toThrow(/table/);
  expect(() => railsStore(":memory:", { createTable: 1 as never })).toThrow(/createTable/);
});
