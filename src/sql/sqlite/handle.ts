/** The methods used of node:sqlite's `DatabaseSync` and of better-sqlite3's `Database`. */
export interface SqliteHandle {
  prepare(sql: string): SqliteStatement;
  exec(sql: string): unknown;
  close(): unknown;
  /** node:sqlite since Node 22.16. */
  readonly isTransaction?: boolean;
  readonly isOpen?: boolean;
  /** better-sqlite3. */
  readonly inTransaction?: boolean;
}

export interface SqliteStatement {
  run(...values: never[]): { readonly changes: number | bigint };
  all(...values: never[]): unknown[];
}
