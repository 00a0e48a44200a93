import { LostWrites } from "../../session/lost-writes.ts";
import type { SessionRow } from "../../store/row.ts";

interface Known {
  readonly row: SessionRow;
  /** What the request last knew to be stored. */
  readonly plaintext: Uint8Array;
  /** Whether the row holds changes of other requests besides, so that it must not be written without merging. */
  readonly merged: boolean;
}

/** A save whose answer was lost: what the request would have known to be stored after it. */
export interface LostSave {
  readonly plaintext: Uint8Array;
  readonly merged: boolean;
}

/** express-session rounds an age, and computes an end from two readings of the clock. */
const tolerance = 10;

/**
 * A session as a request loaded or saved it: what its next save is measured against. It holds the token's bytes, so
 * it shows nothing when it is printed or serialized (R2).
 */
export class Baseline implements Known {
  readonly #known: Known;
  /** Whether this request began the session, so that nobody else can know its id. */
  readonly #begun: boolean;
  /** When the session ended, as far as the request knew when it first met it. */
  readonly #end: number;
  /** The saves of this request whose answer was lost. */
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

  /** The same request's baseline after a save or a touch. */
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

  /** Whether an end is earlier than the one the request found, so that the application must have asked for it. */
  isShortenedTo(expiresAt: number): boolean {
    return expiresAt < this.#end - tolerance;
  }

  toJSON(): undefined {
    return undefined;
  }
}
