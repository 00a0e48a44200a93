/** Every statement on the gem's table. What differs between databases is in their folders. */
import { asBuffer } from "../shared/bytes.ts";
import type { Statement } from "../sql/dialect.ts";
import type { RailsTable } from "../sql/rails-table.ts";
import type { SqlValue } from "../sql/values.ts";
import { timeText } from "./times.ts";

/** A row of the gem's table on its way there: an empty `data` is SQL NULL. */
export interface RailsWrite {
  readonly sid: string;
  readonly data: Uint8Array;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** The texts for one table, named as in a statement (validated and quoted). */
export class RailsStatements {
  readonly #table: string;
  readonly #texts: RailsTable;
  readonly #columns: string;

  constructor(table: string, texts: RailsTable) {
    this.#table = table;
    this.#texts = texts;
    const { timeText: text, bytesText } = this.#texts;
    this.#columns = `sid, ${bytesText("data")} AS data, ${text("created_at")} AS created_at, ${text("updated_at")} AS updated_at`;
  }

  read(sids: readonly string[]): Statement {
    const padded = padded2(sids);
    return this.#query(
      `SELECT ${this.#columns} FROM ${this.#table} WHERE sid IN (${marks(padded)}) LIMIT ${padded.length}`,
      ...padded,
    );
  }

  insert({ sid, data, createdAt, updatedAt }: RailsWrite): Statement {
    const { time, bytes, whenTaken } = this.#texts;
    return this.#write(
      `INSERT INTO ${this.#table} (sid, data, created_at, updated_at) VALUES (?, ${bytes}, ${time}, ${time})${whenTaken}`,
      sid,
      orNull(data),
      timeText(createdAt),
      timeText(updatedAt),
    );
  }

  /** Where `data` is still what was loaded, byte for byte: every write of either side draws a new iv. */
  update(loaded: { readonly sid: string; readonly data: Uint8Array }, next: RailsWrite): Statement {
    const { time, bytes, is } = this.#texts;
    return this.#write(
      `UPDATE ${this.#table} SET data = ${bytes}, updated_at = ${time} WHERE sid = ? AND data ${is} ${bytes}`,
      orNull(next.data),
      timeText(next.updatedAt),
      loaded.sid,
      orNull(loaded.data),
    );
  }

  deleteLoaded({ sid, data }: { readonly sid: string; readonly data: Uint8Array }): Statement {
    const { bytes, is } = this.#texts;
    return this.#write(`DELETE FROM ${this.#table} WHERE sid = ? AND data ${is} ${bytes}`, sid, orNull(data));
  }

  /** Never backwards: Rails' clock may be ahead of ours. */
  touch(sids: readonly string[], updatedAt: number): Statement {
    const padded = padded2(sids);
    const { time } = this.#texts;
    return this.#write(
      `UPDATE ${this.#table} SET updated_at = ${time} WHERE sid IN (${marks(padded)}) AND updated_at < ${time}`,
      timeText(updatedAt),
      ...padded,
      timeText(updatedAt),
    );
  }

  delete(sid: string): Statement {
    return this.#write(`DELETE FROM ${this.#table} WHERE sid = ?`, sid);
  }

  /** The oldest rows by one of the two times, which have an index each. */
  findBefore(column: "created_at" | "updated_at", before: number, limit: number): Statement {
    return this.#query(
      `SELECT sid FROM ${this.#table} WHERE ${column} < ${this.#texts.time} ORDER BY ${column} LIMIT ${integer(limit)}`,
      timeText(before),
    );
  }

  /** Rows that were created later than this. */
  findCreatedAfter(after: number, limit: number): Statement {
    return this.#query(
      `SELECT sid FROM ${this.#table} WHERE created_at > ${this.#texts.time} ORDER BY created_at DESC LIMIT ${integer(limit)}`,
      timeText(after),
    );
  }

  deleteBefore(column: "created_at" | "updated_at", before: number, sids: readonly string[]): Statement {
    const padded = padded2(sids.toSorted());
    return this.#write(
      `DELETE FROM ${this.#table} WHERE sid IN (${marks(padded)}) AND ${column} < ${this.#texts.time}`,
      ...padded,
      timeText(before),
    );
  }

  count(): Statement {
    return this.#query(`SELECT COUNT(*) AS count FROM ${this.#table} LIMIT 1`);
  }

  /** In the order of the column's collation, which is that of the bytes for the ids that stores of Rails make. */
  scan(after: string, limit: number): Statement {
    return this.#query(
      `SELECT ${this.#columns} FROM ${this.#table} WHERE sid > ? ORDER BY sid LIMIT ${integer(limit)}`,
      after,
    );
  }

  /** Columns of the table, with `name` and `type`; none when there is no such table. */
  columns(): Statement {
    return this.#query(this.#texts.columns, ...this.#texts.nameOf(this.#table));
  }

  sidIndexes(): Statement {
    return this.#query(this.#texts.sidIndexes, ...this.#texts.nameOf(this.#table));
  }

  /** Whether an insert failed because its id is taken, where that is not part of the statement. */
  isTaken(error: unknown): boolean {
    return this.#texts.isTaken(error);
  }

  get timeTypes(): RegExp | undefined {
    return this.#texts.timeTypes;
  }

  /** The table as the gem's own migration makes it. */
  create(): readonly Statement[] {
    const parts = this.#table.split(".");
    const quote = this.#table.charAt(0);
    const bare = parts.at(-1)?.slice(1, -1) ?? "";
    const index = (column: string): string => `${quote}index_${bare}_on_${column}${quote}`;
    return this.#texts.create(this.#table, index).map((text) => ({ text, values: [], writes: true }));
  }

  #query(text: string, ...values: SqlValue[]): Statement {
    return { text: this.#placed(text), values, writes: false };
  }

  #write(text: string, ...values: SqlValue[]): Statement {
    return { text: this.#placed(text), values, writes: true };
  }

  #placed(text: string): string {
    let place = 0;
    return text.replaceAll("?", () => this.#texts.placeholder(++place));
  }
}

function orNull(data: Uint8Array): Buffer | null {
  return data.length === 0 ? null : asBuffer(data);
}

/** Repeats the last up to a power of two, so that few texts are prepared. */
function padded2(sids: readonly string[]): readonly string[] {
  const padded = [...sids];
  while (padded.length & (padded.length - 1)) padded.push(sids.at(-1) ?? "");
  return padded;
}

function marks(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}

/** Drivers disagree on how a bound limit travels; this one is never text from outside. */
function integer(limit: number): string {
  return String(Math.max(1, Math.floor(limit)));
}
