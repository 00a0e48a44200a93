import { setTimeout as wait } from "node:timers/promises";
import { load } from "./candidate.ts";
import type { DatabaseName } from "./options.ts";
import type { Server } from "./servers.ts";

type Run = (text: string) => Promise<Record<string, unknown>[]>;

/** What InnoDB has for a large table, of its pages and of its log: what is in use fits into both. */
const mebibytes = 1_024;

/**
 * Gives the server what an operator gives it for a large table. InnoDB's pages are read and written past the cache of
 * the system, so the 128 MiB of a small server are too few for sessions in use that lie far apart. A server that was
 * given keeps what its operator gave it.
 *
 * @returns what it has now, for the report; null where nothing was changed
 */
export async function enlarge(database: DatabaseName, server: Server): Promise<string | null> {
  if (!server.own || (database !== "mysql" && database !== "mariadb")) return null;
  await connected(database, server.url, async (run) => {
    const log = database === "mysql" ? "innodb_redo_log_capacity" : "innodb_log_file_size";
    for (const name of ["innodb_buffer_pool_size", log])
      await run(`SET GLOBAL ${name} = ${mebibytes * 2 ** 20}`);
  });
  return `InnoDB has ${mebibytes.toLocaleString("en")} MiB for its pages and as many for its log.`;
}

/**
 * Waits until the server has done what filling left to do, which is not what is measured. Not with a server that was
 * given: this hurries it by a setting, and has all its tables vacuumed.
 */
export async function settle(database: DatabaseName, server: Server): Promise<void> {
  if (!server.own) return;
  await connected(database, server.url, async (run) => {
    if (database === "postgres") {
      await run("VACUUM (ANALYZE)");
      await run("CHECKPOINT");
      return;
    }
    // As fast as the disk can: as installed it writes 200 pages a second, and would go on for minutes.
    const hurried = [
      ["innodb_io_capacity_max", 20_000],
      ["innodb_io_capacity", 20_000],
      ["innodb_max_dirty_pages_pct", 0],
    ] as const;
    const columns = hurried.map(([name]) => `@@${name} AS ${name}`).join(", ");
    const [before] = await run(`SELECT ${columns}`);
    for (const [name, value] of hurried) await run(`SET GLOBAL ${name} = ${value}`);
    try {
      for (let left = Infinity, tries = 0; left > 100 && tries < 600; tries++) {
        await wait(500);
        const [row] = await run("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'");
        left = Number(row?.["Value"]);
      }
    } finally {
      for (const [name] of hurried.toReversed()) await run(`SET GLOBAL ${name} = ${Number(before?.[name])}`);
    }
  });
}

async function connected(
  database: DatabaseName,
  url: string,
  work: (run: Run) => Promise<void>,
): Promise<void> {
  if (database === "postgres") {
    const { Client } = await load("pg");
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      await work(async (text) => (await client.query(text)).rows);
    } finally {
      await client.end();
    }
    return;
  }
  const { createConnection } = await load("mysql2/promise");
  const connection = await createConnection({ uri: url });
  try {
    await work(async (text) => (await connection.query(text))[0]);
  } finally {
    await connection.end();
  }
}
