import { setImmediate as turn } from "node:timers/promises";
import { keyOf } from "../shared/bytes.ts";
import type { LinkStore } from "../store/links.ts";
import type { Guard } from "./audit-store.ts";
import type { Database } from "./dialect.ts";
import type { LinkTexts } from "./link-texts.ts";

/** Sessions in one step of a sweep: they are looked up by a single statement. */
const MOST_SWEPT = 64;

/** The links of any SQL database. Entries are written together with the rows, by the store and the audit trail. */
export class SqlLinks implements LinkStore {
  readonly #database: Database;
  readonly #texts: LinkTexts;
  readonly #guard: Guard;
  #isThere = false;

  constructor(database: Database, texts: LinkTexts, guard: Guard) {
    this.#database = database;
    this.#texts = texts;
    this.#guard = guard;
  }

  find(links: readonly Uint8Array[], createdUntil: number, limit: number): Promise<readonly Uint8Array[]> {
    return this.#guard(async () => {
      if (links.length === 0) return [];
      const { rows } = await this.#database.run(this.#texts.find(links, createdUntil, limit));
      return rows.map((row) => this.#texts.session(row, "session_id"));
    });
  }

  forget(ids: readonly Uint8Array[]): Promise<void> {
    return this.#guard(async () => {
      for (const statement of this.#texts.remove(ids)) await this.#database.run(statement);
    });
  }

  async sweep(mayGoOn: () => Promise<boolean> = async () => true): Promise<void> {
    let after: Uint8Array | null = null;
    while (await mayGoOn()) {
      after = await this.#step(after);
      if (after === null) return;
      await turn(); // node:sqlite is synchronous
    }
  }

  /** Returns the last id, to continue after it, or null at the end. */
  #step(after: Uint8Array | null): Promise<Uint8Array | null> {
    return this.#guard(async () => {
      const { dialect, run } = this.#database;
      // Without the table, the statements below would fail in the log of a server whose applications use no links.
      this.#isThere ||= (await run(dialect.columns("links"))).rows.length > 0;
      if (!this.#isThere) return null;
      const { rows } = await run(this.#texts.scan(after, MOST_SWEPT));
      const ids = rows.map((row) => this.#texts.session(row, "session_id"));
      if (ids.length === 0) return null;
      // Read later than the entries: one that was added meanwhile is not among them.
      const living = new Set(
        (await run(this.#texts.living(ids))).rows.map((row) => keyOf(this.#texts.session(row, "id"))),
      );
      const gone = ids.filter((id) => !living.has(keyOf(id)));
      if (gone.length > 0) await dialect.assertReachable?.(gone, run);
      for (const statement of this.#texts.remove(gone)) await run(statement);
      return ids.length < MOST_SWEPT ? null : ids.at(-1)!;
    });
  }
}
