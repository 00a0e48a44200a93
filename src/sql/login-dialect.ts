import type { EndedRow } from "../store/audit.ts";
import type { LimitedLogin } from "../store/session-limit.ts";
import type { Result, Statement } from "./statement.ts";

/** What a login under a limit of sessions needs of a dialect. */
export interface LoginDialect {
  /**
   * Locks one of the slots of logins until the transaction ends. The row changes each time: a cluster detects only such
   * conflicts. Undefined for a database with one writer at a time.
   */
  lockLogin?(name: string): Statement;
  /** False for a server whose plain SELECT shows what was committed when the transaction began, and not when it got a lock. */
  readonly readsBehindLocks?: boolean;
  /** For a database that takes all statements of a transaction at once: a login, and the rows that it ended. */
  loginAtOnce?(login: LimitedLogin): {
    readonly statements: readonly Statement[];
    ended(results: readonly Result[]): readonly EndedRow[];
  };
}
