import { StoreError } from "../errors.ts";
import type { Token } from "./token.ts";
import type { Write, Written } from "./write.ts";

/** A write whose answer was lost. */
export interface LostWrite extends Write {
  readonly written: Written;
}

/** The writes and deletes of one session whose answer was lost: each may have been applied. */
export class LostWrites {
  /** By the version of the row that the write would have stored. A row with that version proves that it was applied. */
  readonly #writes: Map<number, LostWrite> = new Map();
  /** Whether this request deleted the session. possible: the answer to the delete was lost. */
  deleted: false | "possible" | "confirmed" = false;

  get isEmpty(): boolean {
    return this.#writes.size === 0;
  }

  add(version: number, write: LostWrite): void {
    this.#writes.set(version, write);
  }

  /** The lost write that stored the row with this version; undefined if another request stored it. */
  find(version: number): LostWrite | undefined {
    return this.#writes.get(version);
  }

  /** The token of the row that a lost insert or replace may have stored. */
  get token(): Token | null {
    for (const { token } of this.#writes.values()) if (token !== null) return token;
    return null;
  }

  /** Forgets the writes: they were found, or the row that they would replace is gone. */
  clear(): void {
    this.#writes.clear();
  }
}

/** Whether a write that failed may have been applied. */
export function isUnknown(error: unknown): boolean {
  return error instanceof StoreError && error.outcome === "unknown";
}
