import { Argument, Option, type Command } from "commander";
import { mysqlStore } from "../../sql/mysql/store.ts";
import { postgresStore } from "../../sql/postgres/store.ts";
import { sqliteStore } from "../../sql/sqlite/store.ts";
import { generateDrizzle } from "../../sql/migrations/generate/drizzle.ts";
import { generateKnex } from "../../sql/migrations/generate/knex.ts";
import { generateKysely } from "../../sql/migrations/generate/kysely.ts";
import { generatePrisma } from "../../sql/migrations/generate/prisma.ts";
import { generateSql } from "../../sql/migrations/generate/sql.ts";
import type { SchemaDialect } from "../../sql/migrations/generate/tables.ts";
import { generateTypeorm } from "../../sql/migrations/generate/typeorm.ts";
import { exitCodes, Failure } from "../failure.ts";
import type { Terminal } from "../terminal.ts";

const tools = {
  drizzle: generateDrizzle,
  prisma: generatePrisma,
  kysely: generateKysely,
  knex: generateKnex,
  typeorm: generateTypeorm,
} as const;

interface Options {
  dialect: SchemaDialect;
  table: string;
}

export function generateCommand(program: Command, terminal: Terminal): void {
  program
    .command("generate")
    .description("print the tables in the form of your migration tool; uses no database")
    .addArgument(new Argument("<tool>").choices(["sql", ...Object.keys(tools)]))
    .addOption(
      new Option("--dialect <database>", "for which database")
        .choices(["sqlite", "postgres", "mysql"])
        .makeOptionMandatory(),
    )
    .option("--table <name>", "the table", "stored_sessions")
    .action((tool: "sql" | keyof typeof tools, { dialect, table }: Options) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]{0,39}$/.test(table)) {
        throw new Failure(
          `${JSON.stringify(table)} is not a valid table name. Use at most 40 letters, digits and "_".`,
          exitCodes.usage,
        );
      }
      const text =
        tool === "sql"
          ? sqlOf(table, dialect)
          : `// When the tables are made, run "stored-session migrate" once: it notes that they are there.\n${tools[tool](table, dialect)}`;
      terminal.out.write(text);
    });
}

/** A store connects at its first statement, and here there is none. */
function sqlOf(table: string, dialect: SchemaDialect): string {
  const { database } = {
    sqlite: () => sqliteStore(":memory:", { table }),
    postgres: () => postgresStore("postgres://localhost/", { table }),
    mysql: () => mysqlStore("mysql://localhost/", { table }),
  }[dialect]();
  return generateSql(database.dialect, Date.now());
}
