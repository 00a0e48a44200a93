/**
 * What a commit still has to do for a session. The application requests operations at any time, also while a commit
 * waits for the store or for a hook, so they are kept as a list, and a commit works through it in steps. A step cuts the
 * list, does what the part before the cut asks for, and removes that part once its write is confirmed, now or when a
 * lost answer is found. What was added after the cut is for the next step (decision 19). The intent of a step comes from
 * the list: the last login, reset or destroy; otherwise regenerate, if there is one; otherwise a plain save.
 *
 *     new ─────── save, still empty: no row, no cookie ─────────────────────▶ new
 *      │  save, login, regenerate, reset: INSERT
 *      ▼
 *     stored ──── save, unchanged: nothing, a touch or a renewal ───────────▶ stored
 *      │  │ │ └── save, changed: UPDATE ────────────────────────────────────▶ stored
 *      │  │ └──── login, regenerate, reset: REPLACE, which gives a new id ──▶ stored
 *      │  └────── login, and the row is gone: starts with what this request set ▶ new
 *      │  anything else, and the row is gone
 *      │  destroy: DELETE
 *      │  login, regenerate or reset, and a hook threw: DELETE (R43)
 *      ▼
 *     ended ───── login or reset, requested after the end ──────────────────▶ new
 *
 *     INSERT, UPDATE, REPLACE   confirmed: the part before the cut is done, and the response owes the cookie
 *                               does not match: the write engine reads again, merges and retries
 *                               answer lost: recorded (lost-writes.ts), and looked up by the next step
 */

/** What the application can request of a session. */
export type Operation = "login" | "regenerate" | "reset" | "destroy";

/** What the next step of a commit does. */
export type Intent = "save" | Operation;

/** One request of the application. */
interface Requested {
  readonly operation: Operation;
}

/** A point in the list of what was requested: after this one. Null is before the first. */
export type Cut = Requested | null;

/** The operations that the application requested and that are not done, in order. */
export class Pending {
  #list: Requested[] = [];
  #last: Cut = null;
  /** Requested by the data: `userOf` finds another user in it. */
  #derived: "login" | "reset" | null = null;

  /** What the next step does. */
  get intent(): Intent {
    if (this.#derived !== null) return this.#derived;
    // A new id alone adds nothing to an operation that ends the old id anyway.
    const decision = this.#list.findLast(({ operation }) => operation !== "regenerate");
    return (decision ?? this.#list[0])?.operation ?? "save";
  }

  /** Whether `intent` comes from a change of the user in the data, and not from a call by the application. */
  get isDerived(): boolean {
    return this.#derived !== null;
  }

  /** The application requests an operation. A login, reset or destroy overrides what the data says. */
  add(operation: Operation): void {
    this.#last = { operation };
    this.#list.push(this.#last);
    if (operation !== "regenerate") this.#derived = null;
  }

  /** The data has another user than what is stored. */
  derive(operation: "login" | "reset"): void {
    this.#derived = operation;
  }

  /** The end of the list as it is now. */
  cut(): Cut {
    return this.#last;
  }

  /** Whether the application requested anything after the cut. */
  hasGrownSince(cut: Cut): boolean {
    return this.#last !== cut;
  }

  /** Whether anything that was requested before the cut is still to be done. */
  isDue(cut: Cut): boolean {
    return this.#list.some((requested) => requested === cut);
  }

  /**
   * A write under a new id was confirmed: everything before the cut is done.
   * @param isCurrent whether it wrote the working copy of now, and with it the user that the data has
   */
  doneUpTo(cut: Cut, isCurrent: boolean): void {
    this.#list.splice(0, this.#list.findIndex((requested) => requested === cut) + 1);
    if (isCurrent) this.#derived = null;
  }
}
