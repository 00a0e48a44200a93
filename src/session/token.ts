import { timingSafeEqual } from "node:crypto";
import { inspectCustom } from "../shared/inspect-custom.ts";
import { hash } from "../sealing/hash.ts";
import type { Key, KeyRing } from "../sealing/keyring.ts";
import { label } from "../sealing/label.ts";
import { randomBytes } from "../sealing/random.ts";
import type { KnownTokens } from "./known-tokens.ts";

/**
 * The value of the cookie, a bearer token. `text` and `sid` open the session, so neither appears when a token is printed,
 * inspected, spread or serialized (R2).
 */
export interface Token {
  /** The cookie's value: 64 characters of base64url. */
  readonly text: string;
  /** 32 random bytes. Secret. */
  readonly sid: Uint8Array;
  /** The row's id, 32 bytes. Not a credential: events and logs name the session by it. */
  readonly id: Uint8Array;
  /** Whether the tag was made by an older key. {@link refreshToken} returns one that is not stale. */
  readonly stale: boolean;
}

const VERSION = 1;
const SID_BYTES = 32;
const BODY_BYTES = 1 + SID_BYTES;
const TAG_BYTES = 15;
// 48 bytes are a multiple of three, so base64url has no spare bits: exactly the texts of this shape are canonical.
const SHAPE = /^[\w-]{64}$/;

// Shared by all calls, which is safe because they are synchronous.
const bytes = Buffer.alloc(BODY_BYTES + TAG_BYTES);
const body = bytes.subarray(0, BODY_BYTES);
const tag = bytes.subarray(BODY_BYTES);

const ID_LABEL = label("id");
const idInput = Buffer.concat([ID_LABEL, Buffer.alloc(SID_BYTES)]);

/** A token for a new session, from 256 random bits (ASVS 7.2.3). */
export function mintToken(keys: KeyRing): Token {
  return write(keys, randomBytes(SID_BYTES));
}

/**
 * Like {@link readToken}, but recognizes a token that was verified lately.
 * @param known of these keys
 */
export function readKnownToken(keys: KeyRing, known: KnownTokens, text: string): Token | null {
  if (!SHAPE.test(text)) return null;
  const key = known.keyOf(text);
  const found = known.find(key);
  if (found !== undefined) return new SessionToken(text, found.id, found.stale);
  const token = readToken(keys, text);
  if (token === null) return null;
  // A copy: the id may be part of a buffer of 64 KiB, which it would keep in memory.
  const id = Buffer.from(new Uint8Array(token.id).buffer);
  known.add(key, { id, stale: token.stale });
  return new SessionToken(text, id, token.stale);
}

/**
 * The token in a cookie's value; null unless it is the canonical text of a token whose tag a key of the ring made. Costs
 * no query, and a few microseconds for each key of the ring.
 */
export function readToken(keys: KeyRing, text: string): Token | null {
  if (!SHAPE.test(text)) return null;
  bytes.write(text, "base64url");
  if (bytes[0] !== VERSION) return null;
  for (const key of keys.keys) {
    if (timingSafeEqual(tagOf(key), tag)) {
      return new SessionToken(text, rowIdOf(body.subarray(1)), key !== keys.newest);
    }
  }
  return null;
}

/** Whether a text that {@link readToken} rejects has the shape of a token, so that only its tag is wrong. */
export function hasTokenShape(text: string): boolean {
  return SHAPE.test(text) && Buffer.from(text, "base64url")[0] === VERSION;
}

/** The same session's token with the newest key's tag. */
export function refreshToken(keys: KeyRing, token: Token): Token {
  return write(keys, token.sid);
}

/** The primary key of a session's row: `SHA-256(L("id") ‖ sid)`. It depends on no key, so key rotation changes no row id. */
export function rowIdOf(sid: Uint8Array): Uint8Array {
  let input = idInput;
  // Stryker disable next-line ConditionalExpression: both branches hash the same bytes; this one allocates no buffer.
  if (sid.length === SID_BYTES) idInput.set(sid, ID_LABEL.length);
  else input = Buffer.concat([ID_LABEL, sid]);
  return Buffer.from(hash("sha256", input, "binary"), "latin1");
}

function write(keys: KeyRing, sid: Uint8Array): Token {
  body[0] = VERSION;
  body.set(sid, 1);
  tag.set(tagOf(keys.newest));
  return new SessionToken(bytes.toString("base64url"), rowIdOf(sid), false);
}

/** The tag of `body` under a key. */
function tagOf(key: Key): Uint8Array {
  return key.token.of(body).subarray(0, TAG_BYTES);
}

class SessionToken implements Token {
  readonly #text: string;
  readonly id: Uint8Array;
  readonly stale: boolean;

  constructor(text: string, id: Uint8Array, stale: boolean) {
    this.#text = text;
    this.id = id;
    this.stale = stale;
  }

  get text(): string {
    return this.#text;
  }

  get sid(): Uint8Array {
    return Buffer.from(this.#text, "base64url").subarray(1, BODY_BYTES);
  }

  toJSON(): { id: string; stale: boolean } {
    return { id: Buffer.from(this.id).toString("hex"), stale: this.stale };
  }

  [inspectCustom](): string {
    return `Token { id: ${Buffer.from(this.id).toString("hex")}, stale: ${this.stale} }`;
  }
}
