/** Servers that speak PostgreSQL's protocol and what each does otherwise. Sources: docs/scaling.md. */

export const ENGINES = ["postgres", "partitions", "citus", "cockroachdb", "yugabytedb", "dsql"] as const;

/**
 * The server behind the protocol. `partitions` is PostgreSQL itself with the sessions table partitioned by hash of id, so
 * that a statement by id locks its own partition only.
 */
export type PostgresEngine = (typeof ENGINES)[number];

export interface EngineTraits {
  /**
   * Whether a batch names its ids a second time, in a condition that the planner can prune shards by. Elsewhere that
   * would let the planner lock rows in the order of the heap.
   */
  readonly prunes: boolean;
  /** Whether one statement may delete from and insert into the same table. */
  readonly modifiesTwice: boolean;
  /** Whether an advisory lock keeps others out, and a transaction holds several CREATE statements. */
  readonly migratesInTransaction: boolean;
  /** Whether `sha256` yields bytes. */
  readonly hashesToBytes: boolean;
  /** Begins a transaction of several statements. */
  readonly begin: string;
  /** Whether `concat_ws` and `||` take integers. */
  readonly concatenatesIntegers: boolean;
  /** Whether SELECT … FOR UPDATE may name rows of several shards. */
  readonly locksManyShards: boolean;
  /** The statement of a migration as this engine takes it; null for one that it lacks and that changes no result. */
  ddl(text: string): string | null;
}

const plain: EngineTraits = {
  prunes: false,
  modifiesTwice: true,
  migratesInTransaction: true,
  // Set explicitly, because the role or database may have another default. Under "repeatable read", a process that waited
  // for the migration lock would not see what its holder did.
  begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
  concatenatesIntegers: true,
  hashesToBytes: true,
  locksManyShards: true,
  ddl: (text) => text,
};

/** Hints about storage that only PostgreSQL's own heap has. */
function withoutStorage(text: string): string | null {
  return text.includes("SET STORAGE") ? null : text.replace(/\) WITH \(fillfactor = \d+\)$/, ")");
}

/** Keys and indexes in ascending order. */
function inOrder(text: string): string {
  const key = /^ {2}(\w+) \w+ NOT NULL PRIMARY KEY/m.exec(text)?.[1];
  if (key !== undefined && key !== "name")
    return text
      .replace(" NOT NULL PRIMARY KEY", " NOT NULL")
      .replace(/\n\)$/, `,\n  PRIMARY KEY (${key} ASC)\n)`);
  // An index for equality of its first column may stay hashed by it.
  return text
    .replace(/\((expires_bucket|created_at)(?=[,)])/, "($1 ASC")
    .replace(", created_at)", ", created_at ASC)")
    .replace("(session_id, link)", "(session_id ASC, link ASC)");
}

export const TRAITS: Readonly<Record<PostgresEngine, EngineTraits>> = {
  postgres: plain,
  partitions: { ...plain, prunes: true },
  citus: { ...plain, prunes: true, locksManyShards: false },
  cockroachdb: {
    ...plain,
    modifiesTwice: false,
    migratesInTransaction: false,
    concatenatesIntegers: false,
    hashesToBytes: false,
    ddl: withoutStorage,
  },
  yugabytedb: {
    ...plain,
    migratesInTransaction: false,
    // By default a key is hashed, and a scan in order of it reads the whole table.
    ddl: (text) => {
      const kept = withoutStorage(text);
      return kept === null ? null : inOrder(kept);
    },
  },
  dsql: {
    ...plain,
    migratesInTransaction: false,
    // It has one isolation level.
    begin: "BEGIN",
    // A row is locked by equality with its key.
    locksManyShards: false,
    ddl: (text) =>
      withoutStorage(text)
        ?.replace(/^CREATE INDEX /, "CREATE INDEX ASYNC ")
        .replace(/ WHERE \w+ IS NOT NULL$/, "") ?? null,
  },
};

/**
 * The engine by what the server says of itself.
 * @param version of `version()`
 * @param isCitus whether the extension is in this database
 */
export function engineOf(version: string, isCitus: boolean): PostgresEngine {
  if (/cockroachdb/i.test(version)) return "cockroachdb";
  if (/-YB-/.test(version)) return "yugabytedb";
  return isCitus ? "citus" : "postgres";
}
