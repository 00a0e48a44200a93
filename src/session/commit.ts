import type { Content } from "../codec/codec.ts";
import { afterChanges } from "../store/partial-failure.ts";
import { ConflictError, StoreError } from "../errors.ts";
import type { Settings } from "./settings.ts";
import type { Outcome } from "./group-commit.ts";
import { changeOfUser } from "./identity.ts";
import { assertLogin, assertSameUser, remedyOfSwitch } from "./login-rules.ts";
import { changeIn } from "./merge.ts";
import type { Cut } from "./pending.ts";
import type { Records } from "./records.ts";
import { Renewal } from "./renewal.ts";
import { sameBytes } from "../shared/bytes.ts";
import { conformForSaving } from "./schema.ts";
import type { SessionState } from "./state.ts";
import type { SessionChange, Waiting, Wanted, Writes } from "./writes.ts";
import type { Found } from "./write-engine.ts";

/** The most steps of one commit: far more than an application requests while one is running. */
const MOST_STEPS = 100;

/**
 * What a commit does for each state of a session. Knows nothing of requests; it returns a `Set-Cookie` value, or null if
 * there is nothing to send.
 *
 * The application may request an operation at any time, also while a step waits for the store or for a hook. Each step
 * has a cut of what is pending, and checks again after waiting: what was requested since is left to the next step
 * (decision 19; pending.ts has a drawing).
 */
export class Committer {
  readonly #settings: Settings;
  readonly #writes: Writes;
  readonly #renewal: Renewal;
  readonly #hasHooks: boolean;

  constructor(records: Records, writes: Writes) {
    this.#settings = records.settings;
    this.#writes = writes;
    this.#renewal = new Renewal(records, writes);
    const { userOf, schema, format } = this.#settings;
    this.#hasHooks = (userOf ?? schema ?? format.userOf) !== undefined;
  }

  async commit(state: SessionState): Promise<string | null> {
    const { changes } = state;
    const cut = state.pending.cut();
    try {
      await this.settle(state);
    } catch (error) {
      throw afterChanges(error, state.changes - changes, "changed");
    }
    const due = state.cookieDue ? state.setCookie : null;
    // If an operation was requested meanwhile, the next commit returns the cookie again.
    state.cookieDue &&= state.pending.hasGrownSince(cut);
    return due;
  }

  /** Performs everything that was requested, including what is requested meanwhile. */
  async settle(state: SessionState): Promise<void> {
    if (state.settings !== this.#settings) {
      throw new TypeError("This session was loaded by another manager. Commit it with that manager.");
    }
    for (let step = 0; step < MOST_STEPS; step++) {
      const cut = state.pending.cut();
      if ((await this.#step(state, cut)) && !state.pending.hasGrownSince(cut)) return;
    }
    if (state.intent !== "save") await this.#endNow(state, state.pending.cut());
    throw new TypeError(
      "Each attempt to save the session requests another login, reset, regenerate or destroy. Do not call these methods in hooks such as `schema` and `userOf`.",
    );
  }

  /** False if there is more to do. */
  async #step(state: SessionState, cut: Cut): Promise<boolean> {
    if (state.ended) return true;
    if (state.intent === "destroy") return this.#destroy(state, cut);
    if (!state.lost.isEmpty && (await this.#writes.recovery.findLost(state))) return false;
    if (state.intent !== "save") void state.content; // opens the row, which may be refused
    let wanted: Prepared | null = null;
    if (state.opened) wanted = this.#hasHooks ? await this.#prepare(state, cut) : prepared(state);
    if (this.#writes.isPastLimit(state) && !(await this.#writes.isAlive(state))) {
      return this.#endedElsewhere(state, cut);
    }
    if (state.pending.hasGrownSince(cut)) return false;
    if (state.stored === null) {
      if (wanted === null || wanted.empty) return true;
      return this.#writes.insert(state, wanted, state.write(state.nextToken.value));
    }
    return state.intent === "save" ? this.#save(state, wanted, cut) : this.#rotate(state, wanted!, cut);
  }

  /** The content to write, after the application's hooks. Null if it will not be written. */
  async #prepare(state: SessionState, cut: Cut, again = true): Promise<Prepared | null> {
    const { schema, format } = this.#settings;
    if (state.userOf !== undefined) await this.#hook(state, cut, () => this.#setUser(state));
    const before = prepared(state);
    const { plaintext } = before;
    const isUnchanged = state.intent === "save" && state.stored !== null && isStored(state, before);
    if (schema === undefined || before.empty || isUnchanged) return before;
    // The schema gets a copy, so that exactly what it validated is written, even if the data changes meanwhile.
    const copy = format.decode(plaintext);
    const conforming = await this.#hook(state, cut, () => conformForSaving(this.#settings, copy));
    if (conforming === null || state.pending.hasGrownSince(cut)) return null;
    const answer = prepared(state, conforming);
    // Decode a copy: the schema may return shared objects.
    state.working.adopt(plaintext, answer.empty ? state.base : format.decode(answer.plaintext));
    // A schema may drop or rewrite what `userOf` reads. The row must still belong to the user in its data.
    const isAnotherUser = state.userOf !== undefined && state.userAfter(conforming.data) !== conforming.user;
    return isAnotherUser && again ? this.#prepare(state, cut, false) : answer;
  }

  /** Finds the user in the data. A user that changed since the session was stored is a login (decision 4). */
  #setUser(state: SessionState): void {
    const { content, intent, stored } = state;
    if (intent === "login" && !state.pending.isDerived) {
      return assertLogin(this.#settings, content.user, state.userOf!(content.data), state.restarted);
    }
    const user = state.userAfter(content.data);
    const change = stored === null ? "none" : changeOfUser(state.storedUser, user);
    content.user = user;
    state.changeUser(change);
    state.content.user = user;
    if (change === "switch" || change === "sign-out")
      assertSameUser(state.userOf!, state.content, remedyOfSwitch);
  }

  /**
   * Runs a hook of the application. If it throws, a session that was to end does end (R43). Null if it threw about data
   * that will not be written.
   */
  async #hook<Answer>(
    state: SessionState,
    cut: Cut,
    hook: () => Answer | Promise<Answer>,
  ): Promise<Answer | null> {
    try {
      return await hook();
    } catch (error) {
      if (state.pending.hasGrownSince(cut)) return null;
      if (state.intent !== "save") await this.#endNow(state, cut);
      throw error;
    }
  }

  async #endNow(state: SessionState, cut: Cut): Promise<void> {
    if (state.stored !== null) await this.#writes.delete(state);
    state.end(cut);
  }

