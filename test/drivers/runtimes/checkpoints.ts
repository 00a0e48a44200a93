/** Writes enough rows for the checkpoint thread to begin, and closes. */
import { randomBytes } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";

const store = sqliteStore(join(mkdtempSync(join(tmpdir(), "stored-session-")), "sessions.sqlite3"));
const row = () => ({
  id: new Uint8Array(randomBytes(32)),
  data: new Uint8Array(100),
  version: 1,
  userRef: null,
  createdAt: 1,
  updatedAt: 1,
  absoluteExpiresAt: 9e12,
  expiresAt: 9e12,
  client: null,
});
for (let batch = 0; batch < 12; batch++) await store.insert(Array.from({ length: 100 }, row));
console.log(await store.count(1));
await store.close();
console.log("closed");
