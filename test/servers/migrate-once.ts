/** A process of its own that migrates: `node migrate-once.ts KIND URL TABLE [unnamed]`. */
import { mysqlStore } from "../../src/store/mysql.ts";
import { postgresStore } from "../../src/store/postgres.ts";

const [kind, url, table, named] = process.argv.slice(2) as [string, string, string, string?];
const store =
  kind === "postgres"
    ? postgresStore(url, { table, namedStatements: named !== "unnamed" })
    : mysqlStore(url, { table });
await store.migrate();
await store.close();
