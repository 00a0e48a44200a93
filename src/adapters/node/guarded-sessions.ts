import type { SessionState } from "../../session/state.ts";
import type { SessionEffect } from "../headers.ts";
import { changedSinceCommit, tellOfLateChanges } from "../state.ts";

/** One session that a response waits for. */
export interface Guarded {
  readonly state: SessionState;
  /** Whether `commit` would do nothing, known synchronously: then the response does not wait. */
  isSettled(): boolean;
  commit(): Promise<string | null>;
  /** Called once when a Set-Cookie header is about to be sent. */
  onCookie?(setCookie: string): void;
}

/** The headers that one session requires. */
export interface Effect extends SessionEffect {
  readonly guarded: Guarded;
  /** The application's last known commit or update. */
  readonly turn: unknown;
  /** How often the application had used the session by then. */
  readonly uses: number;
}

/** The headers that the sessions require after a commit; after a failure, those of the sessions committed before it. */
export interface Committed {
  readonly effects: readonly Effect[];
  readonly failure: { readonly error: unknown } | null;
}

/** The sessions that one response waits for. */
export class GuardedSessions {
  readonly #all: Guarded[] = [];
  /** Sessions committed before the response started. Incomplete while that is in progress. */
  #early: Effect[] | null = null;

  add(guarded: Guarded): void {
    this.#all.push(guarded);
  }

  /** The headers that they require. Null if a session still has to be committed. */
  known(): readonly Effect[] | null {
    const early = this.#early;
    if (early === null) return this.#settled();
    if (early.length !== this.#all.length) return null;
    // outer middleware may have changed the session again
    for (const { guarded, turn, setCookie } of early) {
      const { state } = guarded;
      if (state.turn !== turn || state.setCookie !== setCookie || changedSinceCommit(state)) return null;
    }
    return early.map((effect) => ({ ...effect, accessed: effect.guarded.state.accessed }));
  }

  /**
   * Commits them before the response starts. Null if that was done before, or nothing has to be done.
   * @param check called if there is something to commit. What it throws is the failure
   */
  async commitEarly(check: () => void): Promise<Committed | null> {
    if (this.#early !== null) return null;
    this.#early = this.#settled();
    if (this.#early !== null) return null;
    this.#early = [];
    try {
      check();
    } catch (error) {
      return { effects: [], failure: { error } };
    }
    return this.#commit(this.#early);
  }

  commit(): Promise<Committed> {
    return this.#commit([]);
  }

  async #commit(effects: Effect[]): Promise<Committed> {
    for (const guarded of this.#all) {
      const { uses } = guarded.state;
      const before = this.#early?.find((effect) => effect.guarded === guarded);
      try {
        const setCookie = (await guarded.commit()) ?? before?.setCookie ?? null;
        const { accessed, turn } = guarded.state;
        const also = guarded.state.device.headers;
        effects.push({ accessed, setCookie, also, guarded, turn, uses });
      } catch (error) {
        if (before !== undefined && before.setCookie !== null) effects.push(before);
        return { effects, failure: { error } };
      }
    }
    return { effects, failure: null };
  }

  #settled(): Effect[] | null {
    const effects: Effect[] = [];
    for (const guarded of this.#all) {
      if (!guarded.isSettled()) return null;
      const { accessed, turn, uses } = guarded.state;
      const also = guarded.state.device.headers;
      effects.push({ accessed, setCookie: null, also, guarded, turn, uses });
    }
    return effects;
  }

  /** The headers of an error response: the cookies of the sessions that were committed. */
  owed(committed: readonly Effect[]): SessionEffect[] {
    return this.#all.map((guarded) => {
      const setCookie = committed.find((effect) => effect.guarded === guarded)?.setCookie ?? null;
      if (setCookie !== null) guarded.onCookie?.(setCookie);
      const { accessed, device } = guarded.state;
      return { accessed, setCookie, also: setCookie === null ? [] : device.headers };
    });
  }

  /** After the response: warns about changes made after the commit, and watches for more. */
  tellOfLateChanges(effects: readonly Effect[]): void {
    for (const guarded of this.#all) {
      const effect = effects.find((one) => one.guarded === guarded);
      tellOfLateChanges(guarded.state, effect?.uses ?? -1); // one that came later is looked at anyway
    }
  }
}
