/** Opens databases for reading: never creates or changes a file. */
import { namesOf } from "../names.ts";
import { SqliteDatabase } from "./driver.ts";
import { openSqlite } from "./open.ts";
import type { SqliteHandle } from "./handle.ts";
import type { Database, Names } from "../dialect.ts";

/** Opens an existing file without changing it or its journal mode. */
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

/** An empty in-memory database, in place of a missing file. */
export function emptyDatabase(names: Names): Database {
  const open = (): SqliteHandle => openSqlite(":memory:", "node:sqlite", "FULL");
  return new SqliteDatabase({ names, open, owned: true, label: "Memory", busyTimeout: 0 });
}
