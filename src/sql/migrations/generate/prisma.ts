import {
  keyOfSeveral,
  pascalCase,
  settingsComment,
  tablesOf,
  type ColumnType,
  type SchemaDialect,
} from "./tables.ts";

const types: Record<ColumnType, string> = {
  id: "Bytes",
  "short id": "Bytes",
  bytes: "Bytes",
  "small bytes": "Bytes",
  bigint: "BigInt",
  integer: "Int",
  name: "String",
  title: "String",
  checksum: "String",
};

const native: Record<SchemaDialect, Partial<Record<ColumnType, string>>> = {
  sqlite: {},
  postgres: {},
  mysql: {
    id: "@db.Binary(32)",
    "short id": "@db.Binary(16)",
    bytes: "@db.LongBlob",
    "small bytes": "@db.MediumBlob",
    name: "@db.VarBinary(255)",
    title: "@db.VarChar(200)",
    checksum: "@db.Char(64)",
  },
};

/** Models for a Prisma schema. Prisma has partial indexes as a preview only, so that of users has every row. */
export function generatePrisma(table: string, dialect: SchemaDialect): string {
  const models = tablesOf(table, dialect).map(({ name, columns, indexes }) => {
    const key = keyOfSeveral(columns);
    const fields = columns.map((column) => {
      const { type, nullable, primary } = column;
      const nativeType = native[dialect][type];
      // A native binary type goes with Bytes alone.
      const base = nativeType?.startsWith("@db.VarBinary") ? "Bytes" : types[type];
      const words = [
        `${base}${nullable ? "?" : ""}`,
        primary && key.length === 0 ? "@id" : "",
        nativeType ?? "",
      ];
      return `  ${column.name} ${words.filter(Boolean).join(" ")}`;
    });
    const maps = indexes.map((index) => `  @@index([${index.columns.join(", ")}], map: "${index.name}")`);
    if (key.length > 0) maps.unshift(`  @@id([${key.join(", ")}])`);
    return [`model ${pascalCase(name)} {`, ...fields, "", ...maps, `  @@map("${name}")`, "}"].join("\n");
  });
  return `${[...settingsComment(table, dialect), models.join("\n\n")].join("\n")}\n`;
}
