import { hash } from "../../sealing/hash.ts";
import type { Dialect, Names } from "../dialect.ts";

export interface Migration {
  /** 1, 2, 3 …, without gaps. */
  readonly version: number;
  readonly name: string;
  /** The frozen statements for each database. */
  readonly texts: Readonly<Record<Dialect["name"], readonly string[]>>;
}

/**
 * The statements, with this database's names in place of the words in braces. With `about`, only the statements for
 * that table or index.
 */
export function statementsOf(migration: Migration, dialect: Dialect, about?: keyof Names): string[] {
  return migration.texts[dialect.name]
    .filter((text) => about === undefined || text.includes(`{${about}}`))
    .flatMap((text) => (dialect.ddl === undefined ? text : (dialect.ddl(text) ?? [])))
    .map((text) => text.replace(/\{(\w+)\}/g, (_, word: keyof Names) => dialect.names[word]));
}

/** SHA-256 of the frozen text, in hexadecimal. Table names do not affect it. */
export function checksumOf(migration: Migration, database: Dialect["name"]): string {
  return hash("sha256", migration.texts[database].join(";\n"));
}
