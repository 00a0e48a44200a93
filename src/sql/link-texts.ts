/** The statements of links. They are the same on every database, except for what {@link Portable} provides. */
import { LATEST } from "./columns.ts";
import { marks, padded, type Portable } from "./portable.ts";
import type { SessionRow } from "../store/row.ts";
import type { Names } from "./dialect.ts";
import type { Statement } from "./statement.ts";
import type { SqlValue } from "./values.ts";

/** Entries in one statement. */
const TOGETHER = 32;

/** Ids in one statement. D1 accepts 100 parameters; an entry has three. */
const MOST_IDS = 64;

export class LinkTexts {
  readonly #portable: Portable;
  readonly #names: () => Names;

  /** @param names asked anew each time, because a pool finds out late in which schema the tables are */
  constructor(portable: Portable, names: () => Names) {
    this.#portable = portable;
    this.#names = names;
  }

  /** Adds the entries of these rows. No statements if none has links. */
  add(rows: readonly SessionRow[]): readonly Statement[] {
    const entries = rows.flatMap(({ id, createdAt, links = [] }) =>
      links.map((link) => [id, link, createdAt]),
    );
    const [begin, end] = this.#portable.insertIgnore;
    return parts(entries, TOGETHER).map((some) =>
      this.#statement(
        true,
        `${begin} ${this.#names().links} (session_id, link, created_at) VALUES ${some.map(() => "(?, ?, ?)").join(", ")}${end}`,
        some.flat(),
      ),
    );
  }

  /** After a replace: removes the entries of the old id and adds those of the new one. Nothing if `links` is undefined. */
  move(loaded: SessionRow, next: SessionRow): readonly Statement[] {
    return next.links === undefined ? [] : [...this.remove([loaded.id]), ...this.add([next])];
  }

  remove(ids: readonly Uint8Array[]): readonly Statement[] {
    return parts(ids, MOST_IDS).map((some) => {
      const list = padded(some);
      return this.#statement(
        true,
        `DELETE FROM ${this.#names().links} WHERE session_id IN (${marks(list)})`,
        list,
      );
    });
  }

  find(links: readonly Uint8Array[], createdUntil: number, limit: number): Statement {
    const list = padded(links);
    return this.#sessions(`l.link IN (${marks(list)}) AND l.created_at <= ?`, limit, [
      ...list,
      Math.max(-LATEST, Math.min(createdUntil, LATEST)),
    ]);
  }

  scan(after: Uint8Array | null, limit: number): Statement {
    return this.#sessions("l.session_id > ?", limit, [after ?? new Uint8Array(1)]);
  }

  /** Which of these rows exist. */
  living(ids: readonly Uint8Array[]): Statement {
    const list = padded(ids);
    return this.#statement(
      false,
      `SELECT ${this.#portable.bytes("id")} FROM ${this.#names().sessions} s WHERE s.id IN (${marks(list)}) LIMIT ${list.length}`,
      list,
    );
  }

  session(row: Readonly<Record<string, unknown>>, column: "session_id" | "id"): Uint8Array {
    return this.#portable.bytesIn(row, column) ?? new Uint8Array(0);
  }

  #sessions(condition: string, limit: number, values: readonly SqlValue[]): Statement {
    return this.#statement(
      false,
      `SELECT ${this.#portable.bytes("session_id")} FROM ${this.#names().links} l WHERE ${condition} GROUP BY l.session_id ORDER BY l.session_id LIMIT ${limit}`,
      values,
    );
  }

  #statement(writes: boolean, text: string, values: readonly SqlValue[]): Statement {
    const { text: written, bind } = this.#portable;
    const bound = values.map((value) => (value instanceof Uint8Array ? bind(value) : value));
    return { text: written(text), values: bound, writes };
  }
}

function parts<Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] {
  const all: (readonly Item[])[] = [];
  for (let at = 0; at < items.length; at += size) all.push(items.slice(at, at + size));
  return all;
}
