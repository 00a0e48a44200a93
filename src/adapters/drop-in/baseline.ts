import { LostWrites } from "../../session/lost-writes.ts";
import type { SessionRow } from "../../store/row.ts";

interface Known {
  readonly row: SessionRow;
  /** The state that the request last knew to be stored. */
  readonly plaintext: Uint8Array;
  /** Whether the row also contains changes of other requests, so that it must not be written without merging. */
  readonly merged: boolean;
}

/** A save with an unknown outcome: the state that would be stored if it was applied. */
export interface LostSave {
  readonly plaintext: Uint8Array;
  readonly merged: boolean;
}

/** express-session rounds the age and computes the end from two readings of the clock. */
const tolerance = 10;

/**
 * A session as a request loaded or last saved it, which its next save is compared with. Contains the token's bytes, so
 * printing or serializing it shows nothing (R2).
 */
export class Baseline implements Known {
  readonly #known: Known;
  /** Whether this request created the session, so that no other request can know its id. */
  readonly #begun: boolean;
  /** The session's end when the request first loaded it. */
  readonly #end: number;
  /** Saves of this request with an unknown outcome. */
  readonly lost: LostWrites<LostSave>;

  private constructor(known: Known, begun: boolean, end: number, lost: LostWrites<LostSave>) {
    this.#known = known;
    this.#begun = begun;
    this.#end = end;
    this.lost = lost;
  }

  static loaded(row: SessionRow, plaintext: Uint8Array): Baseline {
    return new Baseline({ row, plaintext, merged: false }, false, row.expiresAt, new LostWrites());
  }

  static begun(row: SessionRow, plaintext: Uint8Array): Baseline {
    return new Baseline({ row, plaintext, merged: false }, true, row.expiresAt, new LostWrites());
  }

  /** Returns the baseline of the same request after a save or touch. */
  after(known: Known): Baseline {
    return new Baseline(known, this.#begun, this.#end, this.lost);
  }

  get row(): SessionRow {
    return this.#known.row;
  }

  get plaintext(): Uint8Array {
    return this.#known.plaintext;
  }

  get merged(): boolean {
    return this.#known.merged;
  }

  get begun(): boolean {
    return this.#begun;
  }

  /** Whether an end is earlier than the one the request loaded, which means that the application asked for it. */
  isShortenedTo(expiresAt: number): boolean {
    return expiresAt < this.#end - tolerance;
  }

  toJSON(): undefined {
    return undefined;
  }
}
