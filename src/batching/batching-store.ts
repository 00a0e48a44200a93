/**
 * Longer than 300 lines: the queues, the per-id chains, the lanes and the deadlines change together at every step of an
 * operation. Independent parts are in the other files of this folder.
 */
import { ClosedError, StoreError, StoreOverloadedError, StoreTimeoutError } from "../errors.ts";
import { keyOf } from "../shared/bytes.ts";
import { Deadlines } from "../shared/deadlines.ts";
import { EventLoopLag } from "../shared/event-loop-lag.ts";
import { outsideRequests } from "../shared/outside-requests.ts";
import { LONGER } from "../shared/time-limit.ts";
import { batchSize } from "./batch.ts";
import { byId, Operation, type Batch, type BatchKind } from "./operation.ts";
import type {
  ExpireQuery,
  ExpireResult,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "../store/row.ts";
import { ShardLanes } from "./shard-lanes.ts";
import { StorePace } from "./store-pace.ts";
import type { ChangeResult } from "../store/audit.ts";
import type { HeldLease, RowCount, SessionStore } from "../store/contract.ts";
import type { LimitedLogin } from "../store/session-limit.ts";
import { WaitingTouches } from "./waiting-touches.ts";

export interface BatchingOptions {
  /** Deadline of an operation in milliseconds. Default 5,000. */
  readonly storeTimeout?: number;
  /**
   * Maximum operations that wait for a lane. Further ones are rejected with a StoreOverloadedError (load shedding);
   * touches already at half of it. Default 10,000.
   */
  readonly maxQueue?: number;
  /** Called for every batch that is sent. */
  readonly onBatch?: (kind: BatchKind, size: number) => void;
  /** Writes changes together with their audit events. One batch of them is under way at a time. */
  readonly recorder?: (items: readonly unknown[]) => Promise<readonly ChangeResult[]>;
}

const WRITES: readonly BatchKind[] = ["insert", "update", "replace", "touch", "delete", "record"];

/**
 * Single-row operations over a store that accepts batches.
 *
 * No operation waits for a timer: while a lane is free it is sent at once, and while all lanes are busy operations
 * queue up and are sent together when a lane becomes free, divided over the free lanes. A store with `gather` sends
 * what one turn of the event loop brought (decisions/0016). Batches are ordered by id, so that batches of several
 * processes lock rows in the same order. Of the writes of one id, except touches, one is in flight at a time, in call
 * order.
 *
 * If a batch fails for a reason that one row may have caused, its members are retried individually within the same
 * deadline, so that a row's failure does not affect its neighbors. An operation not completed within `storeTimeout`
 * rejects with a StoreTimeoutError, whose `outcome` is `none` if it was not sent; its lane is released. An operation is
 * not sent if its remaining time is less than two recent statements take (or half of its deadline, if they take
 * longer): otherwise a slow store would only work for callers that have already timed out. Event-loop lag does not
 * count.
 */
export class BatchingStore {
  readonly store: SessionStore;
  readonly #recorder: BatchingOptions["recorder"];
  #isRecording = false;
  readonly #onBatch: ((kind: BatchKind, size: number) => void) | undefined;
  readonly #maxQueue: number;
  readonly #timeout: number;
  readonly #deadlines: Deadlines;
  readonly #laterDeadlines: Deadlines;
  readonly #queues: Readonly<Record<BatchKind, Operation[]>> = {
    read: [],
    insert: [],
    update: [],
    replace: [],
    touch: [],
    delete: [],
    record: [],
  };
  readonly #touches = new WaitingTouches();
  /** Null for a store that does not know on which shard a row is. */
  readonly #shards: ShardLanes | null;
  /** Writes by id, and touches by a separate id: the first is queued or in flight, the others wait for it. */
  readonly #chains = new Map<string, Operation[]>();
  #freeReads: number;
  #freeWrites: number;
  #waiting = 0;
  #open = 0;
  #openLong = 0;
  #flushing = false;
  readonly #pace: StorePace;
  #closing: Promise<void> | null = null;
  #idle: (() => void) | null = null;

  constructor(store: SessionStore, options: BatchingOptions = {}) {
    this.store = store;
    this.#onBatch = options.onBatch;
    this.#recorder = options.recorder;
    this.#maxQueue = options.maxQueue ?? 10_000;
    this.#timeout = options.storeTimeout ?? 5_000;
    const lag = new EventLoopLag(this.#timeout / 50);
    this.#deadlines = new Deadlines(this.#timeout, lag);
    this.#laterDeadlines = new Deadlines(LONGER * this.#timeout, lag);
    this.#pace = new StorePace(store, lag);
    store.giveUpAfter?.(this.#timeout);
    this.#shards =
      store.shardOf === undefined ? null : new ShardLanes((id) => store.shardOf!(id), store.lanes);
    this.#freeReads = store.lanes.read;
    this.#freeWrites = store.lanes.write;
  }

  /**
   * Returns the row, or null if there is none.
   * @param known the row that the caller has, for the store; see {@link SessionStore.read}
   */
  read(id: Uint8Array, known: SessionRow | null = null): Promise<SessionRow | null> {
    return this.#enqueue("read", id, known) as Promise<SessionRow | null>;
  }

  /** Resolves to false if the id exists. */
  insert(row: SessionRow): Promise<boolean> {
    return this.#enqueue("insert", row.id, row) as Promise<boolean>;
  }

  /** Resolves to false if the row is gone or has another version than `loaded`. */
  update(loaded: SessionRow, next: SessionRow): Promise<boolean> {
    return this.#enqueue("update", loaded.id, { loaded, next }) as Promise<boolean>;
  }

  /** Resolves to false if the row is gone, has another version than `loaded`, or the new id exists. */
  replace(loaded: SessionRow, next: SessionRow): Promise<boolean> {
    return this.#enqueue("replace", loaded.id, { loaded, next }) as Promise<boolean>;
  }

  /** A login under a limit of sessions. It is sent as `replace` is, by itself. */
  login(login: LimitedLogin): Promise<ChangeResult> {
    return this.#enqueue("replace", (login.loaded ?? login.next).id, login) as Promise<ChangeResult>;
  }

  /**
   * Skipped if the row is missing or was written later. A touch neither waits for other writes of its session nor
   * delays them: a queued touch is combined with the next one, and dropped if a save, a new id or a delete follows.
   */
  touch(touch: RowTouch): Promise<void> {
    return (this.#joinTouch(touch) ?? this.#enqueue("touch", touch.id, touch)) as Promise<void>;
  }

  /** Resolves to true if the row existed. */
  delete(id: Uint8Array): Promise<boolean> {
    return this.#enqueue("delete", id, id) as Promise<boolean>;
  }

  /** A change with its audit events, as the recorder takes it. It waits for other writes of the same id, as they do for it. */
  record(id: Uint8Array, item: unknown): Promise<ChangeResult> {
    return this.#enqueue("record", id, item) as Promise<ChangeResult>;
  }

  listByUser(userRefs: readonly Uint8Array[], limit: number): Promise<RowInfo[]> {
    return this.#direct(false, () => this.store.listByUser(userRefs, limit));
  }

  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter?: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Promise<number> {
    return this.#direct(true, () => this.store.deleteByUser(userRefs, filter));
  }

  deleteExpired(query: ExpireQuery): Promise<ExpireResult> {
    return this.#direct(true, () => this.store.deleteExpired(query));
  }

  /** 0 if the store cannot find such rows. */
  deleteFuture(query: FutureQuery): Promise<number> {
    return this.#direct(true, () => this.store.deleteFuture?.(query) ?? Promise.resolve(0));
  }

  /** Null if the store cannot count by key. Scans the whole table, as `count` does. */
  async census(now: number): Promise<RowCount[] | null> {
    const { store } = this;
    if (store.census === undefined) return null;
    return await this.#direct(false, () => store.census!(now), this.#laterDeadlines);
  }

  /** Scans the whole table, so its deadline is 12 times as long. `close` does not wait for it. */
  count(now: number): Promise<number> {
    return this.#direct(false, () => this.store.count(now), this.#laterDeadlines);
  }

  scanInfo(after: Uint8Array | null, limit: number): Promise<RowInfo[]> {
    return this.#direct(false, () => this.store.scanInfo(after, limit));
  }

  lease(name: string, holder: string, until: number, now: number): Promise<boolean> {
    return this.#direct(true, () => this.store.lease(name, holder, until, now));
  }

  /** Null if the store does not show its leases. */
  async leases(): Promise<readonly HeldLease[] | null> {
    const { store } = this;
    return store.leases === undefined ? null : await this.#direct(false, () => store.leases!());
  }

  /** Without a time limit. */
  async migrate(): Promise<void> {
    this.#assertOpen();
    await this.store.migrate();
  }

  /**
   * Waits for queued and running operations, then closes the store. Later calls reject with a ClosedError.
   * @throws {StoreTimeoutError} the store did not close within `storeTimeout`: its database does not respond
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const message = `The session store did not close within ${this.#timeout} ms, because its database does not respond. No more statements are sent.`;
      reject(new StoreTimeoutError(message, { outcome: "none" }));
    }, this.#timeout);
    try {
      await Promise.race([this.store.close(), late]);
    } finally {
      clearTimeout(timer);
      this.#deadlines.close();
      this.#laterDeadlines.close();
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw new ClosedError("The session store is closed.");
  }

  #joinTouch(touch: RowTouch): Promise<unknown> | null {
    if (this.#closing || !(touch.id instanceof Uint8Array)) return null;
    return this.#touches.join(touchKeyOf(touch.id), touch);
  }

  #enqueue(kind: BatchKind, id: Uint8Array, item: unknown): Promise<unknown> {
    let touch: Operation | null = null;
    const answer = new Promise((resolve, reject) => {
      this.#assertOpen();
      if (!(id instanceof Uint8Array)) throw new TypeError("A row id must be a Uint8Array.");
      // Nothing waits for a touch, so there is no backpressure on touches: half of the queue is reserved for requests.
      this.#assertPlace(this.#waiting, kind === "touch" ? this.#maxQueue / 2 : this.#maxQueue);
      const operation = new Operation(this, this.#deadlines, kind, id, item, resolve, reject);
      if (this.#shards !== null) operation.shard = this.#shards.shardOf(id);
      this.#begin(operation);
      this.#waiting++;
      if (kind === "touch") touch = operation;
      if (kind === "read" || this.#isFirstOfChain(operation)) {
        this.#queues[kind].push(operation);
        this.#pump();
      }
    });
    if (touch !== null && (touch as Operation).state === "waiting") this.#touches.add(touch, answer);
    return answer;
  }

  #assertPlace(taken: number, most: number): void {
    if (taken < most) return;
    throw new StoreOverloadedError(
      `Load shedding: ${taken} operations are already waiting for the session store, which is too slow for this load or hangs.`,
    );
  }

  /** An operation that uses no lane, with the same deadline and queue limit. */
  async #direct<T>(writes: boolean, work: () => Promise<T>, deadlines = this.#deadlines): Promise<T> {
    this.#assertOpen();
    this.#assertPlace(deadlines === this.#laterDeadlines ? this.#openLong : this.#open, this.#maxQueue);
    return await new Promise<T>((resolve, reject) => {
      const operation = new Operation(
        this,
        deadlines,
        writes ? "delete" : "read",
        NO_ID,
        null,
        resolve as (value: unknown) => void,
        reject,
      );
      operation.state = "sent";
      this.#begin(operation);
      work().then(
        (value) => this.#settle(operation, value, null),
        (error: unknown) => this.#settle(operation, undefined, error),
      );
    });
  }

  #begin(operation: Operation): void {
    operation.deadlines.add(operation);
    if (this.#isLong(operation)) this.#openLong++;
    else this.#open++;
  }

  /** `close` does not wait for these, and they do not delay others. */
  #isLong({ deadlines }: Operation): boolean {
    return deadlines === this.#laterDeadlines;
  }

  /** Settles the caller's promise, once. */
  #settle(operation: Operation, value: unknown, error: unknown): void {
    if (operation.state === "settled") return;
    if (operation.state === "waiting") this.#waiting--;
    if (operation.kind === "touch") this.#touches.remove(operation);
    operation.state = "settled";
    operation.item = null;
    operation.deadlines.remove(operation);
    if (error === null) operation.resolve(value);
    else operation.reject(error);
    if (this.#isLong(operation)) this.#openLong--;
    else if (--this.#open === 0) this.#idle?.();
  }

  /** @internal */
  expire(operation: Operation): void {
    const { kind, state, batch } = operation;
    if (state === "settled") return;
    if (state === "waiting") {
      this.#turnAway(operation);
      this.#pump();
      return;
    }
    const outcome = kind === "read" ? "none" : "unknown";
    const message = `Deadline exceeded: the session store did not complete a ${kind} within ${operation.deadlines.limit} ms.${outcome === "unknown" ? " It may still have been applied. Committing again is safe." : ""}`;
    this.#settle(operation, undefined, new StoreTimeoutError(message, { outcome }));
    if (batch) {
      this.#shards?.timedOut(batch);
      this.#pace.took(this.#timeout, batch.departure);
      // Its other members are still in flight: their ids stay blocked.
      this.#freeLane(batch);
    }
    if (kind !== "read" && operation.key !== "") this.#leaveChain(operation);
    this.#pump();
  }

  /** Drops an operation that was not sent. */
  #turnAway(operation: Operation): void {
    const { kind, deadline, alone } = operation;
    const waited = Math.round(this.#deadlines.now() - deadline + this.#timeout);
    const sent = alone ? "retried individually after its batch had failed" : "sent";
    const message = `Deadline exceeded: a ${kind} waited ${waited} ms in the queue and was not ${sent}. The session store is too slow for this load, or hangs.`;
    this.#settle(operation, undefined, new StoreTimeoutError(message, { outcome: "none" }));
    if (kind !== "read") this.#leaveChain(operation);
  }

  #isFirstOfChain(operation: Operation): boolean {
    operation.key = operation.kind === "touch" ? touchKeyOf(operation.id) : keyOf(operation.id);
    if (operation.kind !== "touch") this.#dropTouch(operation.id);
    const chain = this.#chains.get(operation.key);
    if (chain) {
      chain.push(operation);
      return false;
    }
    this.#chains.set(operation.key, [operation]);
    return true;
  }

  /**
   * Drops the queued touch of a session that is saved, replaced or deleted: each of these moves its times or ends it.
   */
  #dropTouch(id: Uint8Array): void {
    const touch = this.#touches.get(touchKeyOf(id));
    if (touch === undefined) return;
    this.#settle(touch, undefined, null);
    this.#leaveChain(touch);
  }

  /** Releases the next write of the same id. */
  #leaveChain(operation: Operation): void {
    const chain = this.#chains.get(operation.key);
    if (chain?.[0] !== operation) return;
    do chain.shift();
    while (chain[0]?.state === "settled");
    const [next] = chain;
    if (next) this.#queue(next);
    else this.#chains.delete(operation.key);
  }

  /** Inserts by age: it has waited for its turn already, and queues are ordered by age. */
  #queue(operation: Operation): void {
    const queue = this.#queues[operation.kind];
    let at = queue.length;
    while (at > 0 && queue[at - 1]!.deadline > operation.deadline) at--;
    queue.splice(at, 0, operation);
  }

  #pump(): void {
    const { gather = "none" } = this.store.lanes;
    const alone = this.#open <= 1;
    if (gather === "none" || (gather === "busy" && alone)) return this.#dispatch();
    if (this.#flushing) return;
    this.#flushing = true;
    endOfTurn(() => {
      this.#flushing = false;
      this.#dispatch();
    });
  }

  /**
   * Runs after a result arrives, in the async context of one request. What is sent now belongs to others, and the next
   * result arrives in the context in which it was sent.
   */
  #pumpForOthers(): void {
    if (this.#waiting > 0) outsideRequests(() => this.#pump());
  }

  /** Fills the free lanes. Of the writes, those that have waited longest are sent first. */
  #dispatch(): void {
    while (this.#freeReads > 0) {
      const batch = this.#take("read", this.#freeReads);
      if (!batch) break;
      this.#freeReads--;
      void this.#send(batch);
    }
    while (this.#freeWrites > 0) {
      const kind = this.#oldestWrite();
      if (kind === null) break;
      const batch = this.#take(kind, this.#freeWrites);
      if (!batch) continue; // all of that kind had timed out
      this.#freeWrites--;
      void this.#send(batch);
    }
  }

  #oldestWrite(): BatchKind | null {
    let oldest: BatchKind | null = null;
    let deadline = Infinity;
    for (const kind of WRITES) {
      if (kind === "record" && this.#isRecording) continue;
      const queue = this.#queues[kind];
      while (queue[0]?.state === "settled") queue.shift();
      if (queue.length === 0) continue;
      const head = this.#shards === null ? queue[0] : this.#shards.firstWithRoom(queue);
      if (head && head.deadline < deadline) {
        oldest = kind;
        deadline = head.deadline;
      }
    }
    return oldest;
  }

  #take(kind: BatchKind, lanes: number): Batch | null {
    const queue = this.#queues[kind];
    const due = this.#deadlines.now() + Math.min(2 * this.#pace.milliseconds, this.#timeout / 2);
    let operations: Operation[];
    do {
      if (queue.length === 0) return null;
      const taken = this.#takeFrom(queue, kind, lanes);
      if (taken.length === 0) return null;
      operations = [];
      for (const operation of taken) {
        if (operation.state !== "waiting") continue;
        if (operation.deadline < due) this.#turnAway(operation);
        else operations.push(operation);
      }
    } while (operations.length === 0);
    if (kind === "record") this.#isRecording = true;
    if (operations.length > 1) operations.sort(byId);
    const batch: Batch = { kind, operations, departure: this.#pace.begin(), lane: "taken" };
    for (const operation of operations) {
      operation.state = "sent";
      operation.batch = batch;
      if (kind === "touch") this.#touches.remove(operation);
    }
    this.#waiting -= operations.length;
    this.#shards?.begin(batch);
    return batch;
  }

  #takeFrom(queue: Operation[], kind: BatchKind, lanes: number): Operation[] {
    const { maxBatch } = this.store.lanes;
    if (this.#shards !== null && queue[0]!.shard !== null)
      return this.#shards.take(queue, kind, lanes, maxBatch);
    return queue.splice(0, kind === "replace" ? 1 : batchSize(queue, lanes, maxBatch));
  }

  async #send(batch: Batch): Promise<void> {
    const { kind, operations } = batch;
    try {
      await this.#attempt(batch);
    } catch (error) {
      if (operations.length > 1 && mayBeOneRow(kind, error)) this.#divide(batch);
      else for (const operation of operations) this.#settle(operation, undefined, error);
    }
    this.#release(batch);
  }

  /** Requeues the members of a failed batch, each to be sent individually. */
  #divide({ operations }: Batch): void {
    for (const operation of operations) {
      if (operation.state === "settled") continue;
      operation.state = "waiting";
      operation.alone = true;
      operation.batch = null;
      this.#waiting++;
      this.#queue(operation);
    }
  }

  async #attempt(batch: Batch): Promise<void> {
    const { kind, operations } = batch;
    this.#onBatch?.(kind, operations.length);
    const answers = await this.#call(kind, operations);
    this.#shards?.answered(batch);
    this.#pace.took(performance.now() - batch.departure.at, batch.departure);
    if (operations.length > AT_ONCE) this.#hasAnswered(operations);
    for (const [index, operation] of operations.entries()) {
      if (index > 0 && index % AT_ONCE === 0) await new Promise<void>((resolve) => void endOfTurn(resolve));
      this.#settle(operation, answers[index], null);
    }
  }

  /** Some callers learn of it a turn or more later. Meanwhile deadlines are suspended, and the lane continues. */
  #hasAnswered(operations: readonly Operation[]): void {
    for (const operation of operations) operation.deadlines.remove(operation);
    const { batch } = operations[0]!;
    if (batch) this.#freeLane(batch);
    this.#pumpForOthers();
  }

  #call(kind: BatchKind, operations: readonly Operation[]): Promise<readonly unknown[]> {
    if (kind === "read") return this.#readShared(operations);
    const { store } = this;
    const items = operations.map(({ item }) => item);
    switch (kind) {
      case "insert":
        return store.insert(items as SessionRow[]);
      case "update":
        return store.update(items as RowUpdate[]);
      case "replace": {
        const item = items[0] as RowUpdate | LimitedLogin;
        const replacing: Promise<unknown> =
          "limit" in item ? store.login!(item) : store.replace(item.loaded, item.next);
        return replacing.then((answer) => [answer]);
      }
      case "touch":
        return store.touch(items as RowTouch[]).then(() => []);
      case "delete":
        return store.delete(items as Uint8Array[]);
      case "record":
        return this.#recorder!(items);
    }
  }

  /** Concurrent reads of the same id share one. */
  #readShared(operations: readonly Operation[]): Promise<readonly unknown[]> {
    const ids: Uint8Array[] = [];
    const known: (SessionRow | null)[] = [];
    const places: number[] = [];
    let isAnyKnown = false;
    for (const { id, item } of operations) {
      const last = ids.at(-1);
      if (!last || Buffer.compare(last, id) !== 0) known[ids.push(id) - 1] = null;
      if (item !== null) {
        known[ids.length - 1] = item as SessionRow;
        isAnyKnown = true;
      }
      places.push(ids.length - 1);
    }
    const reading = isAnyKnown ? this.store.read(ids, known) : this.store.read(ids);
    if (places.length === ids.length) return reading;
    return reading.then((rows) => places.map((place) => rows[place]));
  }

  /** Releases the lane and the ids after the batch has completed. */
  #release(batch: Batch): void {
    this.#freeLane(batch);
    if (batch.kind !== "read") {
      for (const operation of batch.operations)
        if (operation.state === "settled") this.#leaveChain(operation);
    }
    this.#pumpForOthers();
  }

  /** At the latest after the deadline of the batch's oldest operation. */
  #freeLane(batch: Batch): void {
    if (batch.lane === "free") return;
    batch.lane = "free";
    this.#shards?.end(batch);
    this.#pace.end();
    if (batch.kind === "record") this.#isRecording = false;
    if (batch.kind === "read") this.#freeReads++;
    else this.#freeWrites++;
  }
}

/** The runtime's own, even if the application's tests install fake timers. */
const endOfTurn = setImmediate;

/** Callers settled in one turn: what each does next, such as a response, occupies the event loop. */
const AT_ONCE = 16;

/** Touches of a session are ordered among themselves and independent of its other writes. */
function touchKeyOf(id: Uint8Array): string {
  return `touch ${keyOf(id)}`;
}

const NO_ID = new Uint8Array(0);

/**
 * Whether one row may have caused the failure of a batch. A connection, disk or missing table fails every row alike,
 * and a write of unknown outcome is not repeated. Neither is a read that timed out: it waits for no row lock, so the
 * store is too slow, and would be slower with individual reads.
 */
function mayBeOneRow(kind: BatchKind, error: unknown): boolean {
  if (!(error instanceof StoreError)) return true;
  return error.mayBeOneRow && !(kind === "read" && error instanceof StoreTimeoutError);
}
