/** The databases that schemas are generated for. MariaDB takes what MySQL takes. */
export type SchemaDialect = "sqlite" | "postgres" | "mysql";

export type ColumnType =
  /** 32 bytes */
  | "id"
  /** 16 bytes */
  | "short id"
  /** bytes */
  | "bytes"
  /** bytes that are few */
  | "small bytes"
  /** 64-bit integer, milliseconds or a version */
  | "bigint"
  /** 32-bit integer */
  | "integer"
  /** the name of a lease, ASCII */
  | "name"
  /** the name of a migration */
  | "title"
  /** 64 hexadecimal digits */
  | "checksum";

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable?: boolean;
  readonly primary?: boolean;
}

export interface Index {
  readonly name: string;
  readonly columns: readonly string[];
  /** The column without whose value a row is not in the index, where the database has partial indexes. */
  readonly whereNotNull?: string;
}

export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly indexes: readonly Index[];
}

/**
 * The tables as data, in the order of columns that the migrations give them on this database. A test compares
 * what every tool makes of them with what the migrations make.
 */
export function tablesOf(table: string, dialect: SchemaDialect): readonly Table[] {
  const columns: Column[] = [
    { name: "id", type: "id", primary: true },
    { name: "data", type: "bytes" },
    { name: "version", type: "bigint" },
    { name: "user_ref", type: "id", nullable: true },
    { name: "created_at", type: "bigint" },
    { name: "updated_at", type: "bigint" },
    { name: "absolute_expires_at", type: "bigint" },
    { name: "expires_at", type: "bigint" },
    { name: "expires_bucket", type: "integer" },
    { name: "client", type: "small bytes", nullable: true },
  ];
  const postgresOrder = [
    "version",
    "created_at",
    "updated_at",
    "absolute_expires_at",
    "expires_at",
    "expires_bucket",
    "id",
    "user_ref",
    "client",
    "data",
  ];
  const inOrder =
    dialect === "postgres"
      ? postgresOrder.map((name) => columns.find((column) => column.name === name)!)
      : columns;
  return [
    {
      name: table,
      columns: inOrder,
      indexes: [
        { name: `${table}_user_ref`, columns: ["user_ref"], whereNotNull: "user_ref" },
        {
          name: `${table}_expires_bucket`,
          columns: dialect === "postgres" ? ["expires_bucket", "created_at"] : ["expires_bucket"],
        },
      ],
    },
    {
      name: `${table}_leases`,
      columns: [
        { name: "name", type: "name", primary: true },
        { name: "holder", type: "name" },
        { name: "held_until", type: "bigint" },
      ],
      indexes: [],
    },
    {
      name: `${table}_migrations`,
      columns: [
        { name: "version", type: "integer", primary: true },
        { name: "name", type: "title" },
        { name: "checksum", type: "checksum" },
        { name: "applied_at", type: "bigint" },
      ],
      indexes: [],
    },
    ...auditTables(table, dialect),
    {
      name: `${table}_links`,
      columns: widestFirst(dialect, [
        { name: "session_id", type: "id", primary: true },
        { name: "link", type: "id", primary: true },
        { name: "created_at", type: "bigint" },
      ]),
      indexes: [{ name: `${table}_link`, columns: ["link"] }],
    },
  ];
}

/** The columns that make up a primary key of several; none if it is a single column. */
export function keyOfSeveral(columns: readonly Column[]): readonly string[] {
  const key = columns.filter(({ primary }) => primary).map(({ name }) => name);
  return key.length > 1 ? key : [];
}

/** As in the migrations of PostgreSQL, to avoid alignment padding. */
function widestFirst(dialect: SchemaDialect, columns: readonly Column[]): readonly Column[] {
  if (dialect !== "postgres") return columns;
  const isNumber = ({ type }: Column): boolean => type === "bigint" || type === "integer";
  return [...columns.filter(isNumber), ...columns.filter((column) => !isNumber(column))];
}

