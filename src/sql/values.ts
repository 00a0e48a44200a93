/**
 * A bound value, independent of the driver, which encodes it. A time is a number of milliseconds; an integer is a
 * number.
 */
export type SqlValue = null | number | string | Uint8Array | BytesList | IntegerList;

/** A list of bytes, or of bytes and nulls, as one value: PostgreSQL's `bytea[]`. */
export class BytesList {
  readonly elements: readonly (Uint8Array | null)[];

  constructor(elements: readonly (Uint8Array | null)[]) {
    this.elements = elements;
  }
}

/** A list of integers as one value: PostgreSQL's `int8[]`. */
export class IntegerList {
  readonly elements: readonly number[];

  constructor(elements: readonly number[]) {
    this.elements = elements;
  }
}
