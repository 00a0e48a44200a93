import { setImmediate as turn } from "node:timers/promises";
import { keyOf, sameBytes } from "../shared/bytes.ts";
import { pagesOf } from "../store/pages.ts";
import type { KnownRows } from "./known-rows.ts";
import type { Dialect } from "./dialect.ts";
import type { Result, Statement } from "./statement.ts";
import type { SessionRow } from "../store/row.ts";

type Ids = readonly Uint8Array[];
/** Sends a batch, as one statement or several. */
export type Send = (ids: Ids, statementOf: (ids: Ids) => Statement) => Promise<readonly Result[]>;

/** What the caller of a read has: see {@link SessionStore.read}. */
export interface Known {
  /** In the order of the ids. */
  readonly rows: readonly (SessionRow | null)[] | undefined;
  /** Those whose data the server compares. Null for none. */
  readonly asked: KnownRows | null;
}

/**
 * Returns the rows in the order of the ids, and null for an id without one. Large rows are fetched after the others, in
 * bounded pages.
 */
export async function readBatch(
  dialect: Dialect,
  ids: Ids,
  send: Send,
  { rows: known, asked }: Known,
): Promise<(SessionRow | null)[]> {
  const found: SessionRow[] = [];
  const large: { readonly id: Uint8Array; readonly bytes: number }[] = [];
  const statementOf = (some: Ids) =>
    asked === null ? dialect.readSmall(some) : dialect.readChanged(asked.among(some));
  for (const { rows } of await send(ids, statementOf)) {
    for (const columns of rows) {
      if (asked !== null && dialect.isUnchanged(columns)) {
        found.push(asked.complete(dialect.decode(columns)));
        continue;
      }
      const leftOut = dialect.leftOut(columns);
      if (leftOut !== null) large.push(leftOut);
      // Most often the rows arrive in the order of the ids, and none is missing.
      else found.push(dialect.decode(columns, known?.[found.length]));
    }
  }
  // Sends bounded statements one after another, yielding to the event loop in between.
  for (const page of pagesOf(large)) {
    await turn();
    const whole = page.map(({ id }) => id);
    for (const { rows } of await send(whole, (some) => dialect.read(some)))
      for (const columns of rows) found.push(dialect.decode(columns));
  }
  return inOrder(ids, found);
}

function inOrder(ids: Ids, found: SessionRow[]): (SessionRow | null)[] {
  if (found.length === ids.length && found.every(({ id }, index) => sameBytes(id, ids[index]!))) return found;
  const byId = new Map(found.map((row) => [keyOf(row.id), row]));
  return ids.map((id) => byId.get(keyOf(id)) ?? null);
}
