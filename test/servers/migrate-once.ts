/** A process of its own that migrates: `node migrate-once.ts KIND URL TABLE`. */
import { mysqlStore } from "../../src/store/mysql.ts";
import { postgresStore } from "../../src/store/postgres.ts";

const [kind, url, table] = process.argv.slice(2) as [string, string, string];
const store = (kind === "postgres" ? postgresStore : mysqlStore)(url, { table });
await store.migrate();
await store.close();
