import type { SourceReader } from "./reader.ts";
import type { ImportCommandOptions } from "./work.ts";

/** Options that some libraries take and others refuse. */
export const ownOptions = [
  "fields",
  "fileExtension",
  "fromTable",
  "lifetime",
  "prefix",
  "userPath",
  "userTable",
] as const;

export interface OpenOptions {
  /** The value of `--from` or of its variable. */
  readonly from: string;
  readonly options: ImportCommandOptions;
  /** `idleTimeout` of the configuration, in milliseconds. */
  readonly idleTimeout: number;
  readonly now: () => number;
  readonly cwd: string;
}

/** A library whose sessions are JSON text or columns. */
export interface Library {
  readonly name: string;
  /** What `--from` names. */
  readonly from: string;
  readonly takes: readonly (typeof ownOptions)[number][];
  /** Whether its sessions must open without their id. */
  readonly listed?: boolean;
  open(options: OpenOptions): SourceReader;
}
