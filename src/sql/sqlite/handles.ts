/** What `sqliteStore` accepts beside a path. */
import { behind, hasMethods, member } from "../handles.ts";
import type { SqliteHandle } from "./handle.ts";

const PASS = "a handle of node:sqlite, better-sqlite3 or bun:sqlite";

/** The handle, or what is wrong with it. */
export function handleOf(given: unknown): SqliteHandle | string {
  const found = behind(given, "sqliteStore", PASS);
  if (found !== null && "problem" in found) return found.problem;
  if (found !== null && "later" in found)
    return `sqliteStore was given a DataSource of TypeORM or MikroORM. Pass ${PASS}: of TypeORM, dataSource.driver.databaseConnection once it is initialized.`;
  const handle = found === null ? given : found.handle;
  if (hasMethods(handle, "executeMultiple", "batch") && typeof member(handle, "protocol") === "string")
    return "sqliteStore was given a client of @libsql/client. Pass it to libsqlStore of stored-session/libsql.";
  if (hasMethods(handle, "prepare", "batch") && !hasMethods(handle, "close"))
    return "sqliteStore was given a D1 database. Pass it to d1Store of stored-session/d1.";
  if (hasMethods(handle, "prepare", "exec", "close")) return handle as SqliteHandle;
  return `sqliteStore requires a path, or ${PASS}.`;
}
