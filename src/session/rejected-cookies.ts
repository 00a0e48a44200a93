import type { Refusals } from "../audit/refusals.ts";
import { channels, type RefuseEvent } from "../telemetry/channels.ts";

/** Why a cookie's value was rejected: its shape is wrong, or no key of the ring made its tag. */
export type CookieRejection = "malformed" | "unknown_key";

// Shared objects: a flood of forged cookies allocates nothing.
const events: Readonly<Record<CookieRejection, RefuseEvent>> = {
  malformed: Object.freeze({ reason: "malformed" }),
  unknown_key: Object.freeze({ reason: "unknown_key" }),
};

const minute = 60_000;
/** Per minute. Scanners and old browsers send fewer. */
const enough = 20;

/**
 * Reports cookies that no key of the ring made. Each is published on the channel `refuse`. If there are many within a
 * minute, and more than accepted ones, this process probably has different keys from the one that set them, and a single
 * process warning says so.
 */
export class RejectedCookies {
  readonly #now: () => number;
  readonly #refusals: Refusals | undefined;
  #began = -Infinity;
  #rejected = 0;
  #accepted = 0;
  #warned = false;

  constructor(now: () => number, refusals?: Refusals) {
    this.#now = now;
    this.#refusals = refusals;
  }

  accept(): void {
    if (this.#rejected > 0) this.#accepted++;
  }

  reject(reason: CookieRejection): void {
    this.#refusals?.refused(`cookie ${reason}`);
    if (channels.refuse.hasSubscribers) channels.refuse.publish(events[reason]);
    if (reason !== "unknown_key" || this.#warned) return;
    const now = this.#now();
    if (!(now >= this.#began && now - this.#began < minute)) {
      this.#began = now;
      this.#rejected = 0;
      this.#accepted = 0;
    }
    this.#rejected++;
    if (this.#rejected < enough || this.#accepted >= this.#rejected) return;
    this.#warned = true;
    process.emitWarning(
      `${this.#rejected} session cookies within a minute have tags that no key of this process made, and ${this.#accepted} were accepted: these visitors are logged out. Compare STORED_SESSION_KEYS with that of the other servers and of the last deploy; "stored-session check" shows whether the keys open the stored sessions. If a key is missing by mistake, add it at the end of the ring; if you removed it on purpose, such as after a leak, leave it out. If the keys are right, somebody sends forged cookies, which costs no statement.`,
      { code: "STORED_SESSION_UNKNOWN_KEY" },
    );
  }
}
