/** `stored-session/driver`: what a driver or a dialect of your own is made of. See docs/drivers.md. */
export { SqlStore, type SqlStoreOptions } from "./sql-store.ts";
export { query, write, type Result, type Run, type Statement } from "./statement.ts";
export { BytesList, IntegerList, type SqlValue } from "./values.ts";
export {
  PooledDatabase,
  type Connection,
  type Pool,
  type PooledDatabaseOptions,
  type ServerDialect,
  type ServerErrors,
} from "./pooled-driver.ts";
export { PostgresDatabase, type PostgresDatabaseOptions, type PostgresQuery } from "./postgres/driver.ts";
export { PostgresDialect } from "./postgres/dialect.ts";
export { stepwisePool, type Scoped } from "./postgres/stepwise.ts";
export { textValues } from "./postgres/arrays.ts";
export { MysqlDatabase, type MysqlDatabaseOptions } from "./mysql/driver.ts";
export { MysqlDialect } from "./mysql/dialect.ts";
export {
  BatchDatabase,
  type BatchClient,
  type BatchDatabaseOptions,
  type BatchResult,
  type BatchStatement,
  type BatchValue,
} from "./sqlite/batch-driver.ts";
export { batchDialect, type BatchStoreOptions } from "./sqlite/batch-dialect.ts";
export type { Database, Dialect, JournalEntry, Names } from "./dialect.ts";
