/** Adds one to the versions of all rows, so often: increment.ts <path> <times> <callers> */
import { BatchingStore } from "../../../src/batching/batching-store.ts";
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";

const [path, times, callers] = process.argv.slice(2) as [string, string, string];
const store = new BatchingStore(sqliteStore(path), { storeTimeout: 30_000 });
const rows = await store.scanInfo(null, 100);
let left = Number(times);

async function work(): Promise<void> {
  while (left > 0) {
    const id = rows[left-- % rows.length]?.id as Uint8Array;
    for (;;) {
      const loaded = await store.read(id);
      if (!loaded) throw new Error("a row is gone");
      if (await store.update(loaded, { ...loaded, version: loaded.version + 1 })) break;
    }
  }
}

await Promise.all(Array.from({ length: Number(callers) }, work));
await store.close();
