/**
 * Ends sessions from another process between two requests of this one, which has their contents in its cache:
 *
 *   node test/campaigns/ended-elsewhere.ts [--database sqlite|postgres|mysql|mariadb] [--count 100000]
 *
 * Each has to be gone at the next request (promise 3, R44).
 */
import { parseArgs } from "node:util";
import { endElsewhere } from "../session/ended-elsewhere.ts";
import { ownDatabase } from "./own-database.ts";

const { values } = parseArgs({
  options: {
    database: { type: "string", default: "sqlite" },
    count: { type: "string", default: "100000" },
  },
});
const count = Number(values.count);
await using database = await ownDatabase(values.database);
const store = database.open();
await store.migrate();
await store.close();
let told = 0;
await endElsewhere(database.place, count, (done) => {
  if (done < told + 10_000) return;
  told = done;
  console.log(`${done.toLocaleString("en")} sessions ended, none answered`);
});
console.log(
  `${values.database}: ${count.toLocaleString("en")} sessions ended elsewhere, none was answered afterwards`,
);
