/** The tables that Auth.js has by its Drizzle adapter, as drizzle-kit creates them. */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const root = new URL("../../", import.meta.url).pathname;

type Kind = "sqlite" | "postgres" | "mysql";

/** The statements that create them, with `;` between. */
export async function authjsTables(kind: Kind): Promise<string> {
  const api = require("drizzle-kit/api") as Record<string, (...schemas: object[]) => object>;
  const [file, generate, migrate] = {
    sqlite: ["sqlite", "generateSQLiteDrizzleJson", "generateSQLiteMigration"],
    postgres: ["pg", "generateDrizzleJson", "generateMigration"],
    mysql: ["mysql", "generateMySQLDrizzleJson", "generateMySQLMigration"],
  }[kind] as [string, string, string];
  const { defineTables } = (await import(`${root}node_modules/@auth/drizzle-adapter/lib/${file}.js`)) as {
    defineTables(): Record<string, object>;
  };
  const before = await api[generate]!({});
  const after = await api[generate]!(defineTables());
  return ((await api[migrate]!(before, after)) as unknown as string[]).join("\n");
}
