import { existsSync } from "node:fs";
import { StoreUnavailableError } from "../../errors.ts";
import { readOnlyDatabase } from "../../sql/sqlite/look.ts";
import { pagesByKey } from "../../store/pages.ts";
import type { Database } from "../../sql/dialect.ts";
import type { SqlValue } from "../../sql/values.ts";
import { exitCodes, Failure } from "../failure.ts";
import { number, plural } from "../../shared/wording.ts";
import { findingSql } from "./left-out.ts";
import { openStore } from "../store-url.ts";
import type { SourceReader, SourceRow } from "./reader.ts";
import type { Source } from "./sources.ts";

/** What to do where the source could not be read. */
export const otherTable = "If the table has another name, give it with --from-table.";
export const unreachable = "Check that its database is running, and host, port, user and password in --from.";

const idIsBytes = "its id is bytes, and no text";

/** What is read of a table. */
export interface TableShape {
  /** The library's name. */
  readonly name: string;
  /** Quoted, as are the others. */
  readonly table: string;
  readonly id: string;
  /** Other tables of the statement; the sessions are "theirs". */
  readonly join?: string;
  /** The columns after the id, each with its name in the answer. */
  readonly columns: string;
  rowOf(row: Record<string, unknown>, sid: string): SourceRow;
}

/** The other library's table. It is only read. */
export class SourceTable implements SourceReader {
  readonly #database: Database;
  readonly #shape: TableShape;
  #met = 0;
  #total = 0;
  #given = false;

  /** @param lifetime of a session, in milliseconds, for a source that keeps only the time of the last use */
  static open(options: {
    url: string;
    source: Source;
    table?: string;
    lifetime: number;
    cwd: string;
  }): SourceTable {
    const { source, table = source.table } = options;
    const database = openDropIn(options.url, source, undefined, options.cwd);
    assertTableName(table);
    const { id, data, end, endInUtc = false, endsAt, name } = source;
    const { textOf, instantOf } = database.dialect.importSource;
    const column = (of: string) => `theirs.${quoted(of, database)}`;
    return new SourceTable(database, {
      name,
      table: quoted(table, database),
      id: quoted(id, database),
      columns: `${textOf(column(data))} AS read_text, ${instantOf(column(end), endInUtc)} AS read_end`,
      rowOf: ({ read_text: text, read_end: ends }, sid) => ({
        sid,
        text: typeof text === "string" ? text : JSON.stringify(text),
        expiresAt: endsAt(ends, options.lifetime),
      }),
    });
  }

  constructor(database: Database, shape: TableShape) {
    this.#database = database;
    this.#shape = shape;
  }

  async count(): Promise<number> {
    const { id, table } = this.#shape;
    // Not the rows: where ids are not unique, a page begins behind all that have the last one of the page before.
    const { rows } = await this.#ask(`SELECT COUNT(DISTINCT ${id}) AS count FROM ${table}`, []);
    return Number(rows[0]?.["count"]);
  }

  async begin(): Promise<void> {
    this.#total = await this.count();
  }

