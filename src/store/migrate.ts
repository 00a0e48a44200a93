/**
 * Creates or upgrades the tables of a store. Run it once before the first start and after an update of the
 * package; running it again does nothing, also when a table or an index went missing: the command `stored-session
 * migrate` makes these again. Many processes may run it at once.
 *
 * @param store what sqliteStore, postgresStore, mysqlStore or memoryStore answered
 */
export async function migrate(store: { migrate(): Promise<void> }): Promise<void> {
  if (typeof (store as { migrate?: unknown } | null | undefined)?.migrate !== "function") {
    throw new TypeError(
      "migrate requires a store: the result of sqliteStore(…), postgresStore(…) or mysqlStore(…), not the session manager.",
    );
  }
  await store.migrate();
}
