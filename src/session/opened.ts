import { keyOf, sameBytes } from "../shared/bytes.ts";
import type { SessionRow } from "../store/row.ts";
import type { BareRow, SessionFormat } from "./format.ts";

/** What an entry takes beside the bytes in it: objects, array buffers, and its place in the map. */
const OVERHEAD = 600;

interface Opened {
  readonly row: SessionRow;
  readonly plaintext: Uint8Array;
  readonly bytes: number;
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
 * The oldest entries are dropped, half of the bytes at a time, unless they were used since.
 */
export class OpenedRows {
  readonly #most: number;
  #young = new Map<string, Opened>();
  #youngBytes = 0;
  #old = new Map<string, Opened>();

  /** @param bytes the memory that entries take at most */
  constructor(bytes: number) {
    this.#most = bytes / 2;
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
    const bytes = row.data.length + plaintext.length + OVERHEAD;
    if (bytes > this.#most) return;
    const kept = { ...row, data: whole(row.data), client: row.client && whole(row.client) };
    this.#put(keyOf(row.id), { row: kept, plaintext: whole(plaintext), bytes });
  }

  /** Of a session that ended. */
  drop(id: Uint8Array): void {
    const key = keyOf(id);
    this.#youngBytes -= this.#young.get(key)?.bytes ?? 0;
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#youngBytes = 0;
    this.#old.clear();
  }

  #entry(key: string): Opened | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) {
      this.#old.delete(key);
      this.#put(key, old);
    }
    return old;
  }

  #put(key: string, entry: Opened): void {
    this.#youngBytes += entry.bytes - (this.#young.get(key)?.bytes ?? 0);
    this.#young.set(key, entry);
    this.#old.delete(key);
    if (this.#youngBytes <= this.#most) return;
    this.#young.delete(key); // the newest begins the next generation
    this.#old = this.#young;
    this.#young = new Map([[key, entry]]);
    this.#youngBytes = entry.bytes;
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

/** The same bytes, without the larger buffer that they may be a part of. */
function whole(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
