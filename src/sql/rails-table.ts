/** Statement texts for the table of the Ruby gem `stored_session`: what differs between databases. */
export interface RailsTable {
  /** The placeholder of the n-th value of a statement, from 1. */
  readonly placeholder: (n: number) => string;
  /** Equality under which NULL equals NULL. */
  readonly is: string;
  /** Converts a time given as text. */
  readonly time: string;
  /** Reads a time as text in UTC. */
  readonly timeText: (column: string) => string;
  readonly bytes: string;
  readonly bytesText: (column: string) => string;
  /** What an insert does if the id exists: skips the row, or fails with an error that `isTaken` recognizes. */
  readonly whenTaken: string;
  readonly isTaken: (error: unknown) => boolean;
  /** Column types whose values do not depend on the connection's time zone. Undefined if all are. */
  readonly timeTypes?: RegExp;
  /** The parts of the table's name, as `columns` and `sidIndexes` take them. */
  readonly nameOf: (table: string) => readonly (string | null)[];
  readonly columns: string;
  /** Returns a row for each unique index on `sid` alone. */
  readonly sidIndexes: string;
  readonly create: (table: string, index: (column: string) => string) => readonly string[];
}

/** CREATE INDEX for each column that has one. */
export const railsIndexes = (
  table: string,
  index: (column: string) => string,
  when: string,
): readonly string[] => [
  `CREATE UNIQUE INDEX ${when}${index("sid")} ON ${table} (sid)`,
  `CREATE INDEX ${when}${index("created_at")} ON ${table} (created_at)`,
  `CREATE INDEX ${when}${index("updated_at")} ON ${table} (updated_at)`,
];
