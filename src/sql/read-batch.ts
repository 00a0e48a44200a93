import { setImmediate as turn } from "node:timers/promises";
import { keyOf } from "../shared/bytes.ts";
import { pagesOf } from "../store/pages.ts";
import type { KnownRows } from "./known-rows.ts";
import type { Dialect } from "./dialect.ts";
import type { Result, Statement } from "./statement.ts";
import type { SessionRow } from "../store/row.ts";

type Ids = readonly Uint8Array[];
type Send = (ids: Ids, statementOf: (ids: Ids) => Statement) => Promise<readonly Result[]>;

/**
 * Returns the existing rows by {@link keyOf} of their id. Large rows are fetched after the others, in bounded pages.
 */
export async function readBatch(
  dialect: Dialect,
  ids: Ids,
  send: Send,
  known: KnownRows | null = null,
): Promise<Map<string, SessionRow>> {
  const found = new Map<string, SessionRow>();
  const add = (columns: Record<string, unknown>): void => {
    const row = dialect.decode(columns);
    found.set(keyOf(row.id), row);
  };
  const large: { readonly id: Uint8Array; readonly bytes: number }[] = [];
  const statementOf = (some: Ids) =>
    known === null ? dialect.readSmall(some) : dialect.readChanged(known.among(some));
  for (const { rows } of await send(ids, statementOf)) {
    for (const columns of rows) {
      if (known !== null && dialect.isUnchanged(columns)) {
        const row = known.complete(dialect.decode(columns));
        found.set(keyOf(row.id), row);
        continue;
      }
      const leftOut = dialect.leftOut(columns);
      if (leftOut === null) add(columns);
      else large.push(leftOut);
    }
  }
  // Sends bounded statements one after another, yielding to the event loop in between.
  for (const page of pagesOf(large)) {
    await turn();
    const whole = page.map(({ id }) => id);
    for (const { rows } of await send(whole, (some) => dialect.read(some))) rows.forEach(add);
  }
  return found;
}
