/** Servers that speak MySQL's protocol and what each does otherwise. Sources: docs/scaling.md. */

export const ENGINES = ["mysql", "mariadb", "tidb", "vitess"] as const;

/** The server behind the protocol; "vitess" is PlanetScale's as well. */
export type MysqlEngine = (typeof ENGINES)[number];

export interface EngineTraits {
  /** Whether an UPDATE may have a subquery. */
  readonly subqueries: boolean;
  /** Whether GET_LOCK keeps others out, at least on one node. */
  readonly locks: boolean;
  /**
   * Whether the first plain SELECT of a transaction shows what was committed by then. TiDB shows what was committed when
   * the transaction began, also after it waited for a lock; its SELECT … FOR UPDATE shows the latest.
   */
  readonly readsBehindLocks: boolean;
}

export const TRAITS: Readonly<Record<MysqlEngine, EngineTraits>> = {
  mysql: { subqueries: true, locks: true, readsBehindLocks: true },
  mariadb: { subqueries: true, locks: true, readsBehindLocks: true },
  tidb: { subqueries: true, locks: true, readsBehindLocks: false },
  vitess: { subqueries: false, locks: false, readsBehindLocks: true },
};

/** The engine by `VERSION()`: "8.0.11-TiDB-v8.5.0", "8.0.40-Vitess", "11.8.2-MariaDB". */
export function engineOf(version: string): MysqlEngine {
  if (/mariadb/i.test(version)) return "mariadb";
  if (/tidb/i.test(version)) return "tidb";
  return /vitess|planetscale/i.test(version) ? "vitess" : "mysql";
}
