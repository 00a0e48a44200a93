import { RefusedError } from "../errors.ts";
import type { Records } from "../session/records.ts";
import { publishRefusal } from "../session/refusal.ts";
import type { Token } from "../session/token.ts";
import type { SessionRow } from "../store/row.ts";
import { DropInRows, limited } from "./drop-in/rows.ts";

/** What another library stores under a key. */
export interface Entry<Value> {
  readonly key: string;
  readonly value: Value;
}

/**
 * The content of a row. Null if it is not an entry, or is refused, which is published.
 * @param library the name that its entries have in the data, so that they can share a table with the application's sessions
 */
export function entryIn<Value>(
  records: Records,
  library: string,
  row: SessionRow,
  token: Token | null,
): Entry<Value> | null {
  const { format } = records.settings;
  try {
    const { data } = format.decode(format.open(row, token));
    const entry = data[library] as Entry<Value> | undefined;
    return typeof entry?.key === "string" ? entry : null;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    publishRefusal(row, error, records.settings);
    return null;
  }
}

/** The row of one key. Every write is conditional, and returns false if it did not match. */
export class EntryRow<Value> {
  readonly key: string;
  readonly token: Token;
  readonly #library: string;
  readonly #records: Records;
  readonly #rows: DropInRows;

  constructor(records: Records, library: string, key: string, token: Token) {
    this.#library = library;
    this.key = key;
    this.token = token;
    this.#records = records;
    this.#rows = new DropInRows(records, token);
  }

  /** The entry. Null if there is none, or it has ended. */
  async read(): Promise<Entry<Value> | null> {
    const row = await this.#rows.read();
    return row && this.open(row);
  }

  /** The row, whether ended or not. */
  present(): Promise<SessionRow | null> {
    return this.#rows.present();
  }

  /** The entry of a row. Null if it has ended or belongs to another key. */
  open(row: SessionRow): Entry<Value> | null {
    const entry = this.#rows.isAlive(row)
      ? entryIn<Value>(this.#records, this.#library, row, this.token)
      : null;
    return entry?.key === this.key ? entry : null;
  }

  /** @param present the row as read, or null to insert one */
  async write(
    present: SessionRow | null,
    value: Value,
    { user, end }: { readonly user?: string | undefined; readonly end: number },
  ): Promise<boolean> {
    const { format } = this.#records.settings;
    const data = { [this.#library]: { key: this.key, value } };
    const plaintext = format.encode({ data, user, flash: {} }, null);
    if (present !== null && this.#rows.isAlive(present)) {
      const next = this.#records.next(this.token, plaintext, user, present);
      return this.#records.update(present, limited(this.#records, next, end), "save");
    }
    const row = limited(this.#records, this.#records.begin(this.token, plaintext, user, undefined), end);
    return present === null
      ? this.#records.insert(row, "save", { user })
      : this.#records.replace(present, row, "save", { user });
  }

  delete(): Promise<void> {
    return this.#rows.delete();
  }
}
