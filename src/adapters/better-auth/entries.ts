import { RefusedError } from "../../errors.ts";
import type { Records } from "../../session/records.ts";
import { publishRefusal } from "../../session/refusal.ts";
import type { Token } from "../../session/token.ts";
import type { SessionRow } from "../../store/row.ts";
import { DropInRows, limited } from "../drop-in/rows.ts";

/** A stored value. Null is a tombstone: the value was deleted, and what held it must not be revived. */
export type Value = string | number | null;

export interface Entry {
  readonly key: string;
  readonly value: Value;
}

/** Under this name, so that entries and sessions of the application can share a table. */
const field = "better-auth";

/** The content of a row. Null if it is not an entry, or is refused, which is published. */
export function entryIn(records: Records, row: SessionRow, token: Token | null): Entry | null {
  const { format } = records.settings;
  try {
    const { data } = format.decode(format.open(row, token));
    const entry = data[field] as Entry | undefined;
    return typeof entry?.key === "string" ? entry : null;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    publishRefusal(row, error, records.settings);
    return null;
  }
}

/** The row of one key. Every write is conditional, and returns false if it did not match. */
export class EntryRow {
  readonly key: string;
  readonly token: Token;
  readonly #records: Records;
  readonly #rows: DropInRows;

  constructor(records: Records, key: string, token: Token) {
    this.key = key;
    this.token = token;
    this.#records = records;
    this.#rows = new DropInRows(records, token);
  }

  /** The entry. Null if there is none, or it has ended. */
  async read(): Promise<Entry | null> {
    const row = await this.#rows.read();
    return row && this.open(row);
  }

  /** The row, whether ended or not. */
  present(): Promise<SessionRow | null> {
    return this.#rows.present();
  }

  /** The entry of a row. Null if it has ended or belongs to another key. */
  open(row: SessionRow): Entry | null {
    const entry = this.#rows.isAlive(row) ? entryIn(this.#records, row, this.token) : null;
    return entry?.key === this.key ? entry : null;
  }

  /** @param present the row as read, or null to insert one */
  async write(
    present: SessionRow | null,
    value: Value,
    { user, end }: { readonly user?: string | undefined; readonly end: number },
  ): Promise<boolean> {
    const { format } = this.#records.settings;
    const data = { [field]: { key: this.key, value } };
    const plaintext = format.encode({ data, user, flash: {} }, null);
    if (present !== null && this.#rows.isAlive(present)) {
      const next = this.#records.next(this.token, plaintext, user, present);
      return this.#records.update(present, limited(this.#records, next, end), "save");
    }
    const row = limited(this.#records, this.#records.begin(this.token, plaintext, user, undefined), end);
    return present === null ? this.#records.insert(row, "save") : this.#records.replace(present, row, "save");
  }

  delete(): Promise<void> {
    return this.#rows.delete();
  }
}
