import type { SourceReader } from "./reader.ts";
import type { ImportCommandOptions } from "./work.ts";

/** Options that some libraries take and others refuse. */
export const ownOptions = ["fileExtension", "fromTable", "lifetime", "prefix"] as const;

export interface OpenOptions {
  /** The value of `--from` or of its variable. */
  readonly from: string;
  readonly options: ImportCommandOptions;
  /** `idleTimeout` of the configuration, in milliseconds. */
  readonly idleTimeout: number;
  readonly now: () => number;
  readonly cwd: string;
}

/** A library whose sessions are JSON. */
export interface Library {
  readonly name: string;
  /** What `--from` names. */
  readonly from: string;
  readonly takes: readonly (typeof ownOptions)[number][];
  open(options: OpenOptions): SourceReader;
}
