import { randomBytes } from "node:crypto";
import { chownSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createConnection } from "mysql2/promise";
import { type Account, accountFor, isRoot } from "./processes.ts";

/** Debian's mariadb-server makes the account; MySQL's own programs come without one. */
export const account = (): Account => accountFor("mysql", "nobody");

export const durable: readonly string[] = [
  "--bind-address=127.0.0.1",
  "--skip-name-resolve",
  "--innodb-flush-log-at-trx-commit=1",
  "--innodb-buffer-pool-size=128M",
  "--performance-schema=OFF",
  "--max-connections=300",
];

/** Run by the server at every start, so that no client program is needed to make the user and the database. */
export function initialStatements(directory: string, runsAs: Account): { password: string; file: string } {
  const passwordFile = join(directory, "password");
  const file = join(directory, "init.sql");
  if (!existsSync(passwordFile))
    writeFileSync(passwordFile, randomBytes(16).toString("hex"), { mode: 0o600 });
  const password = readFileSync(passwordFile, "utf8").trim();
  const statements = [
    `ALTER USER 'root'@'localhost' IDENTIFIED BY '${password}';`,
    `CREATE USER IF NOT EXISTS 'test'@'%' IDENTIFIED BY '${password}';`,
    "GRANT ALL ON *.* TO 'test'@'%' WITH GRANT OPTION;",
    "CREATE DATABASE IF NOT EXISTS test;",
  ];
  writeFileSync(file, `${statements.join("\n")}\n`, { mode: 0o600 });
  if (isRoot) for (const path of [passwordFile, file]) chownSync(path, runsAs.uid, runsAs.gid);
  return { password, file };
}

export const mysqlUrl = (port: number, password: string): string =>
  `mysql://test:${password}@127.0.0.1:${port}/test`;

export async function mysqlAnswers(url: string): Promise<boolean> {
  try {
    const connection = await createConnection({ uri: url, connectTimeout: 2_000 });
    await connection.query("SELECT 1");
    await connection.end();
    return true;
  } catch {
    return false;
  }
}
