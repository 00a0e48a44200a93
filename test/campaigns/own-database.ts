/** A database for one campaign alone: a server of its own, or a file. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConnection } from "mysql2/promise";
import { stopProcess } from "../../scripts/services/processes.ts";
import { provide, release, startPrivate, type ServerName } from "../../scripts/services/services.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { openPlace, type Place } from "../session/place.ts";

export const servers: readonly string[] = ["postgres", "mysql", "mariadb"];

export interface OwnDatabase extends AsyncDisposable {
  /** A store with the defaults of the package, each with connections of its own as each process would have them. */
  open(): SqlStore;
  /** For other processes. */
  readonly place: Place;
}

/** @param memory MiB that InnoDB has for its pages, and for its log; as the tests have it (128) when 0 */
export async function ownDatabase(name: string, memory = 0): Promise<OwnDatabase> {
  const directory = mkdtempSync(join(tmpdir(), `stored-session-${name}-`));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  if (name === "sqlite") {
    const place: Place = { kind: "sqlite", at: join(directory, "sessions.sqlite3") };
    return {
      place,
      open: () => openPlace(place),
      [Symbol.asyncDispose]: async () => remove(),
    };
  }
  const server = name as ServerName;
  chmodSync(directory, 0o755);
  await provide([server], { hold: true }); // installs what is missing
  const { url, pid } = await startPrivate(server, join(directory, "server"));
  const stop = async () => {
    await stopProcess(pid!, server === "postgres" ? "SIGINT" : "SIGTERM");
    remove();
    await release();
  };
  // A server outlives the process that started it.
  const interrupted = () => void stop().finally(() => process.exit(130));
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  if (memory > 0 && server !== "postgres") await enlarge(server, url, memory);
  const place: Place = { kind: server, at: url };
  return {
    place,
    open: () => openPlace(place),
    async [Symbol.asyncDispose]() {
      process.removeListener("SIGINT", interrupted).removeListener("SIGTERM", interrupted);
      await stop();
    },
  };
}

async function enlarge(server: "mysql" | "mariadb", url: string, memory: number): Promise<void> {
  const connection = await createConnection({ uri: url });
  const log = server === "mysql" ? "innodb_redo_log_capacity" : "innodb_log_file_size";
  for (const setting of ["innodb_buffer_pool_size", log])
    await connection.query(`SET GLOBAL ${setting} = ${memory * 2 ** 20}`);
  await connection.end();
}
