/** MessagePack extension types of the values that MessagePack itself lacks. */
export const extension = {
  /** The timestamp of the MessagePack specification. */
  date: -1,
  /** Decimal text. */
  bigint: 1,
  /** An array. */
  set: 2,
  /** An array of key and value in turn. */
  map: 3,
  /** The text of `url.href`. */
  url: 4,
} as const;
