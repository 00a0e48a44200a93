import type { Database } from "../../sql/dialect.ts";
import { exitCodes, Failure } from "../failure.ts";
import { columnsIn, valueOf, type Column } from "./auth-columns.ts";
import { assertTableName, openDropIn, quoted, SourceTable } from "./read.ts";
import type { SourceReader, SourceRow } from "./reader.ts";
import { moment, type Source } from "./sources.ts";

/** The tables of an authentication library. The names of their columns depend on its adapter: `userId`, `user_id`, `userid`. */
export interface AuthTables extends Pick<Source, "name" | "databases"> {
  /** What its adapters call the table of sessions. */
  readonly tables: readonly string[];
  /** The fields with the token and the end. */
  readonly token: string;
  readonly end: string;
  /** Fields that are read where there are columns for them. */
  readonly fields: readonly string[];
  /** Fields without which a table is another library's, besides token, user and end. */
  readonly required: readonly string[];
  /** Its table of users, if its sessions hold them. */
  readonly users?: {
    readonly tables: readonly string[];
    readonly fields: readonly string[];
    readonly required: readonly string[];
  };
  /** Why its library would not find a session by this token. */
  unreadable?(token: string): string | undefined;
  readonly dataOf: NonNullable<SourceReader["dataOf"]>;
}

interface AuthOptions {
  readonly url: string;
  readonly cwd: string;
  readonly table: string | undefined;
  readonly userTable: string | undefined;
  /** "session.theme", "user.locale" */
  readonly fields: readonly string[];
}

interface Found {
  readonly table: string;
  readonly columns: readonly Column[];
  /** Columns that are left out. */
  readonly others: readonly string[];
}

/** Sessions that an authentication library keeps in columns. */
export class AuthReader implements SourceReader {
  readonly namesUsers = true;
  readonly #tables: AuthTables;
  readonly #options: AuthOptions;
  readonly #database: Database;
  #notes: readonly string[] = [];
  #source: SourceTable | undefined;

