import type { Deadlines, Limited } from "../shared/deadlines.ts";
import type { RowUpdate, SessionRow } from "../store/row.ts";
import type { Departure } from "./store-pace.ts";

/** The kinds of operation. A batch contains operations of one kind. */
export type BatchKind = "read" | "insert" | "update" | "replace" | "touch" | "delete" | "record";

/** Operations sent together. */
export interface Batch {
  readonly kind: BatchKind;
  readonly operations: readonly Operation[];
  readonly departure: Departure;
  lane: "taken" | "free";
}

export class Operation implements Limited {
  readonly #owner: Owner;
  readonly deadlines: Deadlines;
  readonly kind: BatchKind;
  readonly id: Uint8Array;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  item: unknown;
  key = "";
  /** The shard that its row is on; null when that is not known. */
  shard: number | null = null;
  state: "waiting" | "sent" | "settled" = "waiting";
  batch: Batch | null = null;
  /** Its batch failed, so it is sent individually. */
  alone = false;
  deadline = 0;
  earlier: Limited | null = null;
  later: Limited | null = null;

  constructor(
    owner: Owner,
    deadlines: Deadlines,
    kind: BatchKind,
    id: Uint8Array,
    item: unknown,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#owner = owner;
    this.deadlines = deadlines;
    this.kind = kind;
    this.id = id;
    this.item = item;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Bytes of session data sent to the store. */
  get bytes(): number {
    if (this.item === null) return 0;
    if (this.kind === "insert") return (this.item as SessionRow).data?.length ?? 0;
    return this.kind === "update" || this.kind === "replace"
      ? ((this.item as RowUpdate).next.data?.length ?? 0)
      : 0;
  }

  expire(): void {
    this.#owner.expire(this);
  }
}

interface Owner {
  expire(operation: Operation): void;
}

/** The order of operations in a batch. */
export function byId(a: Operation, b: Operation): number {
  return Buffer.compare(a.id, b.id);
}
