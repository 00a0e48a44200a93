import { pascalCase, settingsOf, sqlTypes, tablesOf, type SchemaDialect } from "./tables.ts";

/** A migration for TypeORM. */
export function generateTypeorm(table: string, dialect: SchemaDialect): string {
  const tables = tablesOf(table, dialect);
  const body = tables.flatMap(({ name, columns, indexes }) => [
    "    await queryRunner.createTable(",
    "      new Table({",
    `        name: "${name}",`,
    "        columns: [",
    ...columns.map((column) => {
      const [, type, length] = /^(\w+)(?:\((\d+)\))?$/.exec(sqlTypes[dialect][column.type])!;
      const parts = [
        `name: "${column.name}"`,
        `type: "${type!}"`,
        ...(length === undefined ? [] : [`length: "${length}"`]),
        ...(column.nullable ? ["isNullable: true"] : []),
        ...(column.primary ? ["isPrimary: true"] : []),
      ];
      return `          { ${parts.join(", ")} },`;
    }),
    "        ],",
    "        indices: [",
    ...indexes.map(({ name: indexName, columns: over, whereNotNull }) => {
      const list = over.map((column) => `"${column}"`).join(", ");
      const where = whereNotNull && dialect !== "mysql" ? `, where: "${whereNotNull} IS NOT NULL"` : "";
      return `          { name: "${indexName}", columnNames: [${list}]${where} },`;
    }),
    "        ],",
    "      }),",
    "    );",
  ]);
  return `${[
    'import { type MigrationInterface, type QueryRunner, Table } from "typeorm";',
    "",
    `export class ${pascalCase(table)}0000000000001 implements MigrationInterface {`,
    "  async up(queryRunner: QueryRunner): Promise<void> {",
    ...body,
    ...settingsOf(table, dialect).map((statement) => `    await queryRunner.query('${statement}');`),
    "  }",
    "",
    "  async down(queryRunner: QueryRunner): Promise<void> {",
    ...tables.toReversed().map(({ name }) => `    await queryRunner.dropTable("${name}");`),
    "  }",
    "}",
  ].join("\n")}\n`;
}
