import { keyOf } from "../shared/bytes.ts";
import type { SessionRow } from "../store/row.ts";

/** The most sessions to remember. A forgotten one is touched once more than necessary. */
const MOST = 10_000;

/** How long a renewal is remembered, in milliseconds: longer than the requests that loaded the row before it. */
const RENEWED_FOR = 60_000;

/** A touch that was sent. */
interface Sent {
  /** The version of the row that it touched. */
  readonly version: number;
  readonly loadedAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number;
  pending: boolean;
}

type Times = Pick<SessionRow, "updatedAt" | "expiresAt">;

/**
 * The touches and renewals that this process sent recently. Of several requests that loaded the same row, only the first
 * sends one.
 */
export class Touches {
  readonly #touched = new Map<string, Sent>();
  readonly #renewed = new Map<string, { readonly version: number; readonly at: number }>();

  /**
   * Sends a touch, unless one was sent for the same row with nearly the same times.
   * @param every milliseconds between two touches of a session
   * @param send runs in the background. If it rejects, the next request tries again
   * @returns the times of the session after the touch
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
   * Renews a session, unless another request is doing so or has just done so from the same version: this write would not
   * match. If the same version is still stored later, a failover or a restored backup brought it back.
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
  // While one is in flight, another is unnecessary, even if `touchEvery` is very short.
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
