import { randomUUID } from "node:crypto";
import { StoreTimeoutError } from "../errors.ts";

/** Milliseconds that a process may run migrations, and that another waits for it. */
export const MIGRATION_LEASE = 60_000;

/** The lease's name in its table. */
const LEASE = "stored-session:migrate";

export interface Leasing {
  /** Creates the table of leases if it does not exist. */
  makeTable(): Promise<void>;
  /** Acquires the lease until the given time, or releases it with 0. Returns whether this holder has it. */
  lease(name: string, holder: string, until: number): Promise<boolean>;
}

/** Runs `work` while this process holds the lease row. The row of a process that dies expires after a minute. */
export async function withMigrationLease<T>(
  { makeTable, lease }: Leasing,
  work: () => Promise<T>,
): Promise<T> {
  const holder = randomUUID();
  await makeTable();
  const end = Date.now() + 2 * MIGRATION_LEASE;
  while (!(await lease(LEASE, holder, Date.now() + MIGRATION_LEASE))) {
    if (Date.now() > end) throw tooLong();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    return await work();
  } finally {
    // Release it after a failure too; otherwise others would wait for it to expire, which hides the reason.
    await lease(LEASE, holder, 0).catch(() => {});
  }
}

export function tooLong(): StoreTimeoutError {
  return new StoreTimeoutError(
    "Timed out waiting for the migration lock, which another process holds. If that process hangs, end it, then run the migration again.",
  );
}