  fraction(read: number): number {
    return Math.min(1, read / this.#total);
  }

  end(): Promise<void> {
    return this.assertWhole(this.#met, this.#total);
  }

  /** SQL that finds the row of a session id. Ids that are bytes are not found by their text. */
  find({ sid, unreadable }: SourceRow): string | null {
    if (unreadable === idIsBytes) return null;
    return findingSql(this.#shape.table, this.#shape.id, sid);
  }

  /** Different ids that `pages` gave, to be compared with what `count` answers. */
  get met(): number {
    return this.#met;
  }

  /**
   * Rows that a walk did not meet would be missing, and nobody would notice before their users do.
   * @param total what `count` answered before the walk; rows that were deleted meanwhile are not missed
   */
  async assertWhole(met: number, total: number): Promise<void> {
    const expected = Math.min(total, await this.count());
    if (met >= expected) return;
    throw new Failure(
      `Only ${number(met)} of ${plural(expected, "row")} of ${this.#shape.name} were read: another program wrote to the table, or its database sorts ids by other rules than it compares them. Stop all writers and run the import again. Imported sessions are kept.`,
      exitCodes.failed,
    );
  }

  /** Rows in order of id, a bounded page at a time. */
  async *pages(size: number): AsyncGenerator<SourceRow[]> {
    const { id, table, join = "", columns, rowOf } = this.#shape;
    const { placeholder, textOf, typeOf } = this.#database.dialect.importSource;
    // Names that no column has, and each column with its table's: of two things with one name ORDER BY takes the
    // text of the answer, which may be in another order than the column, so that rows between two pages are lost.
    const key = `theirs.${id}`;
    const type = typeOf === undefined ? "" : `, ${typeOf(key)}`;
    const selected = `${textOf(key)} AS read_id${type}, ${columns}`;
    const read = async (after: SqlValue, limit: number) => {
      const condition = after === null ? `${key} IS NOT NULL` : `${key} > ${placeholder(1)}`;
      const bound = placeholder(after === null ? 1 : 2);
      const { rows } = await this.#ask(
        `SELECT ${selected} FROM ${table} theirs${join} WHERE ${condition} ORDER BY ${key} LIMIT ${bound}`,
        after === null ? [limit] : [after, limit],
      );
      return rows;
    };
    const idOf = (row: Record<string, unknown>): SqlValue =>
      (row["read_bytes"] as Uint8Array | null | undefined) ?? String(row["read_id"]);
    let before = "";
    for await (const { rows } of pagesByKey(read, size, null, idOf)) {
      if (rows.length === 0) return;
      if (nameOf(rows.at(-1)!) === before) throw this.#goesInCircles();
      for (const row of rows) {
        const met = nameOf(row);
        if (met !== before) this.#met++;
        before = met;
      }
      this.#given = true;
      yield rows.map((row) => ({
        ...rowOf(row, String(row["read_id"])),
        ...(row["read_type"] === "blob" && { unreadable: idIsBytes }),
      }));
    }
  }

  #goesInCircles(): Failure {
    return new Failure(
      `The table of ${this.#shape.name} could not be read to its end: its database returns the last session again and again, because it does not compare ids by their text. Imported sessions are kept.`,
    );
  }

  async #ask(statement: string, values: readonly SqlValue[]) {
    try {
      return await this.#database.run({ text: statement, values, writes: false });
    } catch (error) {
      const reason = (error as { cause?: { message?: string } }).cause?.message;
      const rest = this.#given
        ? "What was imported until then stays: run the import again to continue."
        : `${error instanceof StoreUnavailableError ? unreachable : otherTable} Nothing was changed.`;
      throw new Failure(
        `The table of ${this.#shape.name} could not be read: ${reason ?? (error as Error).message}. ${rest}`,
        exitCodes.failed,
        { cause: error },
      );
    }
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

/** Tells ids apart, types included. Bytes that are no text are all one and the same text. */
function nameOf(row: Record<string, unknown>): string {
  const bytes = row["read_bytes"];
  const id = bytes instanceof Uint8Array ? Buffer.from(bytes).toString("hex") : String(row["read_id"]);
  return `${String(row["read_type"])} ${id}`;
}

/** A database that is only read: a file is opened for that alone, so that neither it nor its journal mode changes. */
export function openDropIn(
  url: string,
  source: Pick<Source, "name" | "databases">,
  table: string | undefined,
  cwd: string,
): Database {
  const { database } = openStore(url, table, cwd).store;
  if (!source.databases.includes(database.dialect.name)) {
    throw new Failure(
      `${source.name} stores sessions in ${source.databases.join(", ")}, not in ${url.split(":")[0]!}.`,
      exitCodes.usage,
    );
  }
  const { file } = database;
  if (file === undefined) return database;
  if (!existsSync(file)) throw new Failure(`There is no file ${file}.`);
  return readOnlyDatabase(file, table);
}

export function assertTableName(table: string): void {
  if (/^[A-Za-z_][A-Za-z0-9_$-]{0,62}(\.[A-Za-z_][A-Za-z0-9_$-]{0,62})?$/.test(table)) return;
  throw new Failure(`${JSON.stringify(table)} is not a valid table name.`, exitCodes.usage);
}

export function quoted(name: string, { dialect }: Database): string {
  return name
    .split(".")
    .map((part) => dialect.importSource.quote(part))
    .join(".");
}
