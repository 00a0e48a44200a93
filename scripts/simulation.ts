/** A model of batches over shards. The costs were measured; docs/scaling.md says where and when. */

export interface Load {
  readonly sessions: number;
  readonly shards: number;
  readonly requests?: number | undefined;
  readonly writes?: number | undefined;
  readonly bytes?: number | undefined;
  readonly processes?: number | undefined;
}

/** Seconds of one server core, from PostgreSQL 15 on two cores with 64 callers. */
const COSTS = {
  /** 2 cores, 2,561 statements of one row per second. */
  statement: 2 / 2_561,
  /** 2 cores, 40,787 rows read and 7,056 written per second in batches. */
  readRow: 2 / 40_787,
  writtenRow: 2 / 7_056,
};
/** Bytes of a row beside its content, with its indexes. */
const ROW_OVERHEAD = 300;
/** Milliseconds that a batch takes, in which the next one gathers. */
const GATHER = 2;
const MAX_BATCH = 128;

export interface Simulation {
  readonly bytes: number;
  readonly rowsPerShard: number;
  readonly readBatch: number;
  readonly statements: number;
  readonly cores: number;
  /** Requests of the busiest shard, as a multiple of the mean. */
  readonly hottest: number;
  readonly lines: Readonly<Record<string, string>>;
}

export function simulate(load: Load): Simulation {
  const { sessions, shards } = load;
  const requests = load.requests ?? sessions / 10_000;
  const share = load.writes ?? 0.1;
  const processes = load.processes ?? Math.max(1, Math.ceil(requests / 5_000));
  const bytes = sessions * ((load.bytes ?? 300) + ROW_OVERHEAD);
  const rowsPerShard = sessions / shards;
  // What one process gathers for one shard while a batch of it is under way.
  const batchOf = (perSecond: number): number =>
    Math.min(MAX_BATCH, Math.max(1, (perSecond / processes / shards) * (GATHER / 1_000)));
  const readBatch = batchOf(requests);
  const writeBatch = batchOf(requests * share);
  const statements = requests / readBatch + (requests * share) / writeBatch;
  const cores = statements * COSTS.statement + requests * COSTS.readRow + requests * share * COSTS.writtenRow;
  // Ids are hashes, so the requests of a shard in a second are binomial: the busiest of many is about this far out.
  const mean = requests / shards;
  const hottest =
    shards === 1 ? 1 : 1 + Math.sqrt((2 * Math.log(shards) * (1 - 1 / shards)) / Math.max(mean, 1));
  return {
    bytes,
    rowsPerShard,
    readBatch,
    statements,
    cores,
    hottest,
    lines: {
      "on disk, with indexes": `${(bytes / 1e9).toLocaleString("en-US", { maximumFractionDigits: 1 })} GB`,
      "rows per shard": Math.round(rowsPerShard).toLocaleString("en-US"),
      "requests per second": Math.round(requests).toLocaleString("en-US"),
      "rows in a batch": `${readBatch.toFixed(1)} read, ${writeBatch.toFixed(1)} written`,
      "statements per second": Math.round(statements).toLocaleString("en-US"),
      "cores of the servers": cores.toFixed(1),
      "busiest shard in a second": `${hottest.toFixed(2)} times the mean`,
      "statements for a user's sessions": `${shards} (one for each shard)`,
    },
  };
}
