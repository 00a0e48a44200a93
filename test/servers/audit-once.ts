/** Each kind of change that the audit trail records, and each question that it asks, once over any store. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { positionOf, type AuditRow, type RecordedChange } from "../../src/store/audit.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { nextRow, randomRow, randomRows } from "./rows.ts";

const bytes = (count: number): Uint8Array => new Uint8Array(randomBytes(count));

export async function auditOnce(store: SessionStore): Promise<void> {
  const audit = store.audit;
  assert.ok(audit !== undefined);
  const subject = bytes(16);
  const chain = new Uint8Array([...subject, ...bytes(8)]);
  let number = 0;
  const events = (): AuditRow[] =>
    Array.from({ length: 2 }, () => ({
      position: positionOf(chain, ++number),
      at: 86_400_000 + number,
      event: 1,
      outcome: 0,
      device: 0,
      amount: 1,
      session: number % 2 === 0 ? bytes(32) : null,
      subject: number % 2 === 0 ? subject : null,
      body: bytes(40),
      hash: bytes(32),
      mac: bytes(16),
    }));
  const commit = async (...changes: RecordedChange[]) => await audit.commit(changes, events);
  const user = bytes(32);
  const other = bytes(32);
  const rows = randomRows(12).map((row, index) => ({ ...row, userRef: index < 9 ? user : other }));
  const applied = (results: readonly { applied: boolean }[]): boolean[] => results.map((one) => one.applied);

  assert.ok(
    applied(await commit(...rows.map((row): RecordedChange => ({ kind: "insert", row })))).every(Boolean),
  );
  const updates = rows.slice(0, 4).map((loaded) => ({ loaded, next: nextRow(loaded) }));
  assert.ok(
    applied(await commit(...updates.map((one): RecordedChange => ({ kind: "update", ...one })))).every(
      Boolean,
    ),
  );
  const beside = besideOf(store, rows[4]!);
  assert.deepEqual(applied(await commit({ kind: "replace", loaded: rows[4]!, next: beside })), [true]);
  assert.deepEqual(
    applied(await commit({ kind: "delete", id: beside.id }, { kind: "delete", id: rows[5]!.id })),
    [true, true],
  );
  const [one] = await commit({ kind: "deleteByUser", userRefs: [user], only: rows[6]!.id });
  assert.equal(one!.ended.length, 1);
  const [most] = await commit({ kind: "deleteByUser", userRefs: [user, bytes(32)], except: [rows[0]!.id] });
  assert.deepEqual(
    most!.ended.map(({ id }) => Buffer.from(id).toString("hex")).toSorted(),
    [1, 2, 3, 7, 8].map((at) => Buffer.from(rows[at]!.id).toString("hex")).toSorted(),
  );
  const ids = rows.slice(9).map(({ id }) => id);
  const due = { before: rows[9]!.expiresAt, cursor: null, limit: 10 };
  await store.touch([{ id: ids[0]!, updatedAt: due.before, expiresAt: due.before + 1_000 }]);
  const [expired] = await commit({ kind: "deleteExpired", ids, query: due as never });
  assert.equal(expired!.ended.length, 2, "a session that was touched meanwhile is kept");
  assert.equal(await store.count(0), 2);
  assert.equal((await audit.ends([rows[0]!.id, ids[0]!, ids[1]!])).length, 2);
  await audit.findExpired(due as never);

  assert.equal((await audit.events(positionOf(chain, 0), positionOf(chain, number), 100)).length, number);
  assert.ok((await audit.heads()).some((head) => Buffer.compare(head, positionOf(chain, number)) === 0));
  assert.ok((await audit.find({ limit: 5, newestFirst: true, subjects: [subject] })).length > 0);
  assert.ok((await audit.find({ limit: 5, newestFirst: false, events: [1, 2] })).length > 0);
  await audit.addSubjects([{ subject, userRef: user, wrapped: bytes(60), erasedAt: 0 }]);
  const [stored] = await audit.subjects([subject]);
  assert.equal(await audit.rewrap(stored!, other, bytes(60)), true);
  assert.equal((await audit.subjectsOf([other])).length, 1);
  assert.equal((await audit.scanSubjects(null, 10)).length > 0, true);
  assert.equal(await audit.eraseSubjects([{ subject, userRef: null, wrapped: bytes(60), erasedAt: 5 }]), 1);
  const at = ((await audit.lastCheckpoint())?.number ?? 0) + 1;
  const checkpoint = { number: at, at: 1, kind: 1, body: bytes(40), signature: bytes(64) };
  const counts = await audit.count(0, 2 * 86_400_000);
  assert.equal(await audit.addCheckpoint(checkpoint, counts), true);
  assert.equal(await audit.addCheckpoint({ ...checkpoint, number: at + 1 }, counts), true);
  assert.equal(await audit.addCheckpoint(checkpoint, counts), false);
  assert.equal((await audit.checkpoints(at - 1, 10, 1)).length, 2);
  assert.ok((await audit.prunedCounts(0, 2)).length > 0);
  assert.ok((await audit.countChain(chain)).length > 0);
  assert.equal(await audit.deleteChain(chain, 3), 3);
  assert.equal(await audit.deleteChain(chain, 1_000), number - 3);
  assert.equal((await audit.deleteCheckpoints(at + 1, 1_000)) > 0, true);
}

/** On the shard of the row that it replaces, as a login draws it. */
function besideOf(store: SessionStore, row: SessionRow): SessionRow {
  const next = (): SessionRow => randomRow({ userRef: row.userRef });
  let beside = next();
  const shard = store.shardOf?.(row.id) ?? null;
  while (shard !== null && store.shardOf!(beside.id) !== shard) beside = next();
  return beside;
}