  constructor(tables: AuthTables, options: AuthOptions) {
    this.#tables = tables;
    this.#options = options;
    if (tables.users === undefined && options.fields.some((name) => name.startsWith("user."))) {
      throw new Failure(
        `--fields: ${tables.name} does not keep users in its sessions. Name only columns of sessions.`,
        exitCodes.usage,
      );
    }
    for (const name of [options.table, options.userTable]) if (name !== undefined) assertTableName(name);
    this.#database = openDropIn(options.url, tables, undefined, options.cwd);
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  async begin(): Promise<void> {
    const { tables, token, end, fields, required, users } = this.#tables;
    const sessions = await this.#find("session", tables, this.#options.table, fields, [
      ...required,
      token,
      "userId",
      end,
    ]);
    const people =
      users &&
      (await this.#find("user", users.tables, this.#options.userTable, users.fields, [
        "id",
        ...users.required,
      ]));
    this.#notes = [sessions, ...(people ? [people] : [])]
      .filter(({ others }) => others.length > 0)
      .map(
        ({ table, others }) =>
          `Not imported from the table ${table}: ${others.join(", ")}. --fields imports columns that your application reads from its sessions.`,
      );
    this.#source = new SourceTable(this.#database, this.#shape(sessions, people));
    await this.#source.begin();
  }

  #shape(sessions: Found, people: Found | undefined): ConstructorParameters<typeof SourceTable>[1] {
    const { name, token, end, unreadable } = this.#tables;
    const quote = (column: string) => quoted(column, this.#database);
    const of = ({ columns }: Found, field: string) => quote(columns.find((one) => one.field === field)!.name);
    const read = [
      ...sessions.columns.map((column, n) => ({ column, alias: `session_${n}`, table: "theirs" })),
      ...(people?.columns ?? []).map((column, n) => ({ column, alias: `user_${n}`, table: "users" })),
    ];
    const { textOf, jsonOf = textOf, instantOf } = this.#database.dialect.importSource;
    const expression = {
      text: textOf,
      number: textOf,
      boolean: textOf,
      json: jsonOf,
      instant: textOf,
    } as const;
    const columns = read.map(({ column, alias, table }) => {
      const place = `${table}.${quote(column.name)}`;
      // Where the column holds no time of the database's, its number or text is read.
      const text = column.isTime ? instantOf(place, true) : expression[column.kind](place);
      return `${text} AS ${alias}`;
    });
    const part = (row: Record<string, unknown>, table: string) =>
      Object.fromEntries(
        read
          .filter((one) => one.table === table)
          .map(({ column, alias }) => [column.field, valueOf(column, row[alias])]),
      );
    return {
      name,
      table: quoted(sessions.table, this.#database),
      id: of(sessions, token),
      columns: columns.join(", "),
      ...(people && {
        join: ` LEFT JOIN ${quoted(people.table, this.#database)} users ON users.${of(people, "id")} = theirs.${of(sessions, "userId")}`,
      }),
      rowOf(row, sid) {
        const session = { ...part(row, "theirs"), [token]: sid };
        const user = people && part(row, "users");
        const userId = session["userId"];
        const missing =
          user !== undefined && user["id"] === null ? "its user is not in the table of users" : undefined;
        const problem =
          unreadable?.(sid) ?? missing ?? (typeof userId === "string" ? undefined : "it has no user");
        return {
          sid,
          text: JSON.stringify({ session, ...(user && { user }) }),
          expiresAt: moment(session[end]),
          ...(typeof userId === "string" && { user: userId }),
          ...(problem !== undefined && { unreadable: problem }),
        };
      },
    };
  }

  /** The table among the usual ones that has the columns, or the named one. @throws {Failure} none, or several */
  async #find(
    kind: "session" | "user",
    usual: readonly string[],
    named: string | undefined,
    fields: readonly string[],
    required: readonly string[],
  ): Promise<Found> {
    const option = kind === "session" ? "--from-table" : "--user-table";
    const further = this.#options.fields
      .filter((name) => name.startsWith(`${kind}.`))
      .map((name) => name.slice(kind.length + 1));
    const found = new Map<string, Found>();
    let missing: readonly string[] = [];
    for (const table of named === undefined ? usual : [named]) {
      const rows = await this.#columnsOf(table);
      if (rows.length === 0) continue;
      const { columns, others } = columnsIn(rows, [...fields, ...further]);
      missing = required.filter((field) => !columns.some((column) => column.field === field));
      const name = String(rows[0]!["found"]);
      if (missing.length === 0 && !found.has(name)) found.set(name, { table, columns, others });
    }
    const [first, second] = found.values();
    if (first === undefined) {
      throw new Failure(
        named === undefined || missing.length === 0
          ? `No table of ${this.#tables.name} was found: none of ${(named === undefined ? usual : [named]).join(", ")} is there with columns for ${required.join(", ")}. Check the database in --from, or name the table with ${option}. Nothing was changed.`
          : `The table ${named} has no columns for ${missing.join(", ")}. Name the table of ${kind}s with ${option}. Nothing was changed.`,
        exitCodes.usage,
      );
    }
    if (second !== undefined) {
      throw new Failure(
        `The tables ${[...found.values()].map(({ table }) => table).join(" and ")} could both be the table of ${kind}s. Name it with ${option}. Nothing was changed.`,
        exitCodes.usage,
      );
    }
    const unknown = further.find((field) => !first.columns.some((column) => column.field === field));
    if (unknown === undefined) return first;
    throw new Failure(
      `The table ${first.table} has no column for --fields ${kind}.${unknown}. Nothing was changed.`,
      exitCodes.usage,
    );
  }

  async #columnsOf(table: string): Promise<readonly Record<string, unknown>[]> {
    try {
      return (await this.#database.run(this.#database.dialect.importSource.columnsOf(table))).rows;
    } catch (error) {
      const reason = (error as { cause?: { message?: string } }).cause?.message ?? (error as Error).message;
      throw new Failure(
        `The tables of ${this.#tables.name} could not be read: ${reason}. Check that the database is running, and host, port, user and password in --from. Nothing was changed.`,
        exitCodes.failed,
        { cause: error },
      );
    }
  }

  pages(size: number): AsyncIterable<readonly SourceRow[]> {
    return this.#source!.pages(size);
  }

  fraction(read: number): number {
    return this.#source!.fraction(read);
  }

  end(): Promise<void> {
    return this.#source!.end();
  }

  find(row: SourceRow): string | null {
    return this.#source!.find(row);
  }

  dataOf(row: SourceRow, session: Record<string, unknown>): Record<string, unknown> {
    return this.#tables.dataOf(row, session);
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
