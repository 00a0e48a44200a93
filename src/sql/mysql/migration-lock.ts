import { createHash } from "node:crypto";
import { MIGRATION_LEASE, tooLong, withMigrationLease, type Leasing } from "../migration-lease.ts";
import type { Names, Run, Statement } from "../dialect.ts";
import type { SqlValue } from "../values.ts";

/** What the lock needs from a connection. */
export interface Locking {
  readonly run: Run;
  readonly lease: Leasing["lease"];
  /** Sends a statement unprepared and ignores failures. */
  finish(sql: string): Promise<void>;
  /** Whether the server has GET_LOCK. */
  readonly hasLocks: boolean;
}

/**
 * Uses two locks. GET_LOCK ends with its connection, so a crashed process blocks nobody, but in a Galera or Group
 * Replication cluster it applies to one node only. The lease row applies to all nodes, but outlives its holder for a
 * while.
 * @param lockName the same in every process, whether or not it has found the database of the tables
 */
export async function withMigrationLock<T>(
  { run, lease, finish, hasLocks }: Locking,
  lockName: string,
  { leases }: Names,
  work: () => Promise<T>,
): Promise<T> {
  const makeTable = async (): Promise<void> => {
    await run({ text: leaseTable(leases), values: [], writes: true });
  };
  if (!hasLocks) return await withMigrationLease({ makeTable, lease }, work);
  const name = `stored-session:${createHash("sha256").update(lockName).digest("hex").slice(0, 40)}`;
  const { rows } = await run(locking("SELECT GET_LOCK(?, ?) AS held LIMIT 1", name, MIGRATION_LEASE / 1_000));
  if (Number(rows[0]?.["held"]) !== 1) throw tooLong();
  try {
    return await withMigrationLease({ makeTable, lease }, work);
  } finally {
    await finish(`DO RELEASE_LOCK('${name}')`);
  }
}

/** The lease table as the first migration creates it, needed before that migration. */
function leaseTable(leases: string): string {
  return `CREATE TABLE IF NOT EXISTS ${leases} (name VARBINARY(255) NOT NULL, holder VARBINARY(255) NOT NULL, held_until BIGINT NOT NULL, PRIMARY KEY (name)) ENGINE=InnoDB`;
}

function locking(text: string, ...values: SqlValue[]): Statement {
  return { text, values, writes: false };
}
