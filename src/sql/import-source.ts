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
}
