import { DatabaseSync } from "node:sqlite";
import { execute } from "../servers/execute.ts";
import type { ServerName } from "../../scripts/services/engine.ts";

const names: Readonly<Record<ServerName, string>> = {
  postgres: "PostgreSQL",
  mysql: "MySQL",
  mariadb: "MariaDB",
};

/** The release series of the servers: their patches come with the system. */
export async function serverVersion(kind: ServerName, url: string): Promise<string> {
  const [answer] = await execute(url, kind, "SELECT version() AS version");
  const numbers = /(\d+)\.(\d+)/.exec(String(answer?.["version"]))!;
  return `${names[kind]} ${kind === "mariadb" ? numbers[0] : numbers[1]}`;
}

export function sqliteVersion(): string {
  const database = new DatabaseSync(":memory:");
  const { version } = database.prepare("SELECT sqlite_version() AS version").get() as { version: string };
  database.close();
  return `SQLite ${version}`;
}
