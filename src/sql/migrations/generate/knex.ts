import { keyOfSeveral, settingsOf, sqlTypes, tablesOf, type SchemaDialect } from "./tables.ts";

/** A migration for Knex. */
export function generateKnex(table: string, dialect: SchemaDialect): string {
  const tables = tablesOf(table, dialect);
  const body = tables.flatMap(({ name, columns, indexes }) => [
    `  await knex.schema.createTable("${name}", (table) => {`,
    ...columns.map((column) => {
      const marks = `${column.nullable ? ".nullable()" : ".notNullable()"}${column.primary && keyOfSeveral(columns).length === 0 ? ".primary()" : ""}`;
      return `    table.specificType("${column.name}", "${sqlTypes[dialect][column.type]}")${marks};`;
    }),
    ...[keyOfSeveral(columns)]
      .filter((key) => key.length > 0)
      .map((key) => `    table.primary([${key.map((column) => `"${column}"`).join(", ")}]);`),
    ...indexes.map(({ name: indexName, columns: over, whereNotNull }) => {
      const list = over.map((column) => `"${column}"`).join(", ");
      const where =
        whereNotNull && dialect !== "mysql" ? `, { predicate: knex.whereNotNull("${whereNotNull}") }` : "";
      return `    table.index([${list}], "${indexName}"${where});`;
    }),
    "  });",
  ]);
  const settings = settingsOf(table, dialect).map((statement) => `  await knex.raw('${statement}');`);
  return `${[
    '/** @param {import("knex").Knex} knex */',
    "export async function up(knex) {",
    ...body,
    ...settings,
    "}",
    "",
    '/** @param {import("knex").Knex} knex */',
    "export async function down(knex) {",
    ...tables.toReversed().map(({ name }) => `  await knex.schema.dropTable("${name}");`),
    "}",
  ].join("\n")}\n`;
}