  /** A session that another request ended is not continued. */
  #endedElsewhere(state: SessionState, cut: Cut): boolean {
    const { intent } = state;
    // A login gets a new session even though the previous one ended. A mere change of id does not.
    if (intent === "login" || (intent === "reset" && state.lost.deleted !== false)) {
      state.forgetStored();
      return false;
    }
    state.end(cut);
    return state.ended;
  }

  async #destroy(state: SessionState, cut: Cut): Promise<boolean> {
    await this.#writes.delete(state);
    const { deleted } = state.lost;
    const isOurs = deleted === "confirmed" || (deleted && !(await this.#writes.recovery.mayGoOn(state)));
    state.end(cut);
    if (isOurs || state.unopened) {
      state.owe(this.#settings.cookie.clear());
      state.device.headers = state.device.clear;
    }
    return state.ended;
  }

  async #rotate(state: SessionState, first: Wanted, cut: Cut): Promise<boolean> {
    const { row } = state.stored!;
    if (await this.#writes.replace(state, first, state.write(state.nextToken.value))) return true;
    const rebase = async (): Promise<Found> => {
      if (await this.#writes.recovery.findLost(state)) return "asked";
      return this.#orEnd(state, cut, () =>
        state.startsOver ? this.#writes.reread(state) : this.#writes.rebase(state),
      );
    };
    const attempt = async (): Promise<Outcome> => {
      const wanted = await this.#orEnd(state, cut, () => this.#prepare(state, cut));
      if (wanted === null || state.pending.hasGrownSince(cut)) return "asked";
      return (await this.#writes.replace(state, wanted, state.write(state.nextToken.value)))
        ? "done"
        : "beaten";
    };
    // Takes a turn: next to a hot session's saves it would hardly ever win a race.
    const outcome = await this.#writes.engine.alone(row, { rebase, attempt });
    if (outcome === "gone") return this.#endedElsewhere(state, cut);
    return outcome === "done";
  }

  /** `onConflict` is a hook too: it may throw, or return a value that cannot be stored (R43). */
  async #orEnd<Answer>(state: SessionState, cut: Cut, work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StoreError) && !state.ended) await this.#endNow(state, cut);
      throw error;
    }
  }

  async #save(state: SessionState, wanted: Wanted | null, cut: Cut): Promise<boolean> {
    // If a lost write may have been applied, the stored state is unknown. Writing again determines it.
    if (isStored(state, wanted) && state.lost.isEmpty) {
      await this.#renewal.keep(state);
      return true;
    }
    const first = () => this.#writes.update(state, wanted!, state.write(null));
    const attempt = async (company: Waiting): Promise<Outcome> => {
      const merged = await this.#prepare(state, cut);
      if (merged === null || state.pending.hasGrownSince(cut) || state.intent !== "save") return "asked";
      return (await this.#writes.updateWith(company, state, merged, state.write(null))) ? "done" : "beaten";
    };
    const change = () => this.#changeOf(state, wanted!);
    const rebase = () => this.#writes.rebase(state);
    const outcome = await this.#writes.engine
      .save(state.stored!.row, { first, rebase, attempt, change })
      .catch((error: unknown): Outcome => {
        // A hook threw about data that will not be written: what was requested meanwhile decides (R43).
        if (
          !state.pending.hasGrownSince(cut) ||
          error instanceof StoreError ||
          error instanceof ConflictError
        )
          throw error;
        return "asked";
      });
    if (outcome === "gone") return this.#endedElsewhere(state, cut);
    return outcome === "done";
  }

  /** What the request changed, for another save to include. */
  #changeOf(state: SessionState, { plaintext }: Wanted): SessionChange | null {
    if (!state.lost.isEmpty || state.startsOver) return null;
    const { format, onConflict } = this.#settings;
    const [base, mine] = [format.decode(state.plaintext!), format.decode(plaintext)];
    const apply = changeIn(format, base, mine, onConflict);
    return this.#writes.changeOf(state, state.write(null, plaintext), apply);
  }
}

interface Prepared extends Wanted {
  /** A new session into which nothing was put: it needs no row. */
  readonly empty: boolean;
}

const nothing: Prepared = { plaintext: new Uint8Array(0), user: undefined, empty: true };

function prepared(state: SessionState, content: Content = state.content): Prepared {
  // A merge may have brought the binding of the login before.
  if (state.intent === "login") content.device = undefined;
  if (state.stored === null && state.isUnused(content)) return nothing;
  const plaintext = state.settings.format.encode(content, state.carriedOver);
  return { plaintext, user: content.user, empty: false };
}

/** Whether there is nothing to write: the session was not opened, or is as it was loaded. */
function isStored({ plaintext }: SessionState, wanted: Wanted | null): boolean {
  return wanted === null || sameBytes(wanted.plaintext, plaintext!);
}
