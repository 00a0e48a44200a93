import { keyOf } from "../shared/bytes.ts";
import type { SessionRow } from "../store/row.ts";

/** Sessions remembered at most. One that is forgotten is touched once more than it needed. */
const MOST = 10_000;

/** Milliseconds for which a renewal is remembered: longer than a request takes that loaded the row before it. */
const RENEWED_FOR = 60_000;

/** A touch that was sent. */
interface Sent {
  /** The row that it moves the times of. */
  readonly version: number;
  readonly loadedAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number;
  pending: boolean;
}

type Times = Pick<SessionRow, "updatedAt" | "expiresAt">;

/**
 * The touches and renewals that this process has sent of late, so that of the requests that loaded one row only the
 * first sends one.
 */
export class Touches {
  readonly #touched = new Map<string, Sent>();
  readonly #renewed = new Map<string, { readonly version: number; readonly at: number }>();

  /**
   * Sends a touch, unless one was sent from the same row to nearly the same times.
   * @param every milliseconds between two touches of a session
   * @param send off the request's path; it rejects when the touch failed, and the next request tries again
   * @returns the times that the session has by the touch
   */
  once(row: SessionRow, times: Times, every: number, send: () => Promise<void>): Times {
    const key = keyOf(row.id);
    const last = this.#touched.get(key);
    if (last !== undefined && isNeedless(last, row, times, every)) {
      return { updatedAt: last.updatedAt, expiresAt: last.expiresAt };
    }
    const { updatedAt, expiresAt } = times;
    const sent: Sent = { version: row.version, loadedAt: row.updatedAt, updatedAt, expiresAt, pending: true };
    remember(this.#touched, key, sent);
    send().then(
      () => (sent.pending = false),
      () => {
        if (this.#touched.get(key) === sent) this.#touched.delete(key);
      },
    );
    return times;
  }

  /**
   * Renews a session, unless another request does it or has just done it from the same version: then this one's write
   * would not match. A version that is still there later was brought back, by a failover or a restored backup.
   */
  async renewOnce(row: SessionRow, now: number, renew: () => Promise<unknown>): Promise<void> {
    const key = keyOf(row.id);
    const last = this.#renewed.get(key);
    if (last?.version === row.version && Math.abs(now - last.at) < RENEWED_FOR) return;
    const mine = { version: row.version, at: now };
    remember(this.#renewed, key, mine);
    try {
      await renew();
    } catch (error) {
      if (this.#renewed.get(key) === mine) this.#renewed.delete(key);
      throw error;
    }
  }
}

function isNeedless(last: Sent, row: SessionRow, times: Times, every: number): boolean {
  if (last.version !== row.version || last.loadedAt !== row.updatedAt) return false;
  const passed = times.updatedAt - last.updatedAt;
  const apart = Math.abs(times.expiresAt - last.expiresAt);
  // While one is on its way the next is needless, however short `touchEvery` is.
  if (last.pending) return apart <= Math.max(every, 100);
  return passed >= 0 && passed < every && apart <= every;
}

function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MOST) return;
  const [oldest] = map.keys();
  map.delete(oldest!);
}
