/** Servers that speak MySQL's protocol and what each does otherwise. Sources: docs/scaling.md. */

export const ENGINES = ["mysql", "mariadb", "tidb", "vitess"] as const;

/** The server behind the protocol; "vitess" is PlanetScale's as well. */
export type MysqlEngine = (typeof ENGINES)[number];

export interface EngineTraits {
  /** Whether an UPDATE may have a subquery. */
  readonly subqueries: boolean;
  /** Whether GET_LOCK keeps others out, at least on one node. */
  readonly locks: boolean;
}

export const TRAITS: Readonly<Record<MysqlEngine, EngineTraits>> = {
  mysql: { subqueries: true, locks: true },
  mariadb: { subqueries: true, locks: true },
  tidb: { subqueries: true, locks: true },
  vitess: { subqueries: false, locks: false },
};

/** The engine by `VERSION()`: "8.0.11-TiDB-v8.5.0", "8.0.40-Vitess", "11.8.2-MariaDB". */
export function engineOf(version: string): MysqlEngine {
  if (/mariadb/i.test(version)) return "mariadb";
  if (/tidb/i.test(version)) return "tidb";
  return /vitess|planetscale/i.test(version) ? "vitess" : "mysql";
}
