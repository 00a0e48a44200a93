import type { Statement } from "./statement.ts";

/** Reads the table of another library: all columns as text, whatever their types. */
export interface ImportSource {
  /** The placeholder of the n-th value of a statement, from 1. */
  placeholder(n: number): string;
  /** Quotes a validated identifier. */
  quote(identifier: string): string;
  /** A column as text. */
  textOf(column: string): string;
  /**
   * For databases where different ids can have the same text: additional columns, `read_type` with the name of the type
   * ("blob" for bytes) and `read_bytes` with an id that is bytes.
   */
  typeOf?(column: string): string;
  /**
   * Reads a time as a number of seconds or as text. `inUtc`: a time without a zone is in UTC; otherwise it is in the
   * connection's zone.
   */
  instantOf(column: string, inUtc: boolean): string;
  /** A column as JSON text, for databases where `textOf` is no JSON for a column of JSON or a list. Default: `textOf`. */
  jsonOf?(column: string): string;
  /**
   * The columns of a table, in their order: `found`, the name of the table as the database has it, `name` and `type`. No
   * rows if there is no such table.
   * @param table validated, with its schema in front if it has one
   */
  columnsOf(table: string): Statement;
}
