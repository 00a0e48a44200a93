/** How large, deep and wide a session may be (R45). The same limits hold when it is saved and when it is read. */
export interface Limits {
  /** Bytes of the plaintext. */
  readonly maxBytes: number;
  /** Levels of objects, arrays, Maps and Sets. `data` itself is the first. */
  readonly maxDepth: number;
  /** Keys of all objects together. Elements of arrays, Sets and Maps are bounded by the bytes they take. */
  readonly maxKeys: number;
}
