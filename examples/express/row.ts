import { DatabaseSync } from "node:sqlite";

/** One row of `stored_sessions`, exactly as it lies in the file. */
export interface StoredRow {
  id: Uint8Array;
  version: number;
  user_ref: Uint8Array | null;
  created_at: number;
  updated_at: number;
  absolute_expires_at: number;
  expires_at: number;
  client: Uint8Array | null;
  data: Uint8Array;
}

/** Looks into the file past the package, the way a thief would. */
export function readRow(file: string, handle: string): StoredRow | undefined {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const row = database
      .prepare(
        `SELECT id, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, client, data
         FROM stored_sessions WHERE id = ?`,
      )
      .get(Buffer.from(handle, "base64url"));
    return row as StoredRow | undefined;
  } finally {
    database.close();
  }
}
