import {
  constantFor,
  keyOfSeveral,
  settingsComment,
  tablesOf,
  type Column,
  type ColumnType,
  type SchemaDialect,
} from "./tables.ts";

const names: Record<SchemaDialect, { module: string; table: string }> = {
  sqlite: { module: "sqlite-core", table: "sqliteTable" },
  postgres: { module: "pg-core", table: "pgTable" },
  mysql: { module: "mysql-core", table: "mysqlTable" },
};

const types: Record<SchemaDialect, Record<ColumnType, string>> = {
  sqlite: {
    id: "blob()",
    "short id": "blob()",
    bytes: "blob()",
    "small bytes": "blob()",
    bigint: "integer()",
    integer: "integer()",
    name: "text()",
    title: "text()",
    checksum: "text()",
  },
  postgres: {
    id: "bytea()",
    "short id": "bytea()",
    bytes: "bytea()",
    "small bytes": "bytea()",
    bigint: 'bigint({ mode: "number" })',
    integer: "integer()",
    name: "text()",
    title: "text()",
    checksum: "text()",
  },
  mysql: {
    id: "binary({ length: 32 })",
    "short id": "binary({ length: 16 })",
    bytes: "longblob()",
    "small bytes": "mediumblob()",
    bigint: 'bigint({ mode: "number" })',
    integer: "int()",
    name: "varbinary({ length: 255 })",
    title: "varchar({ length: 200 })",
    checksum: "char({ length: 64 })",
  },
};

/** A schema for drizzle-kit. */
export function generateDrizzle(table: string, dialect: SchemaDialect): string {
  const tables = tablesOf(table, dialect);
  const { module, table: make } = names[dialect];
  const used = new Set<string>([make, "index"]);
  const taken = new Set(["sql", "customType", "primaryKey", ...used]);
  for (const text of Object.values(types[dialect])) taken.add(/^\w+/.exec(text)![0]);
  const type = (column: Column) => {
    const text = types[dialect][column.type];
    used.add(/^\w+/.exec(text)![0]);
    return text;
  };
  const body = tables.map(({ name, columns, indexes }) => {
    const key = keyOfSeveral(columns);
    const lines = columns.map((column) => {
      const isKey = column.primary && key.length === 0;
      const marks = `${column.nullable ? "" : ".notNull()"}${isKey ? ".primaryKey()" : ""}`;
      return `    ${column.name}: ${type(column)}${marks},`;
    });
    const made = indexes.map(({ name: indexName, columns: over, whereNotNull }) => {
      const where =
        whereNotNull && dialect !== "mysql" ? `.where(sql\`\${table.${whereNotNull}} is not null\`)` : "";
      return `    index("${indexName}").on(${over.map((column) => `table.${column}`).join(", ")})${where},`;
    });
    if (key.length > 0) {
      used.add("primaryKey");
      made.unshift(`    primaryKey({ columns: [${key.map((column) => `table.${column}`).join(", ")}] }),`);
    }
    const rest = made.length === 0 ? "" : `  (table) => [\n${made.join("\n")}\n  ],\n`;
    return `export const ${constantFor(name, taken)} = ${make}(\n  "${name}",\n  {\n${lines.join("\n")}\n  },\n${rest});`;
  });
  const own = ["bytea", "longblob", "mediumblob"].filter((one) => used.delete(one));
  if (own.length > 0) used.add("customType");
  const custom = own.map(
    (one) => `const ${one} = customType<{ data: Uint8Array }>({ dataType: () => "${one}" });`,
  );
  const sql = dialect === "mysql" ? [] : ['import { sql } from "drizzle-orm";'];
  return `${[
    ...settingsComment(table, dialect),
    ...sql,
    `import { ${[...used].toSorted().join(", ")} } from "drizzle-orm/${module}";`,
    "",
    ...(custom.length > 0 ? [...custom, ""] : []),
    body.join("\n\n"),
  ].join("\n")}\n`;
}
