import { describe, expect, test } from "vitest";
import { createSessionManager, generateKey, memoryStore, migrate, OptionsError } from "../../src/index.ts";
import { settingsOf, type SessionManager } from "../../src/manager.ts";
import { resolveOptions } from "../../src/resolve-options.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import type { SessionFormat } from "../../src/session/format.ts";
import { nativeFormat } from "../../src/session/native-format.ts";
import { OpenedRows, openingOnce } from "../../src/session/opened.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { channels } from "../../src/telemetry/channels.ts";
import { databases } from "../servers/databases.ts";
import { cookieOf, counted, olderKey, testKeys } from "./doubles.ts";

type Data = Record<string, any>;

/** A format that counts what it decrypts. */
function counting(sealTo: "keys" | "cookie" = "keys") {
  const format = nativeFormat({
    keys: KeyRing.from(testKeys),
    app: "",
    sealTo,
    compressAbove: 1024,
    maxBytes: 1_048_576,
  });
  const counts = { opened: 0 };
  const open: SessionFormat["open"] = (row, token) => {
    counts.opened++;
    return format.open(row, token);
  };
  return { format: { ...format, open } satisfies SessionFormat, counts };
}

function rowOf(format: SessionFormat, text: string) {
  const token = format.mint();
  const bare = {
    id: token.id,
    version: 1,
    userRef: null,
    createdAt: 1,
    updatedAt: 1,
    absoluteExpiresAt: 9,
    expiresAt: 9,
  };
  const plaintext = format.encode({ data: { text }, user: undefined, flash: {} }, null);
  const row: SessionRow = { ...bare, data: format.seal(plaintext, bare, token), client: null };
  return { row, token, plaintext };
}

const copyOf = (row: SessionRow): SessionRow => ({ ...row, data: new Uint8Array(row.data) });

