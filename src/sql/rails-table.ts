/** The texts of the table of the Ruby gem `stored_session`: what differs between databases. */
export interface RailsTable {
  /** The n-th value of a statement, from 1. */
  readonly placeholder: (n: number) => string;
  /** Equality under which NULL equals NULL. */
  readonly is: string;
  /** A time given as text. */
  readonly time: string;
  /** A time read as text in UTC. */
  readonly timeText: (column: string) => string;
  readonly bytes: string;
  readonly bytesText: (column: string) => string;
  /** What an insert does with an id that is taken: leaves it, or fails with an error that `isTaken` knows. */
  readonly whenTaken: string;
  readonly isTaken: (error: unknown) => boolean;
  /** Column types that hold UTC times whatever the connection's time zone is; undefined for any. */
  readonly timeTypes?: RegExp;
  /** The parts of the table's name, as `columns` and `sidIndexes` take them. */
  readonly nameOf: (table: string) => readonly (string | null)[];
  readonly columns: string;
  /** Answers a row for each unique index over `sid` alone. */
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
