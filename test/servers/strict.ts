/**
 * What servers that speak the protocol of PostgreSQL or MySQL reject, or carry out otherwise, by their documentation, a
 * run, or memory (`known`). The servers themselves do not run here: a statement that one of these rules finds would fail there, or be wrong.
 */

export interface Rule {
  readonly engine: "cockroachdb" | "yugabytedb" | "citus" | "dsql" | "tidb" | "vitess";
  readonly what: string;
  /** Where it is documented. */
  readonly source: string;
  /**
   * How we know: "read" there; "run" on a cluster of ours; from "memory", and the source was not opened or does not say
   * it in so many words: verify it there before you rely on it.
   */
  readonly known: "read" | "run" | "memory";
  /** @param inTransaction the texts of this transaction before it; null outside of one */
  finds(text: string, inTransaction: readonly string[] | null): boolean;
}

const COCKROACH = "https://www.cockroachlabs.com/docs/stable/postgresql-compatibility";
const COCKROACH_TABLES = "https://www.cockroachlabs.com/docs/stable/alter-table";
const YUGABYTE = "https://docs.yugabyte.com/stable/develop/postgresql-compatibility/";
const DSQL =
  "https://docs.aws.amazon.com/aurora-dsql/latest/userguide/working-with-postgresql-compatibility-unsupported-features.html";
const DSQL_INDEX =
  "https://docs.aws.amazon.com/aurora-dsql/latest/userguide/working-with-create-index-async.html";
const DSQL_DDL = "https://docs.aws.amazon.com/aurora-dsql/latest/userguide/working-with-ddl.html";

const hasAdvisoryLock = (text: string): boolean => /pg_(try_)?advisory/.test(text);
const hasStorage = (text: string): boolean => /SET STORAGE|fillfactor/.test(text);
const isDdl = (text: string): boolean => /^\s*(CREATE|ALTER|DROP)\b/.test(text);
const isDml = (text: string): boolean => /^\s*(INSERT|UPDATE|DELETE|WITH)\b/.test(text);

