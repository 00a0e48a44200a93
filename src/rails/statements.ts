/** All statements on the gem's table. Differences between databases are in their folders. */
import { asBuffer } from "../shared/bytes.ts";
import type { Statement } from "../sql/dialect.ts";
import type { RailsTable } from "../sql/rails-table.ts";
import type { SqlValue } from "../sql/values.ts";
import { timeText } from "./times.ts";

/** A row to write to the gem's table. Empty `data` becomes SQL NULL. */
export interface RailsWrite {
  readonly sid: string;
  readonly data: Uint8Array;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** The statements for one table, whose name is validated and quoted. */
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

  /** Updates if `data` is still the loaded bytes: every write of Rails and of this package uses a new iv. */
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

  /** Advances the time, never backwards: Rails' clock may be ahead. */
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

  /** Finds the oldest rows by one of the two times; each has an index. */
  findBefore(column: "created_at" | "updated_at", before: number, limit: number): Statement {
    return this.#query(
      `SELECT sid FROM ${this.#table} WHERE ${column} < ${this.#texts.time} ORDER BY ${column} LIMIT ${integer(limit)}`,
      timeText(before),
    );
  }

  /** Finds rows created after this time. */
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

  /** Ordered by the column's collation, which equals byte order for the ids that Rails stores create. */
  scan(after: string, limit: number): Statement {
    return this.#query(
      `SELECT ${this.#columns} FROM ${this.#table} WHERE sid > ? ORDER BY sid LIMIT ${integer(limit)}`,
      after,
    );
  }

  /** Returns the columns of the table with `name` and `type`. Returns no rows if the table does not exist. */
  columns(): Statement {
    return this.#query(this.#texts.columns, ...this.#texts.nameOf(this.#table));
  }

  sidIndexes(): Statement {
    return this.#query(this.#texts.sidIndexes, ...this.#texts.nameOf(this.#table));
  }

  /** Whether an insert failed because its id exists, for databases whose statement does not skip it. */
  isTaken(error: unknown): boolean {
    return this.#texts.isTaken(error);
  }

  get timeTypes(): RegExp | undefined {
    return this.#texts.timeTypes;
  }

  /** Creates the table as the gem's own migration does. */
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

/** Repeats the last id up to a power of two, so that few statement texts are prepared. */
function padded2(sids: readonly string[]): readonly string[] {
  const padded = [...sids];
  while (padded.length & (padded.length - 1)) padded.push(sids.at(-1) ?? "");
  return padded;
}

function marks(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}

/** Drivers bind limits differently, so it is part of the text. It never comes from user input. */
function integer(limit: number): string {
  return String(Math.max(1, Math.floor(limit)));
}
