/** Writes enough for a checkpoint, tells the pages after which SQLite would do it itself, and closes nothing. */
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";
import { randomRow } from "../rows.ts";

const store = sqliteStore(process.argv[2] as string);
for (let batch = 0; batch < 8; batch++) {
  await store.insert(Array.from({ length: 100 }, () => randomRow()));
}
const pragma = { text: "PRAGMA wal_autocheckpoint", values: [], writes: false };
const { rows } = await store.database.run(pragma);
console.log(Object.values(rows[0] as object)[0]);
