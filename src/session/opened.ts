import { keyOf, sameBytes } from "../shared/bytes.ts";
import type { SessionRow } from "../store/row.ts";
import type { BareRow, SessionFormat } from "./format.ts";

/** What an entry takes beside the bytes in it: objects, and its place in the map. */
const OVERHEAD = 600;

/** Size of the buffers that small entries share, at most. */
const SLAB = 65_536;

interface Opened {
  /** Without its client, which is not known to be that of the row. */
  readonly row: SessionRow;
  readonly plaintext: Uint8Array;
}

/**
 * What rows hold that were opened or sealed of late, so that a process decrypts each version of a row once.
 *
 * It never says whether a session is alive: every request reads its row first. An entry counts only for a row whose
 * sealed bytes, and every column that the seal authenticates, are the ones that were opened; any other row is opened, and
 * refused, as if there were no cache (promise 6, R22).
 *
 * Content is kept as bytes, from which each request decodes objects of its own: what an application does to them changes
 * nothing here (R42).
 *
 * The oldest entries are dropped, half of the memory at a time, unless they were used since.
 */
export class OpenedRows {
  /** Of each generation. */
  readonly #most: number;
  readonly #slabSize: number;
  #young = new Map<string, Opened>();
  /** Taken by this generation: also by entries that were replaced or dropped, and by the unused ends of its slabs. */
  #youngBytes = 0;
  #old = new Map<string, Opened>();
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** @param bytes the memory that entries take at most */
  constructor(bytes: number) {
    this.#most = bytes / 2;
    this.#slabSize = Math.min(SLAB, Math.floor(bytes / 16));
  }

  /** The row with this id as it was opened or sealed last; null for none. */
  known(id: Uint8Array): SessionRow | null {
    return this.#entry(keyOf(id))?.row ?? null;
  }

  /** What exactly this row holds; null where that is not known. */
  find(row: SessionRow): Uint8Array | null {
    const entry = this.#entry(keyOf(row.id));
    return entry !== undefined && isSame(entry.row, row) ? entry.plaintext : null;
  }

  add(row: SessionRow, plaintext: Uint8Array): void {
    this.#put(keyOf(row.id), row, plaintext);
  }

  /** Of a session that ended. */
  drop(id: Uint8Array): void {
    const key = keyOf(id);
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#slab = new Uint8Array(0);
    this.#youngBytes = this.#used = 0;
  }

  #entry(key: string): Opened | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#put(key, old.row, old.plaintext); // a copy, so that no slab of the older generation is kept
    return this.#young.get(key);
  }

  #put(key: string, row: SessionRow, plaintext: Uint8Array): void {
    const { id, data, userRef } = row;
    const bytes = id.length + data.length + (userRef?.length ?? 0) + plaintext.length + OVERHEAD;
    if (bytes > this.#most) return;
    if (this.#youngBytes + bytes > this.#most) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
      this.#slab = new Uint8Array(0);
      this.#used = 0;
    }
    this.#youngBytes += bytes;
    this.#old.delete(key);
    // Every array is copied: 32 bytes of a driver may be part of a buffer of 64 KiB, which they would keep in memory.
    const kept = {
      ...row,
      id: this.#copyOf(id),
      data: this.#copyOf(data),
      userRef: userRef && this.#copyOf(userRef),
      client: null,
    };
    this.#young.set(key, { row: kept, plaintext: this.#copyOf(plaintext) });
  }

  /** A buffer for each would cost more than decrypting it. */
  #copyOf(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    if (length > this.#slabSize / 8) return new Uint8Array(bytes);
    if (this.#used + length > this.#slab.length) {
      this.#youngBytes += this.#slab.length - this.#used;
      this.#slab = new Uint8Array(this.#slabSize);
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used + length);
    copy.set(bytes);
    this.#used += length;
    return copy;
  }
}

/** A format that opens each version of a row once. Not without a cookie: operators pass over every row. */
export function openingOnce(format: SessionFormat, opened: OpenedRows): SessionFormat {
  return {
    ...format,
    open(row, token) {
      if (token === null || !sameBytes(row.id, token.id)) return format.open(row, token);
      let plaintext = opened.find(row);
      if (plaintext === null) opened.add(row, (plaintext = format.open(row, token)));
      return plaintext;
    },
    seal(plaintext, row: BareRow, token, loaded) {
      const data = format.seal(plaintext, row, token, loaded);
      // Whether it is stored will show: until then no row has these bytes.
      if (token !== null) opened.add({ ...row, data, client: null }, plaintext);
      return data;
    },
  };
}

/** Whether both are the same to the seal. Times outside of it are the lifetime's matter, and are those of the row now. */
function isSame(a: SessionRow, b: SessionRow): boolean {
  return (
    a.version === b.version &&
    a.createdAt === b.createdAt &&
    a.absoluteExpiresAt === b.absoluteExpiresAt &&
    (a.data === b.data || sameBytes(a.data, b.data)) &&
    sameBytes(a.id, b.id) &&
    (a.userRef === null || b.userRef === null ? a.userRef === b.userRef : sameBytes(a.userRef, b.userRef))
  );
}
