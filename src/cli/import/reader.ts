/** A session of another library, as text and milliseconds. */
export interface SourceRow {
  readonly sid: string;
  /** The session as its library wrote it: JSON text. */
  readonly text: string;
  /** When it ends; NaN where the source does not say so in a way that is understood. */
  readonly expiresAt: number;
  /** Why it is no session that its library would find, whatever its text. */
  readonly unreadable?: string;
  /** The user's id, where the source names it itself. */
  readonly user?: string;
  /** Its line in a file. */
  readonly place?: number;
}

/** Reads the sessions of another library, wherever it keeps them, and changes nothing there. */
export interface SourceReader {
  /** Whether the source names users itself, whatever `--user-path` says. */
  readonly namesUsers?: boolean;
  /** What the operator should know before the first session is written, known after `begin`. */
  readonly notes?: readonly string[];
  /** Called once before `pages`, to connect, count and check. @throws {Failure} */
  begin(): Promise<void>;
  /** All sessions, about `size` at a time. A page may be empty. */
  pages(size: number): AsyncIterable<readonly SourceRow[]>;
  /** The share that has been read, from 0 to 1, after `read` sessions; undefined where the end is not known. */
  fraction(read: number): number | undefined;
  /** What our row holds of a session, if that is not what the drop-in store would save. */
  dataOf?(row: SourceRow, session: Record<string, unknown>): Record<string, unknown>;
  /** Called after the last page. @throws {Failure} sessions were not met */
  end(): Promise<void>;
  /** The SQL or command that finds a session without telling its whole id; null where there is none. */
  find(row: SourceRow): string | null;
  close(): Promise<void>;
}
