import { keyOf } from "../shared/bytes.ts";
import type { LinkStore } from "./links.ts";
import { copyOfRow, type SessionRow } from "./row.ts";

/** A row with its links, which no read returns. */
export function keptCopy(row: SessionRow): SessionRow {
  return { ...copyOfRow(row), links: row.links };
}

/** The links of the memory store, which keeps them with their rows: none is left over. */
export function memoryLinks(rows: () => Iterable<SessionRow>): LinkStore {
  return {
    async find(links, createdUntil, limit) {
      const wanted = new Set(links.map(keyOf));
      const isWanted = (row: SessionRow): boolean =>
        row.createdAt <= createdUntil && row.links?.some((link) => wanted.has(keyOf(link))) === true;
      return [...rows()]
        .filter(isWanted)
        .slice(0, limit)
        .map(({ id }) => new Uint8Array(id));
    },
    async forget() {},
    async sweep() {},
  };
}
