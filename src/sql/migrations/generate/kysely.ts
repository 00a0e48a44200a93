import { keyOfSeveral, settingsOf, sqlTypes, tablesOf, type SchemaDialect } from "./tables.ts";

/** A migration for Kysely. */
export function generateKysely(table: string, dialect: SchemaDialect): string {
  const tables = tablesOf(table, dialect);
  const body = tables.flatMap(({ name, columns, indexes }) => [
    "  await db.schema",
    `    .createTable("${name}")`,
    ...columns.map((column) => {
      const isKey = column.primary && keyOfSeveral(columns).length === 0;
      const calls = [...(column.nullable ? [] : ["notNull()"]), ...(isKey ? ["primaryKey()"] : [])];
      const marks = calls.length === 0 ? "" : `, (column) => column.${calls.join(".")}`;
      return `    .addColumn("${column.name}", sql\`${sqlTypes[dialect][column.type]}\`${marks})`;
    }),
    ...[keyOfSeveral(columns)]
      .filter((key) => key.length > 0)
      .map(
        (key) =>
          `    .addPrimaryKeyConstraint("${name}_pkey", [${key.map((column) => `"${column}"`).join(", ")}])`,
      ),
    "    .execute();",
    ...indexes.flatMap(({ name: indexName, columns: over, whereNotNull }) => [
      "  await db.schema",
      `    .createIndex("${indexName}")`,
      `    .on("${name}")`,
      `    .columns([${over.map((column) => `"${column}"`).join(", ")}])`,
      ...(whereNotNull && dialect !== "mysql" ? [`    .where("${whereNotNull}", "is not", null)`] : []),
      "    .execute();",
    ]),
  ]);
  const settings = settingsOf(table, dialect).map((statement) => `  await sql\`${statement}\`.execute(db);`);
  return `${[
    'import { type Kysely, sql } from "kysely";',
    "",
    "export async function up(db: Kysely<any>): Promise<void> {",
    ...body,
    ...settings,
    "}",
    "",
    "export async function down(db: Kysely<any>): Promise<void> {",
    ...tables.toReversed().map(({ name }) => `  await db.schema.dropTable("${name}").execute();`),
    "}",
  ].join("\n")}\n`;
}
