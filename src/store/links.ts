/**
 * The part of the store contract that links need. A link is a second blind index, by which `revokeByLink` finds a session.
 * A store without this part stays valid: `login` refuses links with it.
 *
 * Entries (id of the session's row, link, `createdAt` of the row) are written in the same transaction as the row that has
 * `links`: `insert` and `update` add them, and `replace` removes those of the replaced row first. After an `update`, those from
 * before may be found or not: they are the same links under another key. An entry whose row is gone is harmless, and
 * `sweep` removes it.
 */
export interface LinkStore {
  /**
   * Ids of rows with one of these links and `createdAt <= createdUntil`, each once, in any order, at most `limit`. Ids of
   * rows that are gone may be among them, until `forget` or `sweep` removes their entries.
   */
  find(links: readonly Uint8Array[], createdUntil: number, limit: number): Promise<readonly Uint8Array[]>;
  /** Removes the entries of rows that are gone. */
  forget(ids: readonly Uint8Array[]): Promise<void>;
  /**
   * Removes all entries whose row is gone, in bounded steps. Does nothing where the entries have no table yet.
   * @param mayGoOn asked before every step. False ends the run
   */
  sweep(mayGoOn?: () => Promise<boolean>): Promise<void>;
}