/** The tables that a statement inserts into, updates or deletes from. */
function modified(text: string): string[] {
  return [
    ...text.matchAll(
      /\b(?:INSERT INTO|DELETE FROM|UPDATE(?! SET\b))\s+((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)/g,
    ),
  ].map(([, table]) => table!);
}

export const RULES: readonly Rule[] = [
  {
    engine: "cockroachdb",
    what: "several modifications of one table in a statement (0A000)",
    known: "read",
    source: "https://github.com/cockroachdb/cockroach/pull/71595",
    finds: (text) => new Set(modified(text)).size < modified(text).length,
  },
  {
    engine: "cockroachdb",
    what: "a division of integers, whose result is a DECIMAL",
    known: "read",
    source: COCKROACH,
    finds: (text) => /(?<!% \d+\)) \/ \d/.test(text),
  },
  {
    engine: "cockroachdb",
    what: "an advisory lock, which keeps nobody out",
    known: "memory",
    source: COCKROACH,
    finds: hasAdvisoryLock,
  },
  {
    engine: "cockroachdb",
    what: "storage parameters of PostgreSQL's heap",
    known: "memory",
    source: COCKROACH_TABLES,
    finds: hasStorage,
  },
  {
    engine: "cockroachdb",
    what: "text joined from integers without a cast",
    known: "memory",
    source: "https://www.cockroachlabs.com/docs/stable/functions-and-operators",
    finds: (text) =>
      /concat_ws\(' ', s\.\w+,/.test(text) ||
      /octet_length\(s\.data\) \|\||\|\| octet_length\(s\.data\)(?!::)/.test(text),
  },
  {
    engine: "cockroachdb",
    what: "sha256, whose result is text, compared with bytes",
    known: "memory",
    source: "https://www.cockroachlabs.com/docs/stable/functions-and-operators",
    finds: (text) => /sha256\(/.test(text),
  },
  {
    engine: "yugabytedb",
    what: "an advisory lock, which versions before 2025.1 lack",
    known: "read",
    source: "https://github.com/yugabyte/yugabyte-db/issues/3642",
    finds: hasAdvisoryLock,
  },
  {
    engine: "yugabytedb",
    what: "storage parameters of PostgreSQL's heap",
    known: "memory",
    source: YUGABYTE,
    finds: hasStorage,
  },
  {
    engine: "yugabytedb",
    what: "a table or an index that is read in order, without ASC: the first column is hashed by default",
    known: "memory",
    source: "https://docs.yugabyte.com/stable/api/ysql/the-sql-language/statements/ddl_create_index/",
    finds: (text) =>
      // Tables of leases are read by equality.
      /^ {2}(?!name )\w+ \w+ NOT NULL PRIMARY KEY/m.test(text) ||
      /ON \S+ \((expires_bucket|created_at)(?! ASC)/.test(text),
  },
  {
    engine: "yugabytedb",
    what: "a table without a primary key: it has lost the one that the migration gives it",
    known: "run",
    source: "our own rule: every table of a migration has one",
    finds: (text) => text.startsWith("CREATE TABLE") && !text.includes("PRIMARY KEY"),
  },
  {
    engine: "dsql",
    what: "an index that is not made asynchronously",
    known: "read",
    source: DSQL_DDL,
    finds: (text) => /^CREATE (UNIQUE )?INDEX (?!ASYNC)/.test(text),
  },
  {
    engine: "dsql",
    what: "a second statement beside a CREATE or ALTER in one transaction",
    known: "read",
    source: DSQL_DDL,
    finds: (text, before) =>
      before !== null &&
      ((isDdl(text) && before.some((one) => isDdl(one) || isDml(one))) ||
        (isDml(text) && before.some(isDdl))),
  },
  {
    engine: "dsql",
    what: "a partial index, for which its CREATE INDEX has no syntax",
    known: "read",
    source: DSQL_INDEX,
    finds: (text) => /^CREATE (UNIQUE )?INDEX [^]* WHERE /.test(text),
  },
  {
    engine: "dsql",
    what: "FOR UPDATE of rows that are not named by equality with the key",
    known: "memory",
    source: "https://docs.aws.amazon.com/aurora-dsql/latest/userguide/working-with-concurrency-control.html",
    finds: (text) => / FOR UPDATE/.test(text) && !/WHERE id (= \$1|IN \(\$1\)) /.test(text),
  },
  { engine: "dsql", what: "an advisory lock", known: "memory", source: DSQL, finds: hasAdvisoryLock },
  {
    engine: "dsql",
    what: "storage parameters of PostgreSQL's heap",
    known: "memory",
    source: DSQL,
    finds: hasStorage,
  },
  {
    engine: "dsql",
    what: "SAVEPOINT, TRUNCATE, partitions or another isolation level",
    known: "read",
    source: DSQL,
    finds: (text) => /SAVEPOINT|TRUNCATE|PARTITION (BY|OF)|ISOLATION LEVEL/.test(text),
  },
  {
    engine: "citus",
    what: "ids that the planner cannot prune shards by: the statement goes to every shard",
    known: "run",
    source: "run on Citus 13.2.2: EXPLAIN counts a task for each shard",
    // An import goes to many shards: its ledger is a table of the coordinator.
    finds: (text) =>
      !text.includes("_imports") &&
      /FROM unnest\(\$1::bytea\[\]|USING unnest\(\$1::bytea\[\]/.test(text) &&
      !/s\.id = ANY \(\$\d/.test(text),
  },
  {
    engine: "citus",
    what: "a subquery on the table that a statement deletes from and inserts into: its halves are not prepared together",
    known: "run",
    source: "run on Citus 13.2.2: the connection that the subquery used commits in one phase",
    finds: (text) => modified(text).length > 1 && /\(SELECT 1 FROM/.test(text),
  },
  {
    engine: "citus",
    what: "FOR UPDATE of rows that are not named by the column of distribution (0A000)",
    known: "read",
    source: "https://docs.citusdata.com/en/stable/develop/reference_workarounds.html",
    finds: (text) => / FOR UPDATE/.test(text) && !/WHERE id (=|IN)/.test(text),
  },
  {
    engine: "tidb",
    what: "a shared lock, refused unless tidb_enable_noop_functions is set",
    known: "read",
    source: "https://github.com/pingcap/tidb/pull/21005",
    finds: (text) => /LOCK IN SHARE MODE|FOR SHARE/.test(text),
  },
  {
    engine: "vitess",
    what: "a subquery in a sharded UPDATE or DELETE",
    known: "read",
    source: "https://github.com/vitessio/vitess/issues/9640",
    finds: (text) => /^\s*(UPDATE|DELETE)\b[^]*\(SELECT\b/.test(text),
  },
  {
    engine: "vitess",
    what: "GET_LOCK, which its documentation does not promise across connections of a pool",
    known: "memory",
    source: "https://vitess.io/docs/reference/compatibility/mysql-compatibility/",
    finds: (text) => /\b(GET|RELEASE)_LOCK\(/.test(text),
  },
];

export interface Finding {
  readonly rule: Rule;
  readonly text: string;
}

/** Reads every statement of a connection as an engine would. */
export class Strict {
  readonly findings: Finding[] = [];
  readonly texts = new Set<string>();
  readonly #rules: readonly Rule[];
  readonly #transactions = new WeakMap<object, string[]>();

  constructor(engine: Rule["engine"]) {
    this.#rules = RULES.filter((rule) => rule.engine === engine);
  }

  /** The rule that the statement breaks; null when there is none. */
  read(text: string, connection: object = this): Rule | null {
    this.texts.add(text);
    const before = this.#transactions.get(connection) ?? null;
    const rule = this.#rules.find((one) => one.finds(text, before)) ?? null;
    if (rule !== null) this.findings.push({ rule, text });
    if (/^(BEGIN|START TRANSACTION)\b/.test(text)) this.#transactions.set(connection, []);
    else if (/^(COMMIT|ROLLBACK)\b/.test(text)) this.#transactions.delete(connection);
    else before?.push(text);
    return rule;
  }
}
