/** How another library's table is read: its columns as text, whatever their types. */
export interface ImportSource {
  /** The n-th value of a statement, from 1. */
  placeholder(n: number): string;
  /** An identifier, which was validated. */
  quote(identifier: string): string;
  /** A column as text. */
  textOf(column: string): string;
  /**
   * Where ids that differ may have the same text: further columns, `read_type` with the type's name ("blob" for bytes)
   * and `read_bytes` with an id that is bytes.
   */
  typeOf?(column: string): string;
  /** A time as a number of seconds or as text. `inUtc`: a time without a zone is in UTC, else in the connection's. */
  instantOf(column: string, inUtc: boolean): string;
}
