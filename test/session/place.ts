import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";

/** Where a store is, for another process to open it too. */
export interface Place {
  readonly kind: "sqlite" | "postgres" | "mysql" | "mariadb";
  /** A URL or the path of a file. */
  readonly at: string;
  readonly table?: string;
}

export function openPlace({ kind, at, table }: Place): SqlStore {
  const options = table === undefined ? {} : { table };
  if (kind === "sqlite") return sqliteStore(at, options);
  return kind === "postgres" ? postgresStore(at, options) : mysqlStore(at, options);
}
