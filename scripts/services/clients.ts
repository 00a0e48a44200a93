import { bring } from "./bring.ts";
import type { ServerName } from "./engine.ts";
import { clientPrograms, promtool } from "./versions.ts";

const names: Readonly<Record<ServerName | "sqlite", readonly string[]>> = {
  postgres: ["pg_dump", "pg_restore", "psql"],
  mysql: ["mysqldump", "mysql"],
  mariadb: ["mariadb-dump", "mariadb"],
  sqlite: ["sqlite3"],
};

/** The folder of the client programs of a database, which are installed if they are missing. */
export function clientsOf(database: ServerName | "sqlite"): Promise<string> {
  return bring(clientPrograms[database], names[database], database);
}

/** The folder of Prometheus' promtool, which is installed if it is missing. */
export function promtoolFolder(): Promise<string> {
  return bring(promtool, ["promtool"], null);
}
