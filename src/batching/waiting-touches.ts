import type { RowTouch } from "../store/row.ts";
import type { Operation } from "./operation.ts";

interface Waiting {
  readonly operation: Operation;
  readonly answer: Promise<unknown>;
}

/**
 * The touches that wait for a lane, at most one per session. They are not ordered with the writes of their session: a
 * touch changes no version, and one that arrives after a save changes nothing.
 */
export class WaitingTouches {
  readonly #waiting = new Map<string, Waiting>();

  /** Combines a touch with the waiting touch of its session, and returns that one's promise. */
  join(key: string, touch: RowTouch): Promise<unknown> | null {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return null;
    const { operation, answer } = waiting;
    if (touch.updatedAt >= (operation.item as RowTouch).updatedAt) operation.item = touch;
    return answer;
  }

  add(operation: Operation, answer: Promise<unknown>): void {
    this.#waiting.set(operation.key, { operation, answer });
  }

  /** Forgets a touch that was sent or settled. */
  remove(operation: Operation): void {
    if (this.#waiting.get(operation.key)?.operation === operation) this.#waiting.delete(operation.key);
  }

  /** Removes the touch that a save, a new id or a delete of its session makes unnecessary. */
  get(key: string): Operation | undefined {
    return this.#waiting.get(key)?.operation;
  }
}
