import { write, type Statement } from "../statement.ts";
import { rowValues } from "./rows.ts";
import type { SessionRow } from "../../store/row.ts";

const COLUMNS = 10;
const NOTHING = Buffer.alloc(0);

/**
 * An INSERT of several rows as a list of VALUES, which a distributed planner sends to the shards itself. The list is
 * padded to a power of two, so that few texts are kept prepared; a padded row's id stands before it already.
 * @param insertOne the text for one row
 */
export function insertValues(insertOne: string, rows: readonly SessionRow[]): Statement {
  let size = 1;
  while (size < rows.length) size *= 2;
  const last = rows.at(-1) as SessionRow;
  const padding = rowValues({ ...last, data: NOTHING, client: null });
  const values = [...rows.map(rowValues), ...Array<typeof padding>(size - rows.length).fill(padding)];
  const marks = values.map(
    (_, row) =>
      `(${Array.from({ length: COLUMNS }, (_column, at) => `$${row * COLUMNS + at + 1}`).join(", ")})`,
  );
  const text = insertOne.replace(/\(\$1, .*?\)/, marks.join(", "));
  return write(`${text} RETURNING encode(id, 'base64') AS id`, ...values.flat());
}
