import { createHash } from "node:crypto";
import { keyOf } from "../shared/bytes.ts";
import type { SessionRow } from "../store/row.ts";

/**
 * Bytes of data above which it costs less to ask whether they changed than to transfer them. Below, the hash costs the
 * server more than the transfer ([decision 29](../../decisions/0029-each-version-decrypted-once.md)).
 */
export const WORTH_ASKING = 1_024;

/** An id to be read, and the row that the caller has of it; null for none whose data is worth asking for. */
export interface KnownId {
  readonly id: Uint8Array;
  readonly known: SessionRow | null;
}

/** Rows that a caller has, whose data need not be transferred where it is still the same. */
export class KnownRows {
  readonly #rows: ReadonlyMap<string, SessionRow>;

  private constructor(rows: ReadonlyMap<string, SessionRow>) {
    this.#rows = rows;
  }

  /** Null where there are none that are worth asking for. */
  static of(known: readonly (SessionRow | null)[] | undefined): KnownRows | null {
    let rows: Map<string, SessionRow> | null = null;
    known?.forEach((row) => {
      // By its own id: whatever was asked for in its place, its data is not another row's.
      if (row !== null && row.data.length > WORTH_ASKING) (rows ??= new Map()).set(keyOf(row.id), row);
    });
    return rows && new KnownRows(rows);
  }

  among(ids: readonly Uint8Array[]): KnownId[] {
    return ids.map((id) => ({ id, known: this.#rows.get(keyOf(id)) ?? null }));
  }

  /** A row whose data was left out, because it is that of the known row. */
  complete(row: SessionRow): SessionRow {
    return { ...row, data: this.#rows.get(keyOf(row.id))!.data };
  }
}

/** By row, and not by its data: rows of two ids may share one array. */
const digests = new WeakMap<SessionRow, Buffer>();

/**
 * SHA-256 over id and data: what a server compares with its own. The id is in it, so that data moved from one row to
 * another is not taken for what was known of either.
 */
export function digestOf(row: SessionRow): Buffer {
  let digest = digests.get(row);
  if (digest === undefined) {
    digest = createHash("sha256").update(row.id).update(row.data).digest();
    digests.set(row, digest);
  }
  return digest;
}
