import type { DatabaseName } from "./chosen.ts";

/** Runs one statement on a connection of its own, and answers the rows. */
export async function execute(
  url: string,
  kind: DatabaseName,
  text: string,
): Promise<Record<string, unknown>[]> {
  if (kind === "postgres") {
    const { Client } = await import("pg");
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  }
  const { createConnection } = await import("mysql2/promise");
  const connection = await createConnection({ uri: url });
  try {
    const [rows] = await connection.query(text);
    return rows as Record<string, unknown>[];
  } finally {
    await connection.end();
  }
}
