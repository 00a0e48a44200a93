import mysql from "mysql2/promise";
import { Client } from "pg";
import type { DatabaseName } from "../servers/chosen.ts";

export interface TableLock extends AsyncDisposable {
  free(): Promise<unknown>;
}

/** Keeps everybody away from a table, through a connection of its own. */
export async function lockTable(url: string, kind: DatabaseName, table: string): Promise<TableLock> {
  if (kind === "postgres") {
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    return { free: () => client.query("ROLLBACK"), [Symbol.asyncDispose]: () => client.end() };
  }
  const connection = await mysql.createConnection(url);
  await connection.query(`LOCK TABLES ${table} WRITE`);
  return { free: () => connection.query("UNLOCK TABLES"), [Symbol.asyncDispose]: () => connection.end() };
}
