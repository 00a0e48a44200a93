import type { LimitError, RefusedError, ValueError } from "../errors.ts";
import {
  assertOptions,
  integerFrom,
  isBoolean,
  isFunction,
  isSignal,
  isText,
} from "../shared/option-checks.ts";
import type { RailsRow } from "./rows.ts";

export interface ImportResult {
  readonly imported: number;
  /** Imported sessions with a user, as `userOf` found it. */
  readonly withUser: number;
  /** Imported by an earlier run. With `refresh`, those that did not change in Rails. */
  readonly before: number;
  /** With `refresh`: imported by an earlier run, changed in Rails since, and updated. */
  readonly refreshed: number;
  /** With `refresh`: imported by an earlier run, and ended since. */
  readonly endedSince: number;
  /** With `refresh`: imported by an earlier run, and written by the application since. */
  readonly changedSince: number;
  /** A session of that id exists that no run imported. */
  readonly present: number;
  /** Past a timeout of the native manager, or empty. */
  readonly ended: number;
  readonly refused: number;
}

export interface ImportOptions {
  /**
   * Returns the data of the native session. Default: everything except Rails' own keys, converted by {@link
   * plainValue}.
   */
  readonly dataOf?: (data: Record<string, unknown>) => Record<string, unknown>;
  /** The `sid` at which an earlier run stopped. */
  readonly after?: string;
  /** Rows per batch. Default 200. */
  readonly batchSize?: number;
  /** Whether to count what would be imported without writing anything. Default false. */
  readonly dryRun?: boolean;
  /**
   * Whether to also update sessions that an earlier run imported and that changed in Rails since. Sessions that have
   * ended since, or that the application has written since, are not changed. Default false.
   */
  readonly refresh?: boolean;
  /** Stops the import between two batches. Imported sessions stay, and another run continues. */
  readonly signal?: AbortSignal;
  /**
   * Called after each full batch with the rows read so far, the progress through the table from 0 to 1, and the results
   * so far, which is all that is known if the import fails later.
   */
  readonly onProgress?: (progress: {
    readonly read: number;
    readonly fraction: number;
    readonly counts: ImportResult;
  }) => void;
  /**
   * Called for each row that was not imported, because it cannot be decrypted or holds a value that a native session
   * cannot.
   */
  readonly onRefused?: (row: RailsRow, error: RefusedError | ValueError | LimitError) => void;
}

/** @throws {TypeError} */
export function assertImportOptions(options: ImportOptions): void {
  assertOptions("importRailsSessions", options, {
    dataOf: isFunction,
    onRefused: isFunction,
    after: isText,
    batchSize: integerFrom(1),
    dryRun: isBoolean,
    refresh: isBoolean,
    signal: isSignal,
    onProgress: isFunction,
  });
}