describe("cache", () => {
  test("one version of a row → is decrypted once, also after it was sealed here", () => {
    const { format, counts } = counting();
    const { row, token, plaintext } = rowOf(format, "tea");
    const once = openingOnce(format, new OpenedRows(1_000_000));
    for (let request = 0; request < 3; request++)
      expect(new Uint8Array(once.open(copyOf(row), token))).toEqual(new Uint8Array(plaintext));
    expect(counts.opened).toBe(1);
    const next = { ...row, version: 2 };
    const data = once.seal(plaintext, next, token);
    expect(new Uint8Array(once.open(copyOf({ ...next, data }), token))).toEqual(new Uint8Array(plaintext));
    expect(counts.opened).toBe(1);
  });

  for (const sealTo of ["keys", "cookie"] as const) {
    test(`promise 6, R22: any column edited or moved, of a row in the cache → is refused (sealed to ${sealTo})`, () => {
      const { format } = counting(sealTo);
      const once = openingOnce(format, new OpenedRows(1_000_000));
      const [one, other] = [rowOf(format, "tea"), rowOf(format, "cup")];
      for (const { row, token } of [one, other]) once.open(row, token);
      const { row, token } = one;
      const flipped = (at: number) => row.data.map((byte, index) => (index === at ? byte ^ 1 : byte));
      const edits: Partial<SessionRow>[] = [
        ...Array.from(row.data, (_, at) => ({ data: flipped(at) })),
        { data: other.row.data },
        { version: 2 },
        { createdAt: 0 },
        { absoluteExpiresAt: 10 },
        { userRef: new Uint8Array(32).fill(1) },
        { id: other.row.id },
      ];
      for (const edit of edits) expect(() => once.open({ ...row, ...edit }, token)).toThrow();
      if (sealTo === "cookie") expect(() => once.open(row, other.token)).toThrow();
      expect(new Uint8Array(once.open(row, token))).toEqual(new Uint8Array(one.plaintext));
    });
  }

  test("a row without a cookie, as operators open it → is not kept", () => {
    const { format, counts } = counting();
    const { row } = rowOf(format, "tea");
    const opened = new OpenedRows(1_000_000);
    openingOnce(format, opened).open(row, null);
    openingOnce(format, opened).open(row, null);
    expect([counts.opened, opened.known(row.id)]).toEqual([2, null]);
  });

  test("promise 10: more sessions than fit → the oldest that are not used are dropped", () => {
    const { format, counts } = counting();
    const opened = new OpenedRows(200_000);
    const once = openingOnce(format, opened);
    const used = rowOf(format, "used");
    const first = rowOf(format, "first");
    once.open(first.row, first.token);
    for (let n = 0; n < 1_000; n++) {
      const { row, token } = rowOf(format, `session ${n}`);
      once.open(row, token);
      once.open(used.row, used.token);
    }
    expect(opened.known(first.row.id)).toBeNull();
    expect(counts.opened).toBe(1_002);
    const large = rowOf(format, Buffer.alloc(300_000, 1).toString("latin1"));
    once.open({ ...large.row, data: format.seal(large.plaintext, large.row, large.token) }, large.token);
    expect(opened.known(used.row.id)).not.toBeNull();
  });

  for (const [name, size] of [
    ["tiny", 20],
    ["of 300 bytes", 300],
    ["of an eighth of a shared buffer", 8_192],
    ["larger than it", 8_193],
  ] as const) {
    test(`promise 10: sessions ${name}, whose ids are parts of a driver's large buffers → no more memory is held than the limit`, () => {
      const limit = 2_000_000;
      const opened = new OpenedRows(limit);
      const ids: Uint8Array[] = [];
      for (let n = 0; n < 10_000; n++) {
        const packet = new Uint8Array(65_536); // as PostgreSQL's and MySQL's drivers hand out parts of
        packet[0] = n;
        packet[1] = n >>> 8;
        const [id, userRef] = [packet.subarray(0, 32), packet.subarray(32, 64)];
        const row = {
          id,
          userRef,
          version: n,
          createdAt: 1,
          updatedAt: 1,
          absoluteExpiresAt: 9,
          expiresAt: 9,
        };
        const client = packet.subarray(64, 164);
        opened.add({ ...row, client, data: packet.subarray(164, 164 + size) }, packet.subarray(0, size));
        ids.push(id.slice());
      }
      const buffers = new Set<ArrayBufferLike>();
      let found = 0;
      for (const id of ids) {
        const row = opened.known(id);
        if (row === null) continue;
        found++;
        for (const bytes of [row.id, row.data, row.userRef, row.client, opened.find(row)])
          if (bytes) buffers.add(bytes.buffer);
      }
      expect(found).toBeGreaterThan(50);
      expect([...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(limit);
    });
  }

  test("R42: what an application does to its data → changes nothing in the cache", async () => {
    const sessions = createSessionManager<Data>({ store: memoryStore(), keys: testKeys });
    const session = await sessions.load(null);
    const data = () => ({
      bytes: Uint8Array.of(1, 2, 3),
      date: new Date(5),
      map: new Map([["a", { b: [1] }]]),
      set: new Set([1]),
      url: new URL("https://example.com/"),
      list: [{ deep: [1] }],
    });
    session.data = data();
    session.flash("notice", { text: "kept" });
    const cookie = cookieOf(await sessions.commit(session));
    for (let request = 0; request < 3; request++) {
      const { data: mine } = await sessions.load(cookie); // never committed
      expect(mine).toEqual(data());
      mine["bytes"].fill(9);
      mine["date"].setTime(0);
      mine["map"].get("a").b.push(2);
      mine["set"].clear();
      mine["url"].pathname = "/elsewhere";
      mine["list"][0].deep.length = 0;
      delete mine["list"];
    }
    expect((await sessions.load(cookie)).takeFlash("notice")).toEqual({ text: "kept" });
  });

  test("R27: a key that was removed, another app → the cache of another manager opens nothing", async () => {
    const store = memoryStore();
    const cookies: string[] = [];
    const manager = (keys: string, app = "") => createSessionManager<Data>({ store, keys, app });
    const old = manager(olderKey);
    const session = await old.load(null);
    session.data["n"] = 1;
    cookies.push(cookieOf(await old.commit(session)));
    const both = manager(`${testKeys},${olderKey}`);
    expect((await both.load(cookies[0]!)).data["n"]).toBe(1);
    expect((await manager(testKeys).load(cookies[0]!)).isNew).toBe(true);
    expect((await manager(`${testKeys},${olderKey}`, "other").load(cookies[0]!)).data).toEqual({});
  });

  test("promise 5: every request reads its row, and a session past its limit → has ended", async () => {
    let now = 1_700_000_000_000;
    const { store, counts } = counted(memoryStore());
    const sessions = createSessionManager<Data>({
      store,
      keys: testKeys,
      clock: () => now,
      idleTimeout: "1 h",
    });
    const session = await sessions.load(null);
    session.data["n"] = 1;
    const cookie = cookieOf(await sessions.commit(session));
    for (let request = 0; request < 5; request++) expect((await sessions.load(cookie)).data["n"]).toBe(1);
    expect(counts.get("read")).toBe(5);
    now += 3_600_000;
    expect((await sessions.load(cookie)).isNew).toBe(true);
  });

  test("a session that ended, and close → leave nothing in the cache", async () => {
    const sessions = createSessionManager<Data>({ store: memoryStore(), keys: testKeys });
    const { opened } = settingsOf(sessions as SessionManager<never>);
    const begin = async () => {
      const session = await sessions.load(null);
      session.data["n"] = 1;
      return { session, cookie: cookieOf(await sessions.commit(session)) };
    };
    const [ended, other, left] = [await begin(), await begin(), await begin()];
    const idOf = (cookie: string) =>
      settingsOf(sessions as SessionManager<never>).format.read(cookie.split("=")[1]!)!.id;
    ended.session.destroy();
    await sessions.commit(ended.session);
    other.session.regenerate();
    await sessions.commit(other.session);
    expect([ended, other, left].map(({ cookie }) => opened!.known(idOf(cookie)) === null)).toEqual([
      true,
      true,
      false,
    ]);
    await sessions.close();
    expect(opened!.known(idOf(left.cookie))).toBeNull();
  });

  test("cacheBytes: default → 16 MiB; 0, or rows sealed to cookies → off; not a size → refused", () => {
    const opened = (options: object) =>
      resolveOptions({ store: memoryStore(), keys: generateKey(), ...options }).opened !== null;
    expect(opened({})).toBe(true);
    expect(opened({ cacheBytes: 0 })).toBe(false);
    expect(opened({ sealTo: "cookie" })).toBe(false);
    expect(opened({ alsoOpens: "cookie" })).toBe(false);
    expect(opened({ sealTo: "cookie", cacheBytes: 1_000_000 })).toBe(true);
    for (const cacheBytes of [-1, 1.5, "16 MB", Infinity])
      expect(() => opened({ cacheBytes }), String(cacheBytes)).toThrow(OptionsError);
  });
});

for (const database of databases) {
  describe(database.name, () => {
    for (const size of [10, 5_000]) {
      test(`promise 6: ${size} bytes edited in the database, of a session in the cache → it is refused at the next request`, async () => {
        await using created = await database.createStore();
        await migrate(created.store);
        const sessions = createSessionManager<Data>({
          store: created.store,
          keys: testKeys,
          compressAbove: false,
        });
        const session = await sessions.load(null);
        session.data["text"] = "x".repeat(size);
        const cookie = cookieOf(await sessions.commit(session));
        for (let request = 0; request < 3; request++)
          expect((await sessions.load(cookie)).data["text"]).toHaveLength(size);

        const [row] = await created.store.scan(null, 1);
        const edited = { ...row!, data: row!.data.with(row!.data.length - 1, row!.data.at(-1)! ^ 1) };
        await created.store.update([{ loaded: row!, next: edited }]);
        const refused: unknown[] = [];
        const listen = (event: unknown) => void refused.push(event);
        channels.refuse.subscribe(listen);
        try {
          expect((await sessions.load(cookie)).data).toEqual({});
        } finally {
          channels.refuse.unsubscribe(listen);
        }
        expect(refused).toMatchObject([{ reason: "tag" }]);
      });
    }

    test("a large row that is known → its data is not transferred again", async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const store = created.store as SqlStore;
      const rows = [2_000, 40_000, 100].map((size, n): SessionRow => {
        const times = { createdAt: 1, updatedAt: 1, absoluteExpiresAt: 9, expiresAt: 9 };
        const id = new Uint8Array(32).fill(n);
        return { id, data: new Uint8Array(size).fill(n), version: n, userRef: null, ...times, client: null };
      });
      await store.insert(rows);
      const read = await store.read(
        rows.map(({ id }) => id),
        rows,
      );
      expect(read.slice(0, 2).map((row, n) => row!.data === rows[n]!.data)).toEqual([true, true]);
      expect(read[2]!.data).toEqual(rows[2]!.data);
      const [alone] = await store.read([rows[1]!.id], [rows[1]!]);
      expect(alone!.data).toBe(rows[1]!.data);
    });

    test("promise 6: known rows that differ from the stored ones in any way → the stored ones are read", async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const { store } = created;
      const sizes = [100, 354, 2_000, 5_000, 40_000];
      const rows = sizes.map((size, n): SessionRow => {
        const times = { createdAt: 1, updatedAt: 2, absoluteExpiresAt: 9_000, expiresAt: 8_000 };
        const [id, userRef] = [
          new Uint8Array(32).fill(n + 1),
          n % 2 === 0 ? null : new Uint8Array(32).fill(9),
        ];
        return { id, data: new Uint8Array(size).fill(n + 1), version: 7, userRef, ...times, client: null };
      });
      await store.insert(rows.filter((_, n) => n !== 3)); // the fourth has ended
      const stored = rows.map((row, n) => (n === 3 ? null : row));
      const ids = rows.map(({ id }) => id);
      const forged: Record<string, (row: SessionRow, n: number) => SessionRow | null> = {
        "the same": (row) => row,
        none: () => null,
        "every other": (row, n) => (n % 2 === 0 ? row : null),
        "the first byte": (row) => ({ ...row, data: row.data.with(0, 200) }),
        "the last byte": (row) => ({ ...row, data: row.data.with(row.data.length - 1, 200) }),
        "one byte more": (row) => ({ ...row, data: new Uint8Array([...row.data, row.data[0]!]) }),
        "one byte less": (row) => ({ ...row, data: row.data.slice(1) }),
        "only other times and another version": (row) => ({ ...row, version: 8, updatedAt: 5, expiresAt: 5 }),
        "another user, or none": (row) => ({
          ...row,
          userRef: row.userRef ? null : new Uint8Array(32).fill(9),
        }),
        "the data of another row": (row, n) => ({ ...row, data: rows[(n + 1) % rows.length]!.data }),
        "another row": (_, n) => rows[(n + 1) % rows.length]!,
      };
      const plain = (found: readonly (SessionRow | null)[]) =>
        found.map((row) => row && { ...row, data: Buffer.from(row.data).toString("hex") });
      for (const [name, forge] of Object.entries(forged)) {
        const known = rows.map(forge);
        expect(plain(await store.read(ids, known)), name).toEqual(plain(stored));
        for (const [n, id] of ids.entries())
          expect(plain(await store.read([id], [known[n]!])), `${name}, alone`).toEqual(plain([stored[n]!]));
      }
    });
  });
}
