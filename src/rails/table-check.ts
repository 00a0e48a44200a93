import { NotMigratedError, TableError } from "../errors.ts";
import type { Database } from "../sql/dialect.ts";
import { RailsStatements } from "./statements.ts";
import { textOf } from "./store-rows.ts";

/**
 * Checks that the table is the gem's and returns its statements.
 * @param create whether to create the table if it does not exist
 * @throws {NotMigratedError} the table does not exist
 * @throws {TableError} the table has another shape
 */
export async function checkedTable(database: Database, create: boolean): Promise<RailsStatements> {
  await database.locate?.();
  const { dialect } = database;
  const { sessions: table } = dialect.names;
  const statements = new RailsStatements(table, dialect.railsTable);
  let { rows } = await database.run(statements.columns());
  if (rows.length === 0 && create) {
    for (const statement of statements.create()) await database.run(statement);
    ({ rows } = await database.run(statements.columns()));
  }
  if (rows.length === 0) {
    throw new NotMigratedError(
      `The table ${table} does not exist. Run the gem's migration in Rails, or call migrate(store) on a store opened with \`createTable: true\`. No restart is needed.`,
    );
  }
  const types = new Map(rows.map(({ name, type }) => [textOf(name), textOf(type)]));
  const { timeTypes } = statements;
  const missing = ["id", "created_at", "updated_at", "sid", "data"].filter((name) => !types.has(name));
  const problems = missing.map((name) => `it has no column ${name}`);
  for (const name of missing.length === 0 && timeTypes !== undefined ? ["created_at", "updated_at"] : []) {
    const type = types.get(name) ?? "";
    if (!timeTypes?.test(type))
      problems.push(`${name} has the type ${type}, whose value depends on the time zone of the connection`);
  }
  if (missing.length === 0 && (await database.run(statements.sidIndexes())).rows.length === 0) {
    problems.push("it has no unique index on sid");
  }
  if (problems.length > 0) {
    throw new TableError(
      `${table} is not the table of the stored_session gem: ${problems.join("; ")}. Set the option \`table\` to the gem's table.`,
    );
  }
  return statements;
}
