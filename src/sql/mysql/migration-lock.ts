import { createHash, randomUUID } from "node:crypto";
import { StoreTimeoutError } from "../../errors.ts";
import type { Names, Run, Statement } from "../dialect.ts";
import type { SqlValue } from "../values.ts";

/** How long a process may run migrations, and how long another waits for it. */
const MIGRATION_LEASE = 60_000;

/** The lease's name in its table. */
const LEASE = "stored-session:migrate";

/** What the lock needs from a connection. */
export interface Locking {
  readonly run: Run;
  /** Acquires the lease until the given time, or releases it with 0. Returns whether this holder has it. */
  lease(name: string, holder: string, until: number): Promise<boolean>;
  /** Sends a statement unprepared and ignores failures. */
  finish(sql: string): Promise<void>;
}

/**
 * Uses two locks. GET_LOCK ends with its connection, so a crashed process blocks nobody, but in a Galera or Group
 * Replication cluster it applies to one node only. The lease row applies to all nodes, but outlives its holder for a
 * while.
 * @param lockName the same in every process, whether or not it has found the database of the tables
 */
export async function withMigrationLock<T>(
  { run, lease, finish }: Locking,
  lockName: string,
  { leases }: Names,
  work: () => Promise<T>,
): Promise<T> {
  const name = `stored-session:${createHash("sha256").update(lockName).digest("hex").slice(0, 40)}`;
  const holder = randomUUID();
  const { rows } = await run(locking("SELECT GET_LOCK(?, ?) AS held LIMIT 1", name, MIGRATION_LEASE / 1_000));
  if (Number(rows[0]?.["held"]) !== 1) throw tooLong();
  try {
    await run({ text: leaseTable(leases), values: [], writes: true });
    await waitForLease(lease, holder);
    try {
      return await work();
    } finally {
      // Release it after a failure too; otherwise others would wait for it to expire, which hides the reason.
      await lease(LEASE, holder, 0).catch(() => {});
    }
  } finally {
    await finish(`DO RELEASE_LOCK('${name}')`);
  }
}

async function waitForLease(lease: Locking["lease"], holder: string): Promise<void> {
  const end = Date.now() + 2 * MIGRATION_LEASE;
  while (!(await lease(LEASE, holder, Date.now() + MIGRATION_LEASE))) {
    if (Date.now() > end) throw tooLong();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The lease table as the first migration creates it, needed before that migration. */
function leaseTable(leases: string): string {
  return `CREATE TABLE IF NOT EXISTS ${leases} (name VARBINARY(255) NOT NULL, holder VARBINARY(255) NOT NULL, held_until BIGINT NOT NULL, PRIMARY KEY (name)) ENGINE=InnoDB`;
}

function locking(text: string, ...values: SqlValue[]): Statement {
  return { text, values, writes: false };
}

function tooLong(): StoreTimeoutError {
  return new StoreTimeoutError(
    "Timed out waiting for the migration lock, which another process holds. If that process hangs, end it, then run the migration again.",
  );
}
