/** Where the server places rows: the partitions of a table, or the shards of Citus. */
import { StoreUnavailableError } from "../../errors.ts";
import { integerIn, textIn } from "../columns.ts";
import { query, write, type Statement } from "../statement.ts";
import { BytesList } from "../values.ts";
import { hashBytes, partitionOf } from "./hash-bytes.ts";
import type { Names, ShardAnswer, ShardStatement } from "../dialect.ts";

export interface Shards {
  readonly count: number;
  /** The number of the shard of a row. */
  shardOf(id: Uint8Array): number;
  /** One statement for each shard, or one that answers for each. */
  deleteByUser(
    table: string,
    userRefs: readonly Uint8Array[],
    except: readonly Uint8Array[],
  ): readonly ShardStatement[];
}

/** Asks for the partitions of the sessions' table; what {@link partitionsIn} reads. */
export function partitionsQuery({ sessions }: Names): Statement {
  return query(
    // Not by pg_get_expr, which waits for the lock of a partition.
    "SELECT i.inhrelid::regclass::text AS name, substring(c.relpartbound::text FROM ':modulus (\\d+)') AS modulus, " +
      "substring(c.relpartbound::text FROM ':remainder (\\d+)') AS remainder " +
      "FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid " +
      "WHERE i.inhparent = to_regclass($1) ORDER BY 3::text",
    sessions,
  );
}

/** Null where they are not partitions by hash that all have the same modulus. */
export function partitionsIn(rows: readonly Record<string, unknown>[]): Partitions | null {
  const [first] = rows;
  if (first === undefined || first["modulus"] === null) return null;
  const modulus = integerIn(first, "modulus");
  if (rows.some((row) => row["modulus"] !== first["modulus"])) return null;
  return new Partitions(
    modulus,
    new Map(rows.map((row) => [integerIn(row, "remainder"), textIn(row, "name")])),
  );
}

export class Partitions implements Shards {
  readonly count: number;
  /** Names by remainder. */
  readonly #names: ReadonlyMap<number, string>;

  constructor(modulus: number, names: ReadonlyMap<number, string>) {
    this.count = modulus;
    this.#names = names;
  }

  shardOf(id: Uint8Array): number {
    return partitionOf(id, this.count);
  }

  deleteByUser(
    _table: string,
    userRefs: readonly Uint8Array[],
    except: readonly Uint8Array[],
  ): ShardStatement[] {
    return Array.from({ length: this.count }, (_, remainder): ShardStatement => {
      const shard = this.#names.get(remainder);
      if (shard === undefined) return { shard: `the partition for remainder ${remainder}`, statement: null };
      const statement = write(
        `DELETE FROM ${shard} WHERE user_ref IS NOT NULL AND user_ref = ANY ($1::bytea[]) AND id <> ALL ($2::bytea[])`,
        new BytesList(userRefs),
        new BytesList(except),
      );
      return { shard, statement };
    });
  }

  /** @throws {StoreUnavailableError} its partition is not there, so that it is not found has no meaning */
  assertAttached(id: Uint8Array): void {
    const remainder = this.shardOf(id);
    if (this.#names.has(remainder)) return;
    throw new StoreUnavailableError(
      `The partition for remainder ${remainder} of ${this.count} is not attached to the sessions' table, so its sessions can be neither read nor written. Attach it again (ALTER TABLE … ATTACH PARTITION …).`,
    );
  }
}

/** Asks Citus for the ranges of the shards; what {@link rangesIn} reads. */
export function rangesQuery({ sessions }: Names): Statement {
  return query(
    "SELECT shardminvalue AS low, shardmaxvalue AS high FROM pg_dist_shard " +
      "WHERE logicalrelid = to_regclass($1) AND shardminvalue IS NOT NULL ORDER BY shardminvalue::int8",
    sessions,
  );
}

export function rangesIn(rows: readonly Record<string, unknown>[]): Shards | null {
  return rows.length === 0 ? null : new Ranges(rows.map((row) => Number(row["high"])));
}

class Ranges implements Shards {
  readonly count: number;
  readonly #highs: readonly number[];

  /** @param highs the greatest hash of each shard, ascending */
  constructor(highs: readonly number[]) {
    this.count = highs.length;
    this.#highs = highs;
  }

  shardOf(id: Uint8Array): number {
    const hash = hashBytes(id);
    let low = 0;
    let high = this.#highs.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#highs[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** By the function of Citus that sends a command to every shard and answers for each. It takes no parameters. */
  deleteByUser(
    table: string,
    userRefs: readonly Uint8Array[],
    except: readonly Uint8Array[],
  ): ShardStatement[] {
    const list = (bytes: readonly Uint8Array[]): string =>
      `ARRAY[${bytes.map((one) => `'\\x${Buffer.from(one).toString("hex")}'`).join(", ")}]::bytea[]`;
    // "%s" is the shard's table.
    const command = `DELETE FROM %s WHERE user_ref IS NOT NULL AND user_ref = ANY (${list(userRefs)}) AND id <> ALL (${list(except)})`;
    const statement = write(
      "SELECT shardid::text AS shard, success::int4::text AS success, result FROM run_command_on_shards(to_regclass($1), $2)",
      table,
      command,
    );
    return [{ shard: "every shard", statement, read: answersIn }];
  }
}

function answersIn(rows: readonly Record<string, unknown>[]): readonly ShardAnswer[] {
  return rows.map((row) => {
    const shard = `shard ${textIn(row, "shard")}`;
    const result = String(row["result"]);
    if (Number(row["success"]) !== 1) return { shard, changes: 0, problem: result };
    return { shard, changes: Number(/^DELETE (\d+)/.exec(result)?.[1] ?? 0), problem: null };
  });
}
