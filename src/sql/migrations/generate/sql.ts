import type { Dialect } from "../../dialect.ts";
import { checksumOf, statementsOf } from "../migration.ts";
import { MIGRATIONS } from "../migrator.ts";

/** The frozen statements and the lines of the journal, for a tool that runs SQL. `migrate` finds nothing to do after it. */
export function generateSql(dialect: Dialect, now: number): string {
  const quote = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const { migrations } = dialect.names;
  const statements = [
    ...MIGRATIONS.flatMap((migration) => statementsOf(migration, dialect)),
    dialect.journal.create().text,
    ...MIGRATIONS.map(
      (migration) =>
        `INSERT INTO ${migrations} (version, name, checksum, applied_at) VALUES (${migration.version}, ${quote(migration.name)}, ${quote(checksumOf(migration, dialect.name))}, ${now})`,
    ),
  ];
  return statements.map((statement) => `${statement};\n`).join("\n");
}
