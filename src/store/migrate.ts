/**
 * Creates or upgrades the tables of a store. Run it once before the first start and after each update of the package.
 * Running it again does nothing, even if a table or index is missing: the command `stored-session migrate` recreates
 * these. Several processes may run it at the same time.
 *
 * @param store the result of sqliteStore, postgresStore, mysqlStore or memoryStore
 */
export async function migrate(store: { migrate(): Promise<void> }): Promise<void> {
  if (typeof (store as { migrate?: unknown } | null | undefined)?.migrate !== "function") {
    throw new TypeError(
      "migrate requires a store: the result of sqliteStore(…), postgresStore(…) or mysqlStore(…), not the session manager.",
    );
  }
  await store.migrate();
}
