/** The parts of a content. */
interface Parts {
  readonly data: unknown;
  readonly user: unknown;
  readonly flash: unknown;
  readonly authentication?: unknown;
  readonly device?: unknown;
}

/** Stands where a container has its size: no container has this one. */
export const dateSize = -1;

/**
 * What a content was when it was decoded: its objects, arrays, keys, primitive values and Dates, in the order in which they
 * were read. Finds out without encoding that nothing was changed, in a third of the time.
 *
 * It never takes a change for none. It may take an unchanged content for changed, for example one with a Map; then the
 * caller encodes it and compares the bytes.
 */
export class Snapshot {
  /** The bytes that were decoded. */
  readonly bytes: Uint8Array;
  /** Filled by the reader; see {@link Reader.recordedMap}. */
  readonly entries: unknown[] = [];
  #content: Parts | null = null;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** @param content as it was decoded */
  complete(content: Parts): void {
    this.#content = { ...content };
  }

  /** Whether this content encodes to the bytes that were decoded, for certain. @throws what a getter in it throws */
  isSame({ data, user, flash, authentication, device }: Parts): boolean {
    const content = this.#content;
    if (content === null || user !== content.user) return false;
    // No application gets hold of these two, and they are replaced as a whole.
    if (authentication !== content.authentication || device !== content.device) return false;
    this.#at = 0;
    return this.#isSame(data) && this.#isSame(flash);
  }

  #isSame(value: unknown): boolean {
    if (!Object.is(value, this.entries[this.#at++])) return false;
    if (typeof value !== "object" || value === null) return true;
    const size = this.entries[this.#at++];
    if (Array.isArray(value)) return this.#hasSameElements(value, size);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype) return this.#hasSameProperties(value, size);
    if (size !== dateSize || prototype !== Date.prototype || Object.keys(value).length > 0) return false;
    return Date.prototype.getTime.call(value) === this.entries[this.#at++];
  }

  #hasSameElements(array: readonly unknown[], size: unknown): boolean {
    if (array.length !== size || Object.getPrototypeOf(array) !== Array.prototype) return false;
    if (Object.keys(array).length !== size) return false; // a hole, or a key that is no index
    for (let index = 0; index < size; index++) if (!this.#isSame(array[index])) return false;
    return true;
  }

  #hasSameProperties(object: object, size: unknown): boolean {
    const keys = Object.keys(object);
    if (keys.length !== size || Object.getOwnPropertySymbols(object).length > 0) return false;
    for (const key of keys) {
      if (key !== this.entries[this.#at++]) return false;
      if (!this.#isSame((object as Record<string, unknown>)[key])) return false;
    }
    return true;
  }
}
