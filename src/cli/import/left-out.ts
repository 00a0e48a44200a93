import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { exitCodes, Failure } from "../failure.ts";
import type { LeftOutList, Skipped } from "./tally.ts";

/** The file of `--left-out`: a line of JSON for each session that could not be read or stored. */
export class LeftOutFile implements LeftOutList {
  readonly path: string;
  readonly #descriptor: number;

  /** Creates the file before anything is read, so that a path that cannot be written fails first. */
  constructor(path: string, cwd: string) {
    this.path = resolve(cwd, path);
    try {
      this.#descriptor = openSync(this.path, "wx", 0o600);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new Failure(
        code === "EEXIST"
          ? `${this.path} already exists. Pass --left-out the name of a new file. Nothing was changed.`
          : `The file of --left-out cannot be written: ${message}. Nothing was changed.`,
        exitCodes.usage,
      );
    }
  }

  add({ handle, reason, detail }: Skipped, find: string | null): void {
    writeSync(this.#descriptor, `${JSON.stringify({ handle, reason, detail, find })}\n`);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** After a run that read nothing: the next one can have the same name. */
  discard(): void {
    this.close();
    rmSync(this.path, { force: true });
  }
}

/** Characters of a session id that are shown at most, which leaves most of the secret out. */
const mostShown = 8;

/** The beginning of a session id that may be shown: an id opens its session, so at most a quarter (R28). */
export function shownStart(sid: string): string {
  // Rails stores "2::" and a hash of the id.
  const start = sid.startsWith("2::") ? 3 : 0;
  const limit = start + Math.min(mostShown, Math.ceil((sid.length - start) / 4));
  return /^[\w:.-]*/.exec(sid)![0].slice(0, limit);
}

/**
 * SQL that finds the row of a session id by its beginning. Null where the id begins with what would need quoting.
 * @param column quoted, as is `table`
 */
export function findingSql(table: string, column: string, sid: string): string | null {
  const shown = shownStart(sid);
  if (shown === "") return null;
  return `SELECT * FROM ${table} WHERE substr(${column}, 1, ${shown.length}) = '${shown}'`;
}
