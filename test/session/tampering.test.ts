import assert from "node:assert/strict";
import { test } from "vitest";
import { createSessionManager, memoryStore, type SessionRow, type SessionStore } from "../../src/index.ts";
import { channels } from "../../src/telemetry/channels.ts";
import { around, cookieOf, testKeys } from "./doubles.ts";

const now = 1_700_000_000_000;
const count = 300;

/** A store whose answers can be exchanged, as if somebody had edited the database. */
function editable(store: SessionStore): { store: SessionStore; edit: (row: SessionRow) => SessionRow } {
  const self: { store: SessionStore; edit: (row: SessionRow) => SessionRow } = {
    edit: (row) => row,
    store: around(store, async (operation, call): Promise<unknown> => {
      const answer = await call();
      if (operation !== "read") return answer;
      return (answer as (SessionRow | null)[]).map((row) => row && self.edit(row));
    }),
  };
  return self;
}

async function fill(sealTo: "keys" | "cookie") {
  const table = memoryStore();
  const edited = editable(table);
  const sessions = createSessionManager<{ n: number }>({
    store: edited.store,
    keys: testKeys,
    clock: () => now,
    sealTo,
  });
  const cookies: string[] = [];
  for (let n = 0; n < count; n++) {
    const session = await sessions.load(null, { address: "192.0.2.1" });
    session.login(`user ${n % 3}`); // rows of the same user and of others
    session.data.n = n;
    cookies.push(cookieOf(await sessions.commit(session)));
  }
  const rows: SessionRow[] = [];
  edited.edit = (row) => {
    rows.push(row);
    return row;
  };
  for (const cookie of cookies) await sessions.load(cookie);
  return { sessions, cookies, rows, edited };
}

for (const sealTo of ["keys", "cookie"] as const) {
  test(`promise 6, R22: every pair of ${count} rows swapped, sealed to ${sealTo} → refused`, async () => {
    const { sessions, cookies, rows, edited } = await fill(sealTo);
    let refused = 0;
    const listen = () => void refused++;
    channels.refuse.subscribe(listen);
    try {
      for (let i = 0; i < count; i++) {
        for (let j = 0; j < count; j++) {
          if (i === j) continue;
          // everything of the other row, under this row's id
          edited.edit = () => ({ ...rows[j]!, id: rows[i]!.id });
          const session = await sessions.load(cookies[i]!);
          assert.equal(session.data.n, undefined);
        }
      }
    } finally {
      channels.refuse.unsubscribe(listen);
    }
    assert.equal(refused, count * (count - 1));
  }, 120_000);

  test(`promise 6, R16, R22: every edit of one sealed column, sealed to ${sealTo} → refused`, async () => {
    const { sessions, cookies, rows, edited } = await fill(sealTo);
    const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
    const other = (i: number) => rows[(i + 1) % count]!;
    const edits: Record<string, (row: SessionRow, i: number) => Partial<SessionRow>> = {
      id: (row) => ({ id: flipped(row.id, 31) }),
      "data, one bit": (row, i) => ({ data: flipped(row.data, i % row.data.length) }),
      "data of another row": (_row, i) => ({ data: other(i).data }),
      "data cut": (row) => ({ data: row.data.subarray(0, row.data.length - 1) }),
      "data emptied": () => ({ data: new Uint8Array() }),
      "version + 1": (row) => ({ version: row.version + 1 }),
      "version of another row": (_row, i) => ({ version: other(i).version }),
      "user_ref of another user": (_row, i) => ({ userRef: other(i).userRef }),
      "user_ref removed": () => ({ userRef: null }),
      "created_at + 1": (row) => ({ createdAt: row.createdAt + 1 }),
      "created_at - 1": (row) => ({ createdAt: row.createdAt - 1 }),
      "absolute_expires_at + 1": (row) => ({ absoluteExpiresAt: row.absoluteExpiresAt + 1 }),
      "absolute_expires_at - 1": (row) => ({ absoluteExpiresAt: row.absoluteExpiresAt - 1 }),
      "expires_at past the absolute limit": (row) => ({ expiresAt: row.absoluteExpiresAt + 1 }),
      "updated_at past expires_at": (row) => ({ updatedAt: row.expiresAt + 1 }),
    };
    for (const [name, edit] of Object.entries(edits)) {
      for (let i = 0; i < count; i++) {
        edited.edit = (row) => ({ ...row, ...edit(row, i) });
        const session = await sessions.load(cookies[i]!);
        assert.equal(session.data.n, undefined, name);
        assert.equal(session.user, undefined, name);
      }
    }
  });
}

test("promise 5, R14: expires_at or updated_at is edited → no session lives longer", async () => {
  let clock = now;
  const edited = editable(memoryStore());
  const sessions = createSessionManager<{ n: number }>({
    store: edited.store,
    keys: testKeys,
    clock: () => clock,
    idleTimeout: "15 min",
    absoluteTimeout: "12 h",
  });
  const session = await sessions.load(null);
  session.data.n = 1;
  const cookie = cookieOf(await sessions.commit(session));
  const idle = 15 * 60_000;
  for (const edit of [
    { expiresAt: now + idle + 1 },
    { expiresAt: now + 12 * 3_600_000 },
    { updatedAt: now + 1 },
    { updatedAt: now + idle },
  ]) {
    edited.edit = (row) => ({ ...row, ...edit });
    clock = now + idle;
    assert.equal((await sessions.load(cookie)).isNew, true, JSON.stringify(edit));
  }
});

test("promise 6: a client column that was edited or copied → not shown", async () => {
  const edited = editable(memoryStore());
  const sessions = createSessionManager({ store: edited.store, keys: testKeys, clock: () => now });
  const session = await sessions.load(null, { address: "192.0.2.1", userAgent: "Browser" });
  session.login("1");
  const cookie = cookieOf(await sessions.commit(session));
  const { handle } = await sessions.load(cookie);
  assert.deepEqual((await sessions.find(handle))!.client, { address: "192.0.2.1", userAgent: "Browser" });
  edited.edit = (row) => ({ ...row, client: row.client!.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) });
  assert.equal((await sessions.find(handle))!.client, null);
});
