/**
 * A stand-in for Citus, in a PostgreSQL database of its own: the partitions of the table are its shards, and functions
 * and a view have the names and the columns of those of Citus. What Citus plans and how it commits is not in it; that is
 * run with TEST_POSTGRES_URL on a real one.
 */
import { randomBytes } from "node:crypto";
import { execute, serverAt, type CreatedStore } from "./databases.ts";
import { partitioned } from "./partitioned.ts";

/**
 * A database in which `create_distributed_table` and `create_reference_table` exist, with the columns and the meaning of
 * those of Citus: the suites see it as Citus, and make their tables distributed.
 */
export async function emptyStandIn(server: string): Promise<AsyncDisposable & { readonly url: string }> {
  const name = `citus_stand_in_${randomBytes(6).toString("hex")}`;
  await execute(server, "postgres", `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  await execute(url.href, "postgres", DISTRIBUTING);
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      await execute(server, "postgres", `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

export interface StandIn extends AsyncDisposable {
  readonly url: string;
  readonly created: CreatedStore;
  run(text: string): Promise<Record<string, unknown>[]>;
}

export async function citusStandIn(server: string, partitions: number): Promise<StandIn> {
  const name = `citus_stand_in_${randomBytes(6).toString("hex")}`;
  await execute(server, "postgres", `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const run = (text: string): Promise<Record<string, unknown>[]> => execute(url.href, "postgres", text);
  const database = serverAt("postgres", url.href);
  const created = await partitioned(database, url.href, partitions, { engine: "citus" });
  await run(objectsFor(created.table, partitions));
  return {
    url: url.href,
    created,
    run,
    async [Symbol.asyncDispose]() {
      await created.store.close();
      await execute(server, "postgres", `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

function objectsFor(table: string, partitions: number): string {
  const width = 2 ** 32 / partitions;
  const shards = Array.from({ length: partitions }, (_, nth) => {
    const low = -(2 ** 31) + nth * width;
    return `(${102_008 + nth}, '${table}'::regclass, '${low}', '${low + width - 1}')`;
  });
  return `
    CREATE VIEW pg_dist_shard AS SELECT * FROM (VALUES ${shards.join(", ")}) AS s (shardid, logicalrelid, shardminvalue, shardmaxvalue);
    CREATE TABLE stand_in_workers (nodename text, nodeport int, success bool, result text);
    CREATE FUNCTION run_command_on_workers(command text) RETURNS TABLE (nodename text, nodeport int, success bool, result text)
      AS 'SELECT * FROM stand_in_workers' LANGUAGE sql;
    ${ON_SHARDS}`;
}

const ON_SHARDS = `
    CREATE FUNCTION run_command_on_shards(table_name regclass, command text, parallel bool DEFAULT true)
      RETURNS TABLE (shardid bigint, success bool, result text) LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
      DECLARE part regclass; changed bigint;
      BEGIN
        shardid := 102007;
        FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = table_name ORDER BY inhrelid LOOP
          shardid := shardid + 1;
          BEGIN
            EXECUTE format(command, part);
            GET DIAGNOSTICS changed = ROW_COUNT;
            success := true;
            result := 'DELETE ' || changed;
          EXCEPTION WHEN OTHERS THEN
            success := false;
            result := SQLERRM;
          END;
          RETURN NEXT;
        END LOOP;
      END $$`;

/** A distributed table is partitioned by hash of its column, and a reference table stays as it is. */
const DISTRIBUTING = `
    CREATE TABLE pg_dist_shard (shardid bigint GENERATED ALWAYS AS IDENTITY (START WITH 102008), logicalrelid regclass, shardminvalue text, shardmaxvalue text);
    CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS
      'INSERT INTO pg_dist_shard (logicalrelid) VALUES (table_name)';
    CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text, shard_count int, colocate_with text DEFAULT 'default')
      RETURNS void LANGUAGE plpgsql AS $$
      DECLARE name text := table_name::text; width bigint := 4294967296 / shard_count;
      BEGIN
        EXECUTE format('CREATE TABLE distributed (LIKE %s INCLUDING ALL EXCLUDING STORAGE) PARTITION BY HASH (%I)', name, distribution_column);
        EXECUTE format('DROP TABLE %s', name);
        EXECUTE format('ALTER TABLE distributed RENAME TO %s', name);
        FOR nth IN 0 .. shard_count - 1 LOOP
          EXECUTE format('CREATE TABLE %s_%s PARTITION OF %s FOR VALUES WITH (MODULUS %s, REMAINDER %s)', name, nth, name, shard_count, nth);
          INSERT INTO pg_dist_shard (logicalrelid, shardminvalue, shardmaxvalue)
            VALUES (name::regclass, (nth * width - 2147483648)::text, ((nth + 1) * width - 2147483649)::text);
        END LOOP;
      END $$;
    ${ON_SHARDS}`;
