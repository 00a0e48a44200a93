import { hkdfSync } from "node:crypto";
import { inspectCustom } from "../shared/inspect-custom.ts";
import { isOfAnotherCopy, notOurs } from "../copies.ts";
import { KeyRingError } from "../errors.ts";
import { Hmac } from "./hmac.ts";
import { label } from "./label.ts";
import { randomBytes } from "./random.ts";

const PREFIX = "ssk1_";
const KEY_BYTES = 32;
const BODY_CHARACTERS = 43;
const MOST_KEYS = 8;
const HKDF_SALT = "stored-session/v1";

/** The keys derived from one master key (HKDF-SHA-512, RFC 5869). Only the HKDF extract is kept, not the master key. */
export interface Key {
  /** The key id of envelopes, as an unsigned 32-bit integer. */
  readonly id: number;
  /** The key id as 8 hexadecimal characters, for display. Not secret. */
  readonly name: string;
  /** Seals under the key ring. HMAC-SHA-512 with 64 bytes. */
  readonly row: Hmac;
  /** Seals to the cookie. HMAC-SHA-512 with 64 bytes. */
  readonly seal: Hmac;
  /** Tags tokens. HMAC-SHA-256 with 32 bytes. */
  readonly token: Hmac;
  /** Blind index of users if `app` is empty. HMAC-SHA-256 with 32 bytes. */
  readonly user: Hmac;
  /** Blind index of the users of the named application. Different names give unrelated indexes. */
  readonly userOf: (app: string) => Hmac;
  /** The same for the links of its sessions. */
  readonly linkOf: (app: string) => Hmac;
  /** Chains the audit trail. HMAC-SHA-256 with 32 bytes. */
  readonly audit: Hmac;
  /** Tags the cookies and challenges of bound devices. HMAC-SHA-256 with 32 bytes. */
  readonly device: Hmac;
}

/** Generates a random 32-byte master key in text form: `ssk1_` and 43 characters of base64url. Keep it secret. */
export function generateKey(): string {
  return PREFIX + Buffer.from(randomBytes(KEY_BYTES)).toString("base64url");
}

/**
 * One to eight master keys, newest first. The first key seals; every key opens.
 *
 * Printing, inspecting or serializing a key ring shows key ids only (R28).
 */
export class KeyRing {
  readonly #keys: readonly Key[];

  static {
    // Not a method: `isolatedDeclarations` allows only well-known symbols as computed names.
    Object.defineProperty(this.prototype, inspectCustom, {
      value(this: KeyRing): string {
        return `KeyRing { ${this.#keys.map((key) => key.name).join(", ")} }`;
      },
    });
  }

  private constructor(keys: readonly Key[]) {
    this.#keys = keys;
  }

  /**
   * Parses keys in text form: a comma-separated string or an array of strings. Whitespace around a key is ignored.
   *
   * @throws {KeyRingError} listing every problem, without revealing a key
   */
  static from(keys: string | readonly string[] | KeyRing | undefined): KeyRing {
    if (keys instanceof KeyRing) return keys;
    if (isOfAnotherCopy(keys, "KeyRing")) throw notOurs(keys, "KeyRing", "the keys as a string");
    const texts = split(keys);
    const problems: string[] = [];
    if (texts.length === 0) {
      problems.push(
        "No key was given. Create one with generateKey(), store it with your other secrets, and pass it as `keys`.",
      );
    }
    if (texts.length > MOST_KEYS) {
      problems.push(
        `There are ${texts.length} keys; the maximum is ${MOST_KEYS}. Remove the oldest ones, which are last.`,
      );
    }
    const ring: Key[] = [];
    const numbers: number[] = [];
    for (const [index, text] of texts.entries()) {
      const number = index + 1;
      const first = texts.indexOf(text) + 1;
      const problem = problemOf(text);
      if (problem !== null) {
        problems.push(`Key ${number} ${problem}`);
      } else if (first < number) {
        problems.push(`Keys ${first} and ${number} are the same. Remove one of them.`);
      } else {
        const key = derive(text);
        const twin = ring.findIndex((other) => other.id === key.id);
        if (twin >= 0) {
          problems.push(
            `Keys ${numbers[twin]} and ${number} have the same key id, ${key.name}. ` +
              "Replace the one that is not in use yet with a new key from generateKey().",
          );
        }
        ring.push(key);
        numbers.push(number);
      }
    }
    if (problems.length > 0) throw new KeyRingError(summarize(problems));
    return new KeyRing(Object.freeze(ring));
  }

  /** Newest first. */
  get keys(): readonly Key[] {
    return this.#keys;
  }

