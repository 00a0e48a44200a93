import type { SessionState } from "../../session/state.ts";
import type { SessionEffect } from "../headers.ts";
import { changedSinceCommit, tellOfLateChanges } from "../state.ts";

/** One session that a response waits for. */
export interface Guarded {
  readonly state: SessionState;
  /** Whether `commit` would do nothing, known at once: then the response does not wait. */
  isSettled(): boolean;
  commit(): Promise<string | null>;
  /** Called once when a Set-Cookie header is about to be sent. */
  onCookie?(setCookie: string): void;
}

/** What one session owes to the response. */
export interface Effect extends SessionEffect {
  readonly guarded: Guarded;
  /** The last commit or update of the application's own that was known of. */
  readonly turn: unknown;
}

/** What the sessions owe after a commit: of those before the one that failed, where one did. */
export interface Committed {
  readonly effects: readonly Effect[];
  readonly failure: { readonly error: unknown } | null;
}

/** The sessions that one response waits for. */
export class GuardedSessions {
  readonly #all: Guarded[] = [];
  /** What was committed before the response began; not whole while that is under way. */
  #early: Effect[] | null = null;

  add(guarded: Guarded): void {
    this.#all.push(guarded);
  }

  /** What they owe to the response; null where something is left to commit. */
  known(): readonly Effect[] | null {
    const early = this.#early;
    if (early === null) return this.#settled();
    if (early.length !== this.#all.length) return null;
    // outer middleware may have gone on with the session
    for (const { guarded, turn, setCookie } of early) {
      const { state } = guarded;
      if (state.turn !== turn || state.setCookie !== setCookie || changedSinceCommit(state)) return null;
    }
    return early.map((effect) => ({ ...effect, accessed: effect.guarded.state.accessed }));
  }

  /**
   * Commits them before the response begins. Null where that was done before, or nothing is to be done.
   * @param check called where there is something to commit; what it throws is the failure
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
      const before = this.#early?.find((effect) => effect.guarded === guarded);
      try {
        const setCookie = (await guarded.commit()) ?? before?.setCookie ?? null;
        const { accessed, turn } = guarded.state;
        effects.push({ accessed, setCookie, guarded, turn });
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
      const { accessed, turn } = guarded.state;
      effects.push({ accessed, setCookie: null, guarded, turn });
    }
    return effects;
  }

  /** What the answer to a failure owes to all of them, the cookies of those that were committed. */
  owed(committed: readonly Effect[]): SessionEffect[] {
    return this.#all.map((guarded) => {
      const setCookie = committed.find((effect) => effect.guarded === guarded)?.setCookie ?? null;
      if (setCookie !== null) guarded.onCookie?.(setCookie);
      return { accessed: guarded.state.accessed, setCookie };
    });
  }

  /** Once the response is over: tells of changes that came after the commit, and listens for more of them. */
  tellOfLateChanges(): void {
    for (const { state } of this.#all) tellOfLateChanges(state);
  }
}
