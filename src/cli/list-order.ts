import { InvalidArgumentError } from "commander";
import type { ListedSession } from "../operator/admin.ts";

export type Sort = "created" | "used" | "ends" | "size";

/** What `list --sort` orders by, each from the greatest value down. */
export const sorts: Readonly<Record<Sort, (session: ListedSession) => number>> = {
  created: ({ createdAt }) => createdAt.getTime(),
  used: ({ updatedAt }) => updatedAt.getTime(),
  ends: ({ expiresAt }) => expiresAt.getTime(),
  size: ({ bytes }) => bytes,
};

/** Where a page ended: the handle, and the sort value before it where the list is sorted. */
export interface Cursor {
  readonly value: number | null;
  readonly handle: string;
}

export function cursorOf(session: ListedSession, sort: Sort | undefined): string {
  return sort === undefined ? session.handle : `${sorts[sort](session)}:${session.handle}`;
}

export function cursor(text: string): Cursor {
  const [, value, handle] = /^(?:(\d+):)?([\w-]{43})$/.exec(text) ?? [];
  if (handle === undefined) {
    throw new InvalidArgumentError('Use the value that "list" printed at the end of the previous page.');
  }
  return { value: value === undefined ? null : Number(value), handle };
}

/**
 * The first `limit` sessions behind the cursor, and whether there are more. Sorted, it goes over all of them and keeps
 * twice the page in memory.
 */
export class Page {
  readonly #limit: number;
  readonly #sort: Sort | undefined;
  readonly #after: Cursor | undefined;
  #found: ListedSession[] = [];

  constructor(limit: number, sort: Sort | undefined, after: Cursor | undefined) {
    this.#limit = limit;
    this.#sort = sort;
    this.#after = after;
  }

  /** Whether nothing that follows can be on this page. */
  get isFull(): boolean {
    return this.#sort === undefined && this.#found.length > this.#limit;
  }

  add(session: ListedSession): void {
    if (!this.#isBehindCursor(session)) return;
    this.#found.push(session);
    if (this.#sort !== undefined && this.#found.length > 2 * this.#limit + 1) this.#cut();
  }

  /** The sessions of the page, and the cursor of the next one; null at the end. */
  end(): { readonly sessions: ListedSession[]; readonly next: string | null } {
    if (this.#sort !== undefined) this.#cut();
    const sessions = this.#found.slice(0, this.#limit);
    const next = this.#found.length > this.#limit ? cursorOf(sessions.at(-1)!, this.#sort) : null;
    return { sessions, next };
  }

  #cut(): void {
    const value = sorts[this.#sort!];
    const order = (a: ListedSession, b: ListedSession) =>
      value(b) - value(a) || (a.handle < b.handle ? -1 : 1);
    this.#found = this.#found.toSorted(order).slice(0, this.#limit + 1);
  }

  #isBehindCursor(session: ListedSession): boolean {
    if (this.#after === undefined) return true;
    if (this.#sort === undefined) return true; // the walk begins there
    const value = sorts[this.#sort](session);
    const { value: last, handle } = this.#after;
    return value < last! || (value === last && session.handle > handle);
  }
}
