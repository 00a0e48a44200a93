import type { SessionStore } from "../../src/store/contract.ts";

/** Deletes every row. */
export async function empty(store: SessionStore): Promise<void> {
  for (;;) {
    const rows = await store.scan(null, 100);
    if (rows.length === 0) return;
    const ids = rows.map((row) => row.id);
    await store.delete(ids);
    await store.links?.forget(ids);
  }
}
