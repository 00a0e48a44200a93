/** Databases for who only looks: nothing creates a file or changes one. */
import { namesOf } from "../names.ts";
import { SqliteDatabase } from "./driver.ts";
import { openSqlite } from "./open.ts";
import type { SqliteHandle } from "./handle.ts";
import type { Database, Names } from "../dialect.ts";

/** A file that is there, opened so that neither it nor its journal mode changes. */
export function readOnlyDatabase(file: string, table: string | undefined): Database {
  return new SqliteDatabase({
    names: namesOf(table, (name) => `"${name}"`, { schemas: false }),
    open: () => {
      const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
      return new DatabaseSync(file, { readOnly: true }) as SqliteHandle;
    },
    owned: true,
    label: `The file ${file}`,
    busyTimeout: 5_000,
  });
}

/** An empty database in memory, in the place of a file that is not there. */
export function emptyDatabase(names: Names): Database {
  const open = (): SqliteHandle => openSqlite(":memory:", "node:sqlite", "FULL");
  return new SqliteDatabase({ names, open, owned: true, label: "Memory", busyTimeout: 0 });
}
