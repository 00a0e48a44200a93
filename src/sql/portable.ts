import type { SqlValue } from "./values.ts";

/** What differs between databases in statements that are otherwise the same on all of them. */
export interface Portable {
  /** The text, written with `?`, as the client library takes it. */
  readonly text: (text: string) => string;
  /** A column whose name some mode of the database reserves. */
  readonly quoted: (column: string) => string;
  /** Begins an INSERT that leaves out rows whose primary key is taken, and ends it. */
  readonly insertIgnore: readonly [begin: string, end: string];
  /** A column of bytes in a list of results, under its own name. */
  readonly bytes: (column: string) => string;
  /** A column of bytes as it comes back from `bytes`. */
  readonly bytesIn: (row: Readonly<Record<string, unknown>>, column: string) => Uint8Array | null;
  /** A column of integers in a list of results, under its own name. What is beyond `most` may come back as `most`. */
  readonly integer: (column: string, most: number) => string;
  /** Bytes as the client library binds them. */
  readonly bind: (bytes: Uint8Array) => Uint8Array;
  /** Ends a SELECT whose rows are deleted in the same transaction. */
  readonly forUpdate: string;
  /**
   * The first `length` bytes of an expression, followed by eight bytes 255. Null where a subquery that depends on an outer row
   * does not seek in an index: MySQL and MariaDB read it from its start for every chain.
   */
  readonly endOfChain: ((expression: string, length: number) => string) | null;
}

/** The same statement for every list of up to a power of two: the last value is repeated. */
export function padded<Value>(values: readonly Value[]): readonly Value[] {
  let size = 1;
  while (size < values.length) size *= 2;
  return [...values, ...Array<Value>(size - values.length).fill(values.at(-1) as Value)];
}

export function marks(values: readonly SqlValue[]): string {
  return values.map(() => "?").join(", ");
}
