import { AuditError } from "../errors.ts";
import { keyOf } from "../shared/bytes.ts";
import { numberOf, positionOf, type AuditStore, type DayCount } from "../store/audit.ts";
import { decodeCheckpoint, kindCode, type Head } from "./checkpoint.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { eventLine } from "./raw.ts";
import { checkpointPages, eventPages } from "./pages.ts";

/** Rows deleted by one statement. */
const STEP = 1_000;
const PAGE = 500;

export interface PruneOptions {
  /** Events of segments that ended before this are deleted. */
  readonly before: number;
  /**
   * Takes the lines of each segment before it is deleted: an export that `audit verify` reads. What it throws ends the run
   * before that segment.
   */
  readonly archive?: ((chain: string, lines: AsyncIterable<string>) => void | Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then. False if another process prunes meanwhile: it stops before it deletes anything further. */
  readonly mayGoOn: () => Promise<boolean>;
}

export interface PruneResult {
  /** Segments deleted, each the chain of one process for at most a day. */
  readonly segments: number;
  readonly events: number;
  readonly checkpoints: number;
}

/**
 * Deletes whole segments that ended before a time. First a signed record says which, with their last hashes, so that
 * verification knows that nothing else is missing; then their rows go, in bounded steps. What a run that died has left is
 * deleted by the next one.
 */
export async function prune(
  store: AuditStore,
  checkpointer: Checkpointer,
  options: PruneOptions,
): Promise<PruneResult> {
  await checkpointer.run();
  let events = await deleteLeftovers(store, checkpointer);
  const due = await dueSegments(store, checkpointer.heads, options.before);
  const done: Head[] = [];
  const counts = new Map<string, DayCount>();
  for (const head of due) {
    options.signal?.throwIfAborted();
    await assertMayGoOn(options);
    // One that was changed stays as evidence.
    if (!(await checkpointer.isWhole(head))) continue;
    await options.archive?.(Buffer.from(head.chain).toString("base64url"), linesOf(store, head, options));
    for (const count of await store.countChain(head.chain)) {
      const key = [count.day, count.event, count.outcome, count.device].join();
      counts.set(key, { ...count, count: count.count + (counts.get(key)?.count ?? 0) });
    }
    done.push(head);
  }
  if (done.length === 0) return { segments: 0, events, checkpoints: 0 };
  await assertMayGoOn(options);
  const floor = await floorOf(store, checkpointer.heads, done);
  if ((await checkpointer.prune(done, floor, [...counts.values()])) === null) {
    throw new AuditError(
      "Another process signed a checkpoint at the same time. Nothing was pruned. Run it again.",
    );
  }
  for (const { chain } of done) events += await deleteAll(store, chain);
  let checkpoints = 0;
  for (;;) {
    const deleted = await store.deleteCheckpoints(floor, STEP);
    checkpoints += deleted;
    if (deleted === 0) break;
  }
  return { segments: done.length, events, checkpoints };
}

async function deleteLeftovers(store: AuditStore, checkpointer: Checkpointer): Promise<number> {
  let deleted = 0;
  for await (const { rows } of checkpointPages(store, 0, PAGE, kindCode("pruned"))) {
    for (const record of rows) {
      // Otherwise whoever adds a row would have us delete events.
      if (!checkpointer.hasSigned(record)) continue;
      for (const { chain } of decodeCheckpoint(record.body)!.heads) deleted += await deleteAll(store, chain);
    }
  }
  return deleted;
}

async function deleteAll(store: AuditStore, chain: Uint8Array): Promise<number> {
  let all = 0;
  for (;;) {
    const deleted = await store.deleteChain(chain, STEP);
    all += deleted;
    if (deleted < STEP) return all;
  }
}

/** Those that ended before, and whose every event is signed. */
async function dueSegments(store: AuditStore, heads: readonly Head[], before: number): Promise<Head[]> {
  const stored = new Map(
    (await store.heads()).map((position) => [keyOf(position.subarray(0, 24)), position]),
  );
  const due: Head[] = [];
  for (const head of heads) {
    const position = stored.get(keyOf(head.chain));
    if (position === undefined || numberOf(position) !== head.number) continue;
    const [last] = await store.events(positionOf(head.chain, head.number - 1), position, 1);
    if (last !== undefined && last.at < before) due.push(head);
  }
  return due;
}

/** The first checkpoint that says something of a chain that stays. */
async function floorOf(store: AuditStore, heads: readonly Head[], done: readonly Head[]): Promise<number> {
  const gone = new Set(done.map(({ chain }) => keyOf(chain)));
  const kept = new Set(heads.map(({ chain }) => keyOf(chain)).filter((name) => !gone.has(name)));
  let floor = 1;
  for await (const { rows } of checkpointPages(store, 0, PAGE)) {
    for (const { number, body } of rows) {
      const content = decodeCheckpoint(body);
      if (content === null || content.heads.some(({ chain }) => kept.has(keyOf(chain)))) return number;
      floor = number + 1;
    }
  }
  return floor;
}

async function assertMayGoOn({ mayGoOn }: PruneOptions): Promise<void> {
  if (await mayGoOn()) return;
  throw new AuditError("Another process began to prune the audit trail. Run it again.");
}

async function* linesOf(store: AuditStore, head: Head, options: PruneOptions): AsyncGenerator<string> {
  const through = positionOf(head.chain, head.number);
  for await (const { rows } of eventPages(store, positionOf(head.chain, 0), through, PAGE)) {
    options.signal?.throwIfAborted();
    await assertMayGoOn(options);
    for (const row of rows) yield eventLine(row);
  }
}
