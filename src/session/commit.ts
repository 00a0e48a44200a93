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

/** Steps of one commit: far more than an application asks for while one is under way. */
const MOST_STEPS = 100;

/**
 * What commit does for each state a session can be in. Nothing here knows of requests; the
 * answer is a `Set-Cookie` value, or null when there is nothing to send.
 *
 * The application may ask for something at any time, also while a step waits for the store or for a hook. Each step
 * is given its cut of what is pending, and looks again after waiting: what was requested since is left to the next step
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
    // Who asked for something meanwhile may look to the next commit for its cookie.
    state.cookieDue &&= state.pending.hasGrownSince(cut);
    return due;
  }

  /** Does all that was asked for, also what is asked for meanwhile. */
  async settle(state: SessionState): Promise<void> {
    if (state.settings !== this.#settings) {
      throw new TypeError("This session was loaded by another manager: commit it there.");
    }
    for (let step = 0; step < MOST_STEPS; step++) {
      const cut = state.pending.cut();
      if ((await this.#step(state, cut)) && !state.pending.hasGrownSince(cut)) return;
    }
    if (state.intent !== "save") await this.#endNow(state, state.pending.cut());
    throw new TypeError(
      "Something asks for a login, reset, regenerate or destroy of the session each time that it is to be saved. Hooks such as `schema` and `userOf` must not.",
    );
  }

  /** False when there is more to do. */
  async #step(state: SessionState, cut: Cut): Promise<boolean> {
    if (state.ended) return true;
    if (state.intent === "destroy") return this.#destroy(state, cut);
    if (!state.lost.isEmpty && (await this.#writes.recovery.findLost(state))) return false;
    if (state.intent !== "save") void state.content; // opens it, which may show that there is nothing to continue
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

  /** The content as it is to be written, after the application's hooks. Null when it will not be written. */
  async #prepare(state: SessionState, cut: Cut, again = true): Promise<Prepared | null> {
    const { schema, format } = this.#settings;
    if (state.userOf !== undefined) await this.#hook(state, cut, () => this.#setUser(state));
    const before = prepared(state);
    const { plaintext } = before;
    const isUnchanged = state.intent === "save" && state.stored !== null && isStored(state, before);
    if (schema === undefined || before.empty || isUnchanged) return before;
    // The schema is given a copy, so that what it passed is what is written, whatever the application does meanwhile.
    const copy = format.decode(plaintext);
    const conforming = await this.#hook(state, cut, () => conformForSaving(this.#settings, copy));
    if (conforming === null || state.pending.hasGrownSince(cut)) return null;
    const answer = prepared(state, conforming);
    // Not with values of the schema's own, which it may give to others as well.
    state.working.adopt(plaintext, answer.empty ? state.base : format.decode(answer.plaintext));
    // A schema may drop or rewrite what `userOf` reads: it is written under the id of its user all the same.
    const isAnotherUser = state.userOf !== undefined && state.userAfter(conforming.data) !== conforming.user;
    return isAnotherUser && again ? this.#prepare(state, cut, false) : answer;
  }

  /** Takes the user from the data. One that changed since the session was stored is a login (decision 4). */
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
   * Runs a hook of the application's. One that throws never leaves a session valid that was to end (R43). Null when it
   * threw about what will not be written.
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

  /** What another request ended is not continued. */
  #endedElsewhere(state: SessionState, cut: Cut): boolean {
    const { intent } = state;
    // Who logs in is owed a session although the one before it ended; who only changes the id is not.
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
    if (isOurs || state.unopened) state.owe(this.#settings.cookie.clear());
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
    // Beside the changes of a hot session that wait in this process it would hardly ever be the faster one.
    const outcome = await this.#writes.engine.alone(row, { rebase, attempt });
    if (outcome === "gone") return this.#endedElsewhere(state, cut);
    return outcome === "done";
  }

  /** `onConflict` is a hook as well: it may throw, or answer what cannot be stored (R43). */
  async #orEnd<Answer>(state: SessionState, cut: Cut, work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StoreError) && !state.ended) await this.#endNow(state, cut);
      throw error;
    }
  }

  async #save(state: SessionState, wanted: Wanted | null, cut: Cut): Promise<boolean> {
    // Where a write may have arrived, what is stored is not known: writing it anew tells.
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
        // A hook threw about what will not be written: what was asked for meanwhile decides (R43).
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

  /** What the request changed, for others to write. */
  #changeOf(state: SessionState, { plaintext }: Wanted): SessionChange | null {
    if (!state.lost.isEmpty || state.startsOver) return null;
    const { format, onConflict } = this.#settings;
    const [base, mine] = [format.decode(state.plaintext!), format.decode(plaintext)];
    const apply = changeIn(format, base, mine, onConflict);
    return this.#writes.changeOf(state, state.write(null, plaintext), apply);
  }
}

interface Prepared extends Wanted {
  /** Nothing in a new session, which is not worth a row. */
  readonly empty: boolean;
}

const nothing: Prepared = { plaintext: new Uint8Array(0), user: undefined, empty: true };

function prepared(state: SessionState, content: Content = state.content): Prepared {
  if (state.stored === null && state.isUnused(content)) return nothing;
  const plaintext = state.settings.format.encode(content, state.carriedOver);
  return { plaintext, user: content.user, empty: false };
}

/** Whether nothing is to be written: the session was not looked at, or is as it was loaded. */
function isStored({ plaintext }: SessionState, wanted: Wanted | null): boolean {
  return wanted === null || sameBytes(wanted.plaintext, plaintext!);
}
