import { BatchingStore } from "../../../src/batching/batching-store.ts";
import type { SqlStore } from "../../../src/sql/sql-store.ts";
import type { Target } from "../../store/children/writing.ts";

/** What a process writes to until it is killed, and what is read after that. */
export interface OpenedTarget extends Target {
  migrate(): Promise<void>;
  /** The versions of rows; null for a row that is not there. */
  versions(ids: readonly Uint8Array[]): Promise<(number | null)[]>;
  close(): Promise<void>;
}

export function targetOf(store: SqlStore, closeHandle = async (): Promise<void> => {}): OpenedTarget {
  const batching = new BatchingStore(store);
  return {
    insert: (row) => batching.insert(row),
    update: (loaded, next) => batching.update(loaded, next),
    delete: (id) => batching.delete(id),
    replace: (loaded, next) => batching.replace(loaded, next),
    migrate: () => store.migrate(),
    versions: async (ids) => {
      const found: (number | null)[] = [];
      for (let from = 0; from < ids.length; from += 64)
        for (const row of await store.read(ids.slice(from, from + 64))) found.push(row?.version ?? null);
      return found;
    },
    close: async () => {
      await batching.close();
      await closeHandle();
    },
  };
}
