import { hash } from "./hash.ts";
import { label } from "./label.ts";

/** The columns that an envelope authenticates (AAD). They are stored beside the envelope and are not secret. */
export interface SealContext {
  /** Row id, 32 bytes. */
  readonly id: Uint8Array;
  /** Integer from 0 to 2^53 - 1. */
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Milliseconds since the epoch. */
  readonly absoluteExpiresAt: number;
  /** Blind index of the user, 32 bytes. Null if the session is anonymous. */
  readonly userRef: Uint8Array | null;
}

export const SUITE = 1;
export const SALT_BYTES = 16;

const APP_BYTES = 16;
const ID_BYTES = 32;
const USER_REF_BYTES = 32;
const FIELD_BYTES = 1 + 1 + 4 + APP_BYTES + ID_BYTES + 8 + 8 + 8 + USER_REF_BYTES;

/**
 * Writes the authenticated context of one kind of envelope and the input that derives its message key. The buffer is
 * reused: callers are synchronous and read it before the next `write`.
 */
export class ContextWriter {
  /** The additional authenticated data. Valid until the next `write`. */
  readonly context: Uint8Array;
  /** `context ‖ salt ‖ 01`: the single input block of HKDF-Expand. Valid until the next `write`. */
  readonly block: Uint8Array;
  readonly #view: DataView;
  /** Offset of the fields after the label. */
  readonly #start: number;

  constructor(kind: "row" | "client", app: string) {
    const prefix = label(kind);
    const length = prefix.length + FIELD_BYTES;
    this.#start = prefix.length;
    this.block = new Uint8Array(length + SALT_BYTES + 1);
    this.block.set(prefix);
    this.block[this.#start] = SUITE;
    this.block.set(hash("sha256", app, "buffer").subarray(0, APP_BYTES), this.#start + 6);
    this.block[length + SALT_BYTES] = 1;
    this.context = this.block.subarray(0, length);
    this.#view = new DataView(this.block.buffer);
  }

  /** The context must be {@link isSealable}. Reads the salt at offset `saltAt` of `envelope`. */
  write(flags: number, keyId: number, context: SealContext, envelope: Uint8Array, saltAt: number): void {
    const { block } = this;
    let at = this.#start + 1;
    block[at] = flags;
    this.#view.setUint32(at + 1, keyId);
    at += 5 + APP_BYTES;
    block.set(context.id, at);
    at += ID_BYTES;
    this.#integer(at, context.version);
    this.#integer(at + 8, context.createdAt);
    this.#integer(at + 16, context.absoluteExpiresAt);
    at += 24;
    if (context.userRef === null) block.fill(0, at, at + USER_REF_BYTES);
    else block.set(context.userRef, at);
    block.set(envelope.subarray(saltAt, saltAt + SALT_BYTES), at + USER_REF_BYTES);
  }

  #integer(at: number, value: number): void {
    this.#view.setInt32(at, Math.floor(value / 2 ** 32));
    this.#view.setUint32(at + 4, value % 2 ** 32);
  }
}

/**
 * Whether these columns have an unambiguous encoding. Columns edited in the database may hold anything and must not encode
 * to the same bytes as the original values: 1.5 must not encode as 1, nor 32 zero bytes as an absent user.
 */
export function isSealable(context: SealContext): boolean {
  return (
    context.id.length === ID_BYTES &&
    Number.isSafeInteger(context.version) &&
    context.version >= 0 &&
    Number.isSafeInteger(context.createdAt) &&
    Number.isSafeInteger(context.absoluteExpiresAt) &&
    (context.userRef === null || isUserRef(context.userRef))
  );
}

function isUserRef(bytes: Uint8Array): boolean {
  if (bytes.length !== USER_REF_BYTES) return false;
  for (const byte of bytes) if (byte !== 0) return true;
  return false;
}
