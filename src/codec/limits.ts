/** Limits on the size of a session (R45), enforced on save and on load. */
export interface Limits {
  /** Bytes of the plaintext. */
  readonly maxBytes: number;
  /** Nesting depth of objects, arrays, Maps and Sets. `data` is level 1. */
  readonly maxDepth: number;
  /** Total number of object keys. `maxBytes` bounds the elements of arrays, Sets and Maps. */
  readonly maxKeys: number;
}
