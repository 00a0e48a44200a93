import { RefusedError } from "../errors.ts";
import { hasFormerUserRef, opensAlone } from "./format.ts";
import { isTouchDue, isUsedInFuture } from "./lifetime.ts";
import type { Records } from "./records.ts";
import type { SessionState } from "./state.ts";
import type { Writes } from "./writes.ts";

/** What a commit does with a session that did not change. */
export class Renewal {
  readonly #records: Records;
  readonly #writes: Writes;

  constructor(records: Records, writes: Writes) {
    this.#records = records;
    this.#writes = writes;
  }

  /** Touches the session when that is due, or renews it. */
  async keep(state: SessionState): Promise<void> {
    const { cookie, touchEvery } = this.#records.settings;
    const { row, token } = state.stored!;
    const due = isTouchDue(row, this.#records.now(), touchEvery);
    if (token.stale || (due && (cookie.rolling || this.#isOutdated(state)))) await this.#renew(state);
    else if (due) state.stored = state.stored!.withRow(this.#records.touchLater(row));
  }

  /** Whether the row comes from an earlier configuration, or from a clock that was ahead. A write corrects both. */
  #isOutdated(state: SessionState): boolean {
    const { stored, opened } = state;
    const { format } = this.#records.settings;
    const { row } = stored!;
    if (state.newClient !== undefined) return true;
    if (opensAlone(format, row) !== format.opensWithoutToken) return true;
    // A touch never moves a time backwards.
    if (isUsedInFuture(row, this.#records.now())) return true;
    return opened && hasFormerUserRef(format, row, state.content.user);
  }

  /**
   * Writes an unchanged session again, because its cookie must be sent again (its tag comes from an older key, or the
   * cookie rolls) or its row comes from an earlier configuration. The write also moves row and token to the newest key.
   * If it does not match, a parallel request has done it, or the session has ended.
   */
  async #renew(state: SessionState): Promise<void> {
    try {
      void state.content; // opens the row, which may be refused
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return; // `onUnreadable: "throw"` is for requests that access the session
    }
    if (state.stored === null) return;
    const { content, plaintext } = state;
    const wanted = { plaintext: plaintext!, user: content.user };
    await this.#records.touches.renewOnce(state.stored.row, this.#records.now(), () =>
      this.#writes.update(state, wanted, state.write(null), "renew"),
    );
  }
}
