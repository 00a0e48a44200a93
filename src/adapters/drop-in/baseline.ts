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
  readonly #id: string;
  readonly #row: SessionRow;
  readonly #plaintext: Uint8Array;
  readonly #merged: boolean;
  /** Whether this request created the session, so that no other request can know its id. */
  readonly #begun: boolean;
  /** The session's end when the request first loaded it. */
  readonly #end: number;
  /** The stored user, if one was read. */
  readonly #user: string | undefined;
  /** Saves of this request with an unknown outcome. */
  readonly lost: LostWrites<LostSave>;

  private constructor(
    id: string,
    { row, plaintext, merged }: Known,
    begun: boolean,
    end: number,
    lost: LostWrites<LostSave>,
    user: string | undefined,
  ) {
    this.#id = id;
    this.#row = row;
    this.#plaintext = plaintext;
    this.#merged = merged;
    this.#begun = begun;
    this.#end = end;
    this.#user = user;
    this.lost = lost;
  }

  /**
   * @param id as the middleware knows the session
   * @param user the user in the plaintext, if it was decoded
   */
  static loaded(id: string, row: SessionRow, plaintext: Uint8Array, user?: string): Baseline {
    return new Baseline(id, { row, plaintext, merged: false }, false, row.expiresAt, new LostWrites(), user);
  }

  static begun(id: string, row: SessionRow, plaintext: Uint8Array): Baseline {
    const known = { row, plaintext, merged: false };
    return new Baseline(id, known, true, row.expiresAt, new LostWrites(), undefined);
  }

  /** Returns the baseline of the same request after a save. */
  after(known: Known): Baseline {
    return new Baseline(this.#id, known, this.#begun, this.#end, this.lost, undefined);
  }

  /** Returns the baseline of the same request after a touch. */
  touched(row: SessionRow): Baseline {
    const known = { row, plaintext: this.#plaintext, merged: this.#merged };
    return new Baseline(this.#id, known, this.#begun, this.#end, this.lost, this.#user);
  }

  /** Whether it is that of the session with this id. */
  isOf(id: string): boolean {
    return this.#id === id;
  }

  get row(): SessionRow {
    return this.#row;
  }

  get plaintext(): Uint8Array {
    return this.#plaintext;
  }

  get merged(): boolean {
    return this.#merged;
  }

  get begun(): boolean {
    return this.#begun;
  }

  /** The stored user. Undefined if there is none; null if only decoding tells. */
  get user(): string | undefined | null {
    return this.#user ?? (this.#row.userRef === null ? undefined : null);
  }

  /** Whether an end is earlier than the one the request loaded, which means that the application asked for it. */
  isShortenedTo(expiresAt: number): boolean {
    return expiresAt < this.#end - tolerance;
  }

  toJSON(): undefined {
    return undefined;
  }
}
