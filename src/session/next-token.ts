import type { Pending } from "./pending.ts";
import type { Token } from "./token.ts";
import type { Write } from "./write.ts";

/** The token that the next insert or replace of a session gives it. */
export class NextToken {
  readonly #mint: () => Token;
  #token: Token | null = null;
  #inFlight: Write | null = null;

  constructor(mint: () => Token) {
    this.#mint = mint;
  }

  /** Kept between attempts, so that a repeated commit finds its own row. */
  get value(): Token {
    return (this.#token ??= this.#mint());
  }

  /** The token of the write in flight, if that does everything that is pending; otherwise null. */
  inFlight(pending: Pending): Token | null {
    const write = this.#inFlight;
    return write === null || pending.hasGrownSince(write.cut) ? null : write.token;
  }

  /** A write begins: an operation that is requested from now on gets a token of its own. */
  begin(write: Write): void {
    this.#inFlight = write;
    if (write.token !== null) this.#token = null;
  }

  /** The write has ended. One that was not applied, or not for certain, is repeated with its token. */
  end({ token }: Write, isDone: boolean): void {
    this.#inFlight = null;
    if (!isDone && token !== null) this.#token = token;
  }

  /** A row with this token is stored. */
  use(token: Token | null): void {
    if (this.#token === token) this.#token = null;
  }
}
