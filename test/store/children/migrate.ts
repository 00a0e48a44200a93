/** Migrates the file, as one of many processes that start at once: migrate.ts <path> */
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";

const store = sqliteStore(process.argv[2] as string);
process.stdout.write("ready\n");
process.stdin.once("data", async () => {
  await store.migrate();
  await store.count(0);
  await store.close();
  process.stdout.write("migrated\n");
  process.stdin.destroy();
  // Deno often waits for the other end of the pipe all the same.
  if ("Deno" in globalThis) process.exit();
});