  /** The key that seals. */
  get newest(): Key {
    return this.#keys[0]!;
  }

  /** The key with this id. */
  find(keyId: number): Key | undefined {
    for (const key of this.#keys) if (key.id === keyId) return key;
    return undefined;
  }

  /** Blind index of an application's user under the newest key, 32 bytes: the one to store. */
  userRef(user: string, app: string = ""): Uint8Array {
    return referenceOf(this.newest, user, app);
  }

  /** Blind indexes of an application's user under every key, newest first, for lookups. */
  userRefs(user: string, app: string = ""): Uint8Array[] {
    return this.#keys.map((key) => referenceOf(key, user, app));
  }

  /** Blind indexes of a link of an application's session under every key, newest first. The first is the one to store. */
  linkRefs(name: string, value: string, app: string): Uint8Array[] {
    const message = Buffer.from(`${name}\0${value}`);
    return this.#keys.map((key) => Uint8Array.from(key.linkOf(app).of(message)));
  }

  /** Key ids only. */
  toJSON(): { keys: string[] } {
    return { keys: this.#keys.map((key) => key.name) };
  }
}

function referenceOf(key: Key, user: string, app: string): Uint8Array {
  return Uint8Array.from(key.userOf(app).of(Buffer.from(user)));
}

function split(keys: string | readonly string[] | undefined): readonly unknown[] {
  const texts: unknown = typeof keys === "string" ? keys.split(",") : (keys ?? []);
  if (!Array.isArray(texts)) {
    throw new KeyRingError("The keys must be a string, an array of strings, or a KeyRing.");
  }
  const trimmed: unknown[] = texts.map((text: unknown) => (typeof text === "string" ? text.trim() : text));
  return trimmed.every((text) => text === "") ? [] : trimmed;
}

/** Describes the problem with a key, to follow "Key 2 " in a sentence. Null if the key is valid. */
function problemOf(text: unknown): string | null {
  if (typeof text !== "string") return "is not a string. Pass keys in their text form, ssk1_….";
  if (text === "") return "is empty. Remove the extra comma.";
  if (!text.startsWith(PREFIX)) {
    return isKeyBody(text)
      ? `lacks its prefix ${PREFIX}. Copy the whole key.`
      : `does not begin with ${PREFIX}. A passphrase is not a key: create one with generateKey().`;
  }
  const body = text.slice(PREFIX.length);
  if (body.length !== BODY_CHARACTERS) {
    return (
      `has ${body.length} characters after ${PREFIX} instead of ${BODY_CHARACTERS}. ` +
      "Copy the whole key and nothing else."
    );
  }
  if (!isKeyBody(body)) {
    return "is not canonical base64url. Copy it exactly as it was generated, or create a new one with generateKey().";
  }
  return null;
}

/** 43 characters of base64url whose two spare bits are zero. */
function isKeyBody(text: string): boolean {
  return text.length === BODY_CHARACTERS && Buffer.from(text, "base64url").toString("base64url") === text;
}

function derive(text: unknown): Key {
  const master = Buffer.from((text as string).slice(PREFIX.length), "base64url");
  const expand = (name: string, length: number): Buffer =>
    Buffer.from(hkdfSync("sha512", master, HKDF_SALT, label(name), length));
  const keyId = expand("kid", 4);
  // Expanded lazily, because the name of the application is not known yet. The output fits in one block.
  const expanding = new Hmac("sha512", new Hmac("sha512", Buffer.from(HKDF_SALT)).of(master));
  const named = (name: string): ((app: string) => Hmac) => {
    const known = new Map<string, Hmac>();
    return (app) => {
      let hmac = known.get(app);
      if (hmac === undefined) {
        const block = Buffer.concat([label(name), Buffer.from(app), Uint8Array.of(1)]);
        known.set(app, (hmac = new Hmac("sha256", expanding.of(block).subarray(0, 32))));
      }
      return hmac;
    };
  };
  const userOf = named("user");
  const key: Key = Object.freeze({
    id: keyId.readUInt32BE(),
    name: keyId.toString("hex"),
    row: new Hmac("sha512", expand("row", 64)),
    seal: new Hmac("sha512", expand("seal", 64)),
    token: new Hmac("sha256", expand("token", 32)),
    user: userOf(""),
    userOf,
    linkOf: named("link"),
    audit: new Hmac("sha256", expand("audit", 32)),
    device: new Hmac("sha256", expand("device", 32)),
  });
  return key;
}

function summarize(problems: readonly string[]): string {
  return problems.length === 1
    ? `Invalid keys. ${problems[0]}`
    : `Invalid keys, ${problems.length} problems:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`;
}
