import { hash } from "../sealing/hash.ts";
import { randomBytes } from "../sealing/random.ts";

/** What a token says that was verified. */
export interface KnownToken {
  /** The row's id. */
  readonly id: Uint8Array;
  readonly stale: boolean;
}

/** Tokens of one generation. Two are kept: about 250 bytes each. */
const GENERATION = 4_096;

/**
 * Tokens that were verified of late, so that the next request with one costs one hash instead of three. They are known
 * by a hash that is keyed with random bytes of this process: nothing here is a token, or leads to one (R2). A token that
 * did not verify never gets here.
 */
export class KnownTokens {
  readonly #prefix: string = Buffer.from(randomBytes(32)).toString("base64url");
  #young = new Map<string, KnownToken>();
  #old = new Map<string, KnownToken>();

  /** @param text 64 characters: of one length, so that the prefix is a key */
  keyOf(text: string): string {
    return hash("sha256", this.#prefix + text, "binary");
  }

  /** @param key as {@link keyOf} returned it */
  find(key: string): KnownToken | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.add(key, old);
    return old;
  }

  add(key: string, token: KnownToken): void {
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, token);
  }
}
