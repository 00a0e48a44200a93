import type { CommonOptions } from "../configuration.ts";
import type { Progress } from "../progress.ts";
import type { Terminal } from "../terminal.ts";
import type { Workplace } from "../work.ts";
import type { LeftOutFile } from "./left-out.ts";
import type { Tally } from "./tally.ts";

export interface RailsFlags {
  userKey?: string;
  railsPrimaryKey?: string[];
  railsKeyDerivationSalt?: string;
  railsHashDigestClass?: string;
}

export interface ImportCommandOptions extends CommonOptions, RailsFlags {
  from?: string;
  fromTable?: string;
  userTable?: string;
  fields?: readonly string[];
  prefix?: string;
  fileExtension?: string;
  userPath?: readonly string[];
  lifetime?: number;
  batchSize: number;
  dryRun?: boolean;
  yes?: boolean;
  refresh?: boolean;
  leftOut?: string;
}

/** What an import is given to work with. */
export interface ImportWork {
  readonly terminal: Terminal;
  readonly options: ImportCommandOptions;
  readonly place: Workplace;
  readonly tally: Tally;
  /** The file of `--left-out`. */
  readonly file: LeftOutFile | null;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}
