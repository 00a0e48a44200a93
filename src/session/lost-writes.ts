import { StoreError } from "../errors.ts";
import type { Token } from "./token.ts";
import type { Write, Written } from "./write.ts";

/**
 * The writes of one session whose answer was lost: each may have been applied. A row with the version of such a write
 * proves that it was, because every write has a random version.
 */
export class LostWrites<Lost> {
  /** Null for none, as with nearly every session. */
  #writes: Map<number, Lost> | null = null;

  get isEmpty(): boolean {
    return this.#writes === null;
  }

  /** Performs a write, and records it if its answer is lost. */
  async during<Answer>(version: number, lost: Lost, write: () => Promise<Answer>): Promise<Answer> {
    try {
      return await write();
    } catch (error) {
      if (isUnknown(error)) this.add(version, lost);
      throw error;
    }
  }

  add(version: number, lost: Lost): void {
    (this.#writes ??= new Map()).set(version, lost);
  }

  /** The lost write that stored the row with this version; undefined if another request stored it. */
  find(version: number): Lost | undefined {
    return this.#writes?.get(version);
  }

  protected values(): Iterable<Lost> {
    return this.#writes?.values() ?? [];
  }

  /** Forgets them: one was found, or the row that they would replace has changed, so that none can be applied now. */
  clear(): void {
    this.#writes = null;
  }
}

/** A write of a session by `commit` or `update` whose answer was lost. */
export interface LostWrite extends Write {
  readonly written: Written;
}

/** What was lost of a session with a token of ours. */
export class LostSessionWrites extends LostWrites<LostWrite> {
  /** Whether this request deleted the session. possible: the answer to the delete was lost. */
  deleted: false | "possible" | "confirmed" = false;

  /** The token of the row that a lost insert or replace may have stored. */
  get token(): Token | null {
    for (const { token } of this.values()) if (token !== null) return token;
    return null;
  }
}

/** Whether a write that failed may have been applied. */
export function isUnknown(error: unknown): boolean {
  return error instanceof StoreError && error.outcome === "unknown";
}
