import { inspect } from "node:util";
import type { Token } from "../session/token.ts";
import { isPublicId, mintPublicId, privateId } from "./session-id.ts";

/** Creates the token of a new session: its text is the public id, its id the bytes of the `sid` column. */
export function mintRailsToken(): Token {
  return new RailsToken(mintPublicId());
}

/** Parses a cookie's value. Null if no Rails session store created it. */
export function readRailsToken(value: string): Token | null {
  return isPublicId(value) ? new RailsToken(value) : null;
}

/** The public id is a credential, so printing or serializing the token does not show it (R2). */
class RailsToken implements Token {
  readonly #publicId: string;
  readonly id: Uint8Array;
  readonly stale = false;

  constructor(publicId: string) {
    this.#publicId = publicId;
    this.id = new TextEncoder().encode(privateId(publicId));
  }

  get text(): string {
    return this.#publicId;
  }

  get sid(): Uint8Array {
    return new TextEncoder().encode(this.#publicId);
  }

  toJSON(): { id: string } {
    return { id: new TextDecoder().decode(this.id) };
  }

  [inspect.custom](): string {
    return `RailsToken { id: ${new TextDecoder().decode(this.id)} }`;
  }
}
