import { batchSize } from "./batch.ts";
import type { Batch, BatchKind, Operation } from "./operation.ts";
import type { Lanes } from "../store/lanes.ts";

/** Waiting operations that are looked at for one batch. */
const MOST_LOOKED_AT = 4_096;

/**
 * Batches that each go to one shard. A shard has a quarter of the lanes at most, so that one that does not answer holds
 * up its own sessions only. Once a batch of it has timed out, it has one lane until it answers: each batch that is given
 * up costs a connection.
 */
export class ShardLanes {
  readonly #shardOf: (id: Uint8Array) => number | null;
  readonly #most: { readonly read: number; readonly write: number };
  /** Batches under way by shard, of reads and of writes. */
  readonly #busy = { read: new Map<number, number>(), write: new Map<number, number>() };

  readonly #timedOut = new Set<number>();

  constructor(shardOf: (id: Uint8Array) => number | null, lanes: Lanes) {
    this.#shardOf = shardOf;
    this.#most = { read: share(lanes.read), write: share(lanes.write) };
  }

  shardOf(id: Uint8Array): number | null {
    return this.#shardOf(id);
  }

  /** The first of a queue that may be sent now; null when the shards of all are busy. */
  firstWithRoom(queue: readonly Operation[]): Operation | null {
    return queue[this.#find(queue)] ?? null;
  }

  /** Takes from a queue what leaves together: the first that may be sent, and others of its shard. */
  take(queue: Operation[], kind: BatchKind, lanes: number, maxBatch: number): Operation[] {
    const first = this.#find(queue);
    if (first === -1) return [];
    const { shard } = queue[first]!;
    const together = queue
      .slice(first, first + MOST_LOOKED_AT)
      .filter((operation) => operation.state === "waiting" && operation.shard === shard);
    const size = kind === "replace" ? 1 : batchSize(together, lanes, maxBatch);
    const taken = together.slice(0, size);
    const left = new Set(taken);
    let kept = 0;
    for (const operation of queue) if (!left.has(operation)) queue[kept++] = operation;
    queue.length = kept;
    return taken;
  }

  begin({ kind, operations }: Batch): void {
    this.#count(kind, operations[0]!.shard, 1);
  }

  end({ kind, operations }: Batch): void {
    this.#count(kind, operations[0]!.shard, -1);
  }

  timedOut({ operations }: Batch): void {
    const { shard } = operations[0]!;
    if (shard !== null) this.#timedOut.add(shard);
  }

  answered({ operations }: Batch): void {
    if (this.#timedOut.size > 0) this.#timedOut.delete(operations[0]!.shard!);
  }

  /** The index of the first that may be sent now, or -1. Databases without shards come here too: nothing is allocated. */
  #find(queue: readonly Operation[]): number {
    for (let index = 0; index < queue.length; index++) {
      const operation = queue[index]!;
      if (operation.state === "waiting" && this.#hasRoom(operation)) return index;
    }
    return -1;
  }

  #hasRoom({ kind, shard }: Operation): boolean {
    if (shard === null) return true;
    const side = sideOf(kind);
    const most = this.#timedOut.has(shard) ? 1 : this.#most[side];
    return (this.#busy[side].get(shard) ?? 0) < most;
  }

  #count(kind: BatchKind, shard: number | null, change: number): void {
    if (shard === null) return;
    const busy = this.#busy[sideOf(kind)];
    const count = (busy.get(shard) ?? 0) + change;
    if (count === 0) busy.delete(shard);
    else busy.set(shard, count);
  }
}

function share(lanes: number): number {
  return Math.max(1, Math.floor(lanes / 4));
}

function sideOf(kind: BatchKind): "read" | "write" {
  return kind === "read" ? "read" : "write";
}
