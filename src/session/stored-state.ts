import { sameBytes } from "../shared/bytes.ts";
import type { SessionRow } from "../store/row.ts";
import type { SessionFormat } from "./format.ts";
import type { Token } from "./token.ts";
import { withUnknownKeys } from "./unknown-keys.ts";
import type { Written } from "./write.ts";

/** A row, and the token that opens it. */
export interface Stored {
  readonly row: SessionRow;
  readonly token: Token;
}

/** A session as the store has it: as this request last read or wrote it. Immutable. */
export class StoredState implements Stored {
  readonly row: SessionRow;
  readonly token: Token;
  /** The bytes of the content as the application sees it; null until the row is opened. */
  readonly plaintext: Uint8Array | null;
  /** The bytes that the row holds, if they contain keys that the schema strips; otherwise null. */
  readonly under: Uint8Array | null;
  /** The epoch of the working copy that was written; see `WorkingCopy.epoch`. */
  readonly epoch: number;

  constructor({ row, token }: Stored, { plaintext, under }: Written | Unopened, epoch: number) {
    this.row = row;
    this.token = token;
    this.plaintext = plaintext;
    this.under = under;
    this.epoch = epoch;
  }

  /** The state after a read that returned this row. */
  static unopened(stored: Stored): StoredState {
    return new StoredState(stored, unopened, 0);
  }

  /** The same with the bytes that the row holds. */
  withContent(written: Written | Unopened): StoredState {
    return new StoredState(this, written, this.epoch);
  }

  /** The same content in a row with other times or another version. */
  withRow(row: SessionRow): StoredState {
    return new StoredState({ row, token: this.token }, this, this.epoch);
  }

  /** Both byte strings of an opened row. */
  get written(): Written {
    return { plaintext: this.plaintext!, under: this.under };
  }

  /** What to store for a content that replaces this one: with the keys that the schema strips. */
  keepingUnknownKeys(format: SessionFormat, plaintext: Uint8Array): Written {
    if (this.under === null) return { plaintext, under: null };
    const mine = format.decode(plaintext);
    const { data: stored } = format.decode(this.under);
    const { data: seen } = format.decode(this.plaintext!);
    const data = withUnknownKeys(stored, seen, mine.data, (a, b) => format.same(a, b));
    const under = format.encode({ ...mine, data }, this.under);
    return { plaintext, under: sameBytes(under, plaintext) ? null : under };
  }
}

interface Unopened {
  readonly plaintext: Uint8Array | null;
  readonly under: Uint8Array | null;
}

/** What is known of the content of a row that was not opened. */
export const unopened: Unopened = { plaintext: null, under: null };
