/** The part of the store contract that the trail needs, on every store of this package. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { memoryStore } from "../../src/store/memory.ts";
import { migrate } from "../../src/store/migrate.ts";
import { positionOf, type AuditRow, type AuditStore, type RecordedChange } from "../../src/store/audit.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { databases } from "../servers/databases.ts";
import { nextRow, randomRow } from "../servers/rows.ts";

const bytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

function eventAt(chain: Uint8Array, number: number, columns: Partial<AuditRow> = {}): AuditRow {
  return {
    position: positionOf(chain, number),
    at: 1_790_000_000_000 + number,
    event: 2,
    outcome: 0,
    device: 1,
    amount: 1,
    session: bytes(32),
    subject: null,
    body: bytes(80),
    hash: bytes(32),
    mac: bytes(16),
    ...columns,
  };
}

const all = new Uint8Array(32).fill(255);
const none = new Uint8Array(32);

const stores: { name: string; open(): Promise<{ store: SessionStore } & AsyncDisposable> }[] = [
  { name: "memory", open: async () => ({ store: memoryStore(), async [Symbol.asyncDispose]() {} }) },
  ...databases.map((database) => ({
    name: database.name,
    open: async () => {
      const created = await database.createStore();
      await migrate(created.store);
      return created;
    },
  })),
];

describe.each(stores)("audit store: $name", ({ open }) => {
  const run = async (work: (store: SessionStore, audit: AuditStore) => Promise<void>): Promise<void> => {
    await using created = await open();
    await work(created.store, created.store.audit!);
  };

  test("commit: a batch of all kinds → each does what the store's own method does, and says which rows it met", () =>
    run(async (store, audit) => {
      const users = [bytes(32), bytes(32)];
      const rows = Array.from({ length: 12 }, (_, index) => randomRow({ userRef: users[index % 2]! }));
      await store.insert(rows);
      const stale = { ...rows[1]!, version: rows[1]!.version + 1 };
      const [fresh, other] = [randomRow(), randomRow()];
      const changes: RecordedChange[] = [
        { kind: "insert", row: fresh },
        { kind: "insert", row: nextRow(rows[0]!) },
        { kind: "update", loaded: rows[0]!, next: nextRow(rows[0]!) },
        { kind: "update", loaded: stale, next: nextRow(stale) },
        { kind: "replace", loaded: rows[2]!, next: other },
        { kind: "replace", loaded: stale, next: randomRow() },
        { kind: "delete", id: rows[3]!.id },
        { kind: "delete", id: bytes(32) },
        { kind: "deleteByUser", userRefs: [users[0]!], except: [rows[4]!.id] },
        { kind: "deleteByUser", userRefs: [users[1]!], only: rows[5]!.id },
      ];
      const chain = bytes(24);
      const results = await audit.commit(changes, (applied) =>
        applied.filter((one) => one.applied).map((_, index) => eventAt(chain, index + 1)),
      );
      expect(results.map(({ applied }) => applied)).toEqual([
        true,
        false,
        true,
        false,
        true,
        false,
        true,
        false,
        true,
        true,
      ]);
      expect(results[8]!.ended.map(({ id }) => id).toSorted(Buffer.compare)).toEqual(
        [rows[0]!, rows[6]!, rows[8]!, rows[10]!].map(({ id }) => id).toSorted(Buffer.compare),
      );
      expect(results[9]!.ended).toMatchObject([{ userRef: users[1], createdAt: rows[5]!.createdAt }]);
      const left = (await store.scan(null, 100)).map(({ id }) => Buffer.from(id).toString("hex"));
      const kept = [rows[1]!, rows[4]!, rows[7]!, rows[9]!, rows[11]!, fresh, other];
      expect(left).toEqual(kept.map(({ id }) => Buffer.from(id).toString("hex")).toSorted());
      expect(await audit.events(none, all, 100)).toHaveLength(6);
    }));

  test("commit: `append` throws, or a position is taken → nothing is changed", () =>
    run(async (store, audit) => {
      const [row, other] = [randomRow(), randomRow()];
      const chain = bytes(24);
      await audit.commit([{ kind: "insert", row }], () => [eventAt(chain, 1)]);
      const failing = audit.commit(
        [
          { kind: "insert", row: other },
          { kind: "delete", id: row.id },
        ],
        () => {
          throw new Error("no");
        },
      );
      await expect(failing).rejects.toThrow();
      const taken = audit.commit([{ kind: "delete", id: row.id }], () => [eventAt(chain, 1)]);
      await expect(taken).rejects.toThrow();
      expect((await store.scan(null, 10)).map(({ id }) => id)).toEqual([row.id]);
      expect(await audit.events(none, all, 10)).toHaveLength(1);
    }));

  test("deleteExpired: only rows that are still due → deleted and returned", () =>
    run(async (store, audit) => {
      const now = 1_790_000_000_000;
      const times = { createdAt: now - 10_000, updatedAt: now - 9_000, absoluteExpiresAt: now + 10_000 };
      const due = randomRow({ ...times, expiresAt: now - 1 });
      const alive = randomRow({ ...times, expiresAt: now + 1 });
      await store.insert([due, alive]);
      const query = { before: now, idleTimeout: 1, absoluteTimeout: 1, limit: 10, cursor: null };
      expect((await audit.findExpired(query)).ids).toEqual([due.id]);
      const ids = [due.id, alive.id];
      const [result] = await audit.commit([{ kind: "deleteExpired", ids, query }], () => []);
      expect(result!.ended.map(({ id }) => id)).toEqual([due.id]);
      expect((await store.scan(null, 10)).map(({ id }) => id)).toEqual([alive.id]);
    }));

  test("events, heads and find → in order, by each condition, over more chains than one statement lists", () =>
    run(async (_, audit) => {
      const chains = Array.from({ length: 520 }, () => bytes(24)).toSorted(Buffer.compare);
      const subject = bytes(16);
      await audit.commit([], () => chains.map((chain) => eventAt(chain, 1)));
      const rows = [2, 3].map((number) => eventAt(chains[7]!, number, { subject, event: 6 }));
      await audit.commit([], () => rows);
      const heads = await audit.heads();
      expect(heads).toEqual(chains.map((chain, index) => positionOf(chain, index === 7 ? 3 : 1)));
      expect(await audit.find({ subjects: [subject], limit: 10 })).toEqual(rows);
      expect(await audit.find({ subjects: [subject], newestFirst: true, limit: 1 })).toEqual([rows[1]]);
      expect(await audit.find({ events: [6], since: rows[1]!.at, limit: 10 })).toEqual([rows[1]]);
      expect(await audit.find({ session: rows[0]!.session!, limit: 10 })).toEqual([rows[0]]);
      const [first, second] = await audit.find({ limit: 2 });
      expect(await audit.find({ limit: 1, after: first! })).toEqual([second]);
    }));

  test("checkpoints → each number once; counts are added in the same transaction", () =>
    run(async (_, audit) => {
      const checkpoint = { number: 1, at: 5, kind: 0, body: bytes(100), signature: bytes(64) };
      const counts = [{ day: 20_000, event: 2, outcome: 1, device: 3, count: 4 }];
      expect(await audit.addCheckpoint(checkpoint, counts)).toBe(true);
      expect(await audit.addCheckpoint(checkpoint, counts)).toBe(false);
      expect(await audit.addCheckpoint({ ...checkpoint, number: 2, kind: 1 }, counts)).toBe(true);
      expect(await audit.prunedCounts(0, 30_000)).toEqual([{ ...counts[0], count: 8 }]);
      expect(await audit.prunedCounts(20_001, 30_000)).toEqual([]);
      expect(await audit.checkpoints(0, 10)).toHaveLength(2);
      expect(await audit.lastCheckpoint(0)).toEqual(checkpoint);
    }));
});
