import type { DatabaseName } from "./options.ts";

/** A store under measurement, with sessions in places 0, 1, 2, … */
export interface Candidate {
  readonly name: string;
  /** Pid of the server whose processor time counts as its own; null for none. */
  readonly pid: number | null;
  /** Puts a new session in the place. */
  create(place: number): Promise<unknown>;
  read(place: number): Promise<unknown>;
  /** Saves a change of a session that was read before. */
  write(place: number): Promise<unknown>;
  /** Reads, changes and saves: what a request does. */
  change(place: number): Promise<unknown>;
  /** Moves the end of a session that was read before, and waits until the store has answered. */
  touch(place: number): Promise<unknown>;
  /** Adds so many rows like its own to its table, that nobody asks for; answers how many it has added. */
  fill?(rows: number): Promise<number>;
  /** Bytes of its table with all indexes; null where that cannot be told. */
  bytes(): Promise<number | null>;
  close(): Promise<void>;
}

export interface Setting {
  readonly database: DatabaseName;
  /** The server; empty for SQLite. */
  readonly url: string;
  readonly pid: number | null;
  /** A folder for files, on a disk. */
  readonly folder: string;
  readonly size: number;
  readonly redis: { readonly url: string; readonly pid: number | null } | null;
  readonly durableRedis: { readonly url: string; readonly pid: number | null } | null;
}

/** A package that is installed here and not with the repository, hence without types. */
// eslint-disable-next-line typescript/no-explicit-any
export async function load(name: string): Promise<any> {
  const loaded = await import(name);
  return loaded.default ?? loaded;
}
