import { setTimeout as pause } from "node:timers/promises";
import { StoreError } from "../errors.ts";
import type { AuditEvent } from "../audit/events.ts";

/** How often new events are looked for, in milliseconds. */
const LOOK_EVERY = 1_000;
/** Transactions of other processes may end this much later than their events' times, in milliseconds. */
const LATE = 10_000;

export interface Tail {
  /** Events from a time on, oldest first. */
  list(since: Date): AsyncIterable<AuditEvent>;
  /** Takes each event once. */
  print(event: AuditEvent): void;
  /** Takes a failure of the store, after which the next look tries again; null once it answers. */
  onOutage(error: StoreError | null): void;
  readonly now: number;
  /** Also shows the events since then. */
  readonly since?: Date | undefined;
  readonly signal: AbortSignal;
  readonly every?: number;
}

/** Prints events as they are written, until `signal`. None is left out or printed twice, also when the store is down meanwhile. */
export async function follow(tail: Tail): Promise<void> {
  const { since, now, signal, every = LOOK_EVERY } = tail;
  const first = since?.getTime() ?? now;
  // Those of before are read to know them, and are not shown.
  const known = new Set<string>();
  let latest = first;
  let isFirst = true;
  let isDown = false;
  while (!signal.aborted) {
    const found = new Set<string>();
    const from = isFirst && since !== undefined ? first : latest - LATE;
    try {
      for await (const event of tail.list(new Date(from))) {
        const isNew = !known.has(event.id);
        known.add(event.id);
        found.add(event.id);
        const isLater = !isFirst || since !== undefined || event.at.getTime() > now;
        if (isNew && isLater) tail.print(event);
        latest = Math.max(latest, event.at.getTime());
      }
      isFirst = false;
      for (const id of known) if (!found.has(id)) known.delete(id);
      if (isDown) tail.onOutage(null);
      isDown = false;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!isDown) tail.onOutage(error);
      isDown = true;
    }
    await pause(every, undefined, { signal }).catch(() => {});
  }
}