/** The tables of the audit trail. PostgreSQL has wide columns first. */
function auditTables(table: string, dialect: SchemaDialect): readonly Table[] {
  const events: Column[] = [
    { name: "id", type: "id", primary: true },
    { name: "created_at", type: "bigint" },
    { name: "event", type: "integer" },
    { name: "outcome", type: "integer" },
    { name: "device", type: "integer" },
    { name: "amount", type: "integer" },
    { name: "session_id", type: "id", nullable: true },
    { name: "subject", type: "short id", nullable: true },
    { name: "hash", type: "id" },
    { name: "mac", type: "short id" },
    { name: "body", type: "small bytes" },
  ];
  const subjects: Column[] = [
    { name: "subject", type: "short id", primary: true },
    { name: "user_ref", type: "id", nullable: true },
    { name: "wrapped", type: "small bytes" },
    { name: "erased_at", type: "bigint" },
  ];
  return [
    {
      name: `${table}_audit`,
      columns: widestFirst(dialect, events),
      indexes: [
        { name: `${table}_audit_time`, columns: ["created_at"] },
        { name: `${table}_audit_event`, columns: ["event", "created_at"] },
        {
          name: `${table}_audit_subject`,
          columns: ["subject", "created_at"],
          whereNotNull: "subject",
        },
        { name: `${table}_audit_session`, columns: ["session_id"], whereNotNull: "session_id" },
      ],
    },
    {
      name: `${table}_audit_subjects`,
      columns: widestFirst(dialect, subjects),
      indexes: [{ name: `${table}_audit_user`, columns: ["user_ref"], whereNotNull: "user_ref" }],
    },
    {
      name: `${table}_audit_checkpoints`,
      columns: [
        { name: "number", type: "bigint", primary: true },
        { name: "created_at", type: "bigint" },
        { name: "kind", type: "integer" },
        { name: "body", type: "small bytes" },
        { name: "signature", type: "small bytes" },
      ],
      indexes: [],
    },
    {
      name: `${table}_audit_days`,
      columns: [
        { name: "slot", type: "bigint", primary: true },
        { name: "amount", type: "bigint" },
      ],
      indexes: [],
    },
  ];
}

/** SQL types, as they stand in the migrations. */
export const sqlTypes: Readonly<Record<SchemaDialect, Readonly<Record<ColumnType, string>>>> = {
  sqlite: {
    id: "blob",
    "short id": "blob",
    bytes: "blob",
    "small bytes": "blob",
    bigint: "integer",
    integer: "integer",
    name: "text",
    title: "text",
    checksum: "text",
  },
  postgres: {
    id: "bytea",
    "short id": "bytea",
    bytes: "bytea",
    "small bytes": "bytea",
    bigint: "bigint",
    integer: "integer",
    name: "text",
    title: "text",
    checksum: "text",
  },
  mysql: {
    id: "binary(32)",
    "short id": "binary(16)",
    bytes: "longblob",
    "small bytes": "mediumblob",
    bigint: "bigint",
    integer: "int",
    name: "varbinary(255)",
    title: "varchar(200)",
    checksum: "char(64)",
  },
};

/** What most tools have no words for: statements of PostgreSQL that come after the tables, as in the migrations. */
export function settingsOf(table: string, dialect: SchemaDialect): readonly string[] {
  if (dialect !== "postgres") return [];
  return [
    `ALTER TABLE "${table}" SET (fillfactor = 90)`,
    `ALTER TABLE "${table}" ALTER COLUMN data SET STORAGE EXTERNAL, ALTER COLUMN client SET STORAGE EXTERNAL`,
  ];
}

/** Lines of a comment with these statements, for a tool whose files hold no statements. */
export function settingsComment(table: string, dialect: SchemaDialect): readonly string[] {
  const settings = settingsOf(table, dialect);
  if (settings.length === 0) return [];
  return [
    "// Add these to the migration that this makes. The tables work without them, with more writing for each update:",
    ...settings.map((statement) => `// ${statement};`),
    "",
  ];
}

/** "stored_sessions_leases" as "storedSessionsLeases"; it begins with a letter. */
export function camelCase(name: string): string {
  const camel = name.replace(/_+([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase());
  return /^[a-z]/i.test(camel) ? camel : `t${camel}`;
}

export function pascalCase(name: string): string {
  const camel = camelCase(name);
  return camel[0]!.toUpperCase() + camel.slice(1);
}

/** Words that no constant of a module can be called. */
const RESERVED = new Set(
  (
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends " +
    "false finally for function if implements import in instanceof interface let new null package private protected " +
    "public return static super switch this throw true try typeof undefined var void while with yield"
  ).split(" "),
);

/** The name of a table as that of a constant, other than those that are `taken`. */
export function constantFor(table: string, taken: ReadonlySet<string>): string {
  let name = camelCase(table);
  while (RESERVED.has(name) || taken.has(name)) name += "Table";
  return name;
}
