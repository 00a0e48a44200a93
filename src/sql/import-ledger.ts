import { asBuffer } from "../shared/bytes.ts";
import { ALL } from "./mysql/dialect.ts";
import { bytesArray } from "./postgres/dialect.ts";
import type { Dialect, Statement } from "./dialect.ts";

/**
 * The ledger of imports, `<table>_imports`: the ids of the sessions that were taken over from another table, and
 * nothing else. It belongs to the command that imports, not to the migrations: that command makes it when it first
 * writes, and it can be dropped once nothing is imported any more (decisions/0017).
 */
export interface ImportLedger {
  /** A row when the ledger is there. */
  find(): Statement;
  /** CREATE TABLE IF NOT EXISTS. */
  create(): Statement;
  /** Of these ids those that are in the ledger, as rows with `id`. */
  read(ids: readonly Uint8Array[]): Statement;
  /** Adds the ids that are not in it; changes as many rows as it added. */
  add(ids: readonly Uint8Array[]): Statement;
}

export function importLedgerOf({ name, names }: Dialect): ImportLedger {
  const { imports: table } = names;
  if (name === "sqlite") {
    return {
      find: () => query("SELECT 1 AS found FROM pragma_table_info(?) LIMIT 1", table.slice(1, -1)),
      create: () =>
        write(
          `CREATE TABLE IF NOT EXISTS ${table} (id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32)) STRICT, WITHOUT ROWID`,
        ),
      read: (ids) => query(`SELECT id FROM ${table} WHERE id IN (${marks(ids, "?")})`, ...padded(ids)),
      add: (ids) =>
        write(
          `INSERT INTO ${table} (id) VALUES ${marks(ids, "(?)")} ON CONFLICT (id) DO NOTHING`,
          ...padded(ids),
        ),
    };
  }
  if (name === "postgres") {
    return {
      find: () => query("SELECT 1 AS found WHERE to_regclass($1) IS NOT NULL", table),
      create: () => write(`CREATE TABLE IF NOT EXISTS ${table} (id bytea NOT NULL PRIMARY KEY)`),
      read: (ids) =>
        query(
          `SELECT encode(id, 'base64') AS id FROM ${table} WHERE id = ANY ($1::bytea[])`,
          bytesArray(ids),
        ),
      add: (ids) =>
        write(
          `INSERT INTO ${table} (id) SELECT * FROM unnest($1::bytea[]) ON CONFLICT (id) DO NOTHING`,
          bytesArray(ids),
        ),
    };
  }
  const parts = table.split(".").map((part) => part.slice(1, -1));
  return {
    find: () =>
      query(
        `SELECT 1 AS found FROM information_schema.tables WHERE table_schema = ${parts.length > 1 ? "?" : "DATABASE()"} AND table_name = ? ${ALL}`,
        ...parts,
      ),
    create: () =>
      write(`CREATE TABLE IF NOT EXISTS ${table} (id BINARY(32) NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB`),
    read: (ids) =>
      query(`SELECT id FROM ${table} WHERE id IN (${marks(ids, "?")}) ${ALL}`, ...padded(ids).map(asBuffer)),
    // IGNORE leaves out the ids that are there; they are all of one length, so there is nothing else to ignore.
    add: (ids) =>
      write(`INSERT IGNORE INTO ${table} (id) VALUES ${marks(ids, "(?)")}`, ...padded(ids).map(asBuffer)),
  };
}

/** The last one repeated up to a power of two, so that few texts are prepared; a repeated id adds nothing. */
function padded(ids: readonly Uint8Array[]): readonly Uint8Array[] {
  let size = 1;
  while (size < ids.length) size *= 2;
  return [...ids, ...Array<Uint8Array>(size - ids.length).fill(ids.at(-1) as Uint8Array)];
}

function marks(ids: readonly Uint8Array[], mark: string): string {
  return padded(ids)
    .map(() => mark)
    .join(", ");
}

function query(text: string, ...values: unknown[]): Statement {
  return { text, values, writes: false };
}

function write(text: string, ...values: unknown[]): Statement {
  return { text, values, writes: true };
}
