/** A process of its own that migrates: `node migrate-once.ts KIND URL TABLE [unnamed]`. */
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";

const [kind, url, table, named] = process.argv.slice(2) as [string, string, string, string?];
const store =
  kind === "postgres"
    ? postgresStore(url, { table, namedStatements: named !== "unnamed" })
    : mysqlStore(url, { table });
await store.migrate();
await store.close();
