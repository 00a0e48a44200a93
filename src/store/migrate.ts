import type { SessionStore } from "./store.ts";

/**
 * Creates or upgrades the tables of a store. Run it once before the first start and after an update of the
 * package; running it again does nothing, and many processes may run it at once.
 */
export async function migrate(store: SessionStore): Promise<void> {
  await store.migrate();
}
