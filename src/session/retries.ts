import { ConflictError } from "../errors.ts";
import { channels, type ConflictEvent } from "../telemetry/channels.ts";
import type { SessionRow } from "../store/row.ts";
import { handleOf } from "./handle.ts";

/** The most attempts of one save that keeps losing races. */
const maxAttempts = 25;

/** The attempts of one commit or update that lost a race to other requests. */
export class Retries {
  readonly #id: Uint8Array;
  readonly #until: number;
  #attempt = 1;

  /** @param limit milliseconds */
  constructor({ id }: Pick<SessionRow, "id">, limit: number) {
    this.#id = id;
    this.#until = performance.now() + limit;
  }

  publish(outcome: ConflictEvent["outcome"]): void {
    if (!channels.conflict.hasSubscribers) return;
    const handle = handleOf(this.#id);
    channels.conflict.publish({ handle, outcome, attempt: this.#attempt } satisfies ConflictEvent);
  }

  /**
   * Waits before the next attempt: not at all for the first two retries, then for a random, growing time, so that other
   * requests can finish.
   * @throws {ConflictError} the attempts or the time are used up
   */
  async pause(): Promise<void> {
    const attempt = this.#attempt;
    if (attempt === maxAttempts || performance.now() > this.#until) {
      this.publish("failed");
      throw new ConflictError(
        `Session ${handleOf(this.#id)} could not be saved: other requests changed it during each of ${attempt} attempts. Nothing of this request was saved. Retry it.`,
      );
    }
    this.#attempt++;
    if (attempt < 3) return;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(2 ** attempt, 50)));
  }
}
