import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { smallestSize } from "./sample.ts";

export const databaseNames = ["postgres", "mysql", "mariadb", "sqlite"] as const;
export type DatabaseName = (typeof databaseNames)[number];
export const operationNames = ["read", "write", "touch", "create", "mix"] as const;
export type OperationName = (typeof operationNames)[number];

export interface Options {
  readonly databases: readonly DatabaseName[];
  readonly operations: readonly OperationName[];
  readonly levels: readonly ("store" | "http")[];
  readonly callers: readonly number[];
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  /** Sessions in each table before the first measurement. */
  readonly rows: number;
  /** More rows that nobody asks for, in those tables that can be filled: no one's in SQLite, Redis or memory. */
  readonly filler: number;
  /** Candidates whose names contain one of these; all when empty. */
  readonly only: readonly string[];
  /** Whether each HTTP server is profiled after its rounds, to tell what a request's time goes to. */
  readonly profile: boolean;
  /** The Markdown file that the results are written to; null for none. */
  readonly output: string | null;
}

export const usage = `usage: npm run bench -- [options]
  --core, --peers           only the core's costs, only the comparison with other stores
  --audit [--events 100000] only what the audit trail costs
  --dashboard [--database sqlite,postgres] [--filler 1000000]
                            only the pages of the dashboard, over so many sessions and as many events
  --start                   only sizes of bundles and the time of a first import
  --level store,http        both unless given
  --database LIST           ${databaseNames.join(",")}
  --operation LIST          ${operationNames.join(",")}
  --callers 1,16,64,256     callers at once, at the stores
  --size 300,4096           bytes of JSON in a session, at least ${smallestSize}; over HTTP, the first of them
  --only LIST               candidates with one of these in their names, as the tables have them
  --rounds 5  --seconds 0.4 how often and how long each is measured
  --rows 5000               sessions in each store that are asked for
  --filler 0                more rows beside them that nobody asks for (1000000: a large table), where a store can be filled
  --profile                 over HTTP: also what a request's time goes to, by part
  --output FILE             default benchmarks/RESULTS.md; "-" for none`;

const settings = {
  core: { type: "boolean", default: false },
  peers: { type: "boolean", default: false },
  start: { type: "boolean", default: false },
  dashboard: { type: "boolean", default: false },
  audit: { type: "boolean", default: false },
  events: { type: "string", default: "100000" },
  profile: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
  level: { type: "string", default: "store,http" },
  database: { type: "string", default: databaseNames.join(",") },
  operation: { type: "string", default: operationNames.join(",") },
  callers: { type: "string", default: "1,16,64,256" },
  size: { type: "string", default: "300,4096" },
  only: { type: "string", default: "" },
  rounds: { type: "string", default: "5" },
  seconds: { type: "string", default: "0.4" },
  rows: { type: "string", default: "5000" },
  filler: { type: "string", default: "0" },
  output: { type: "string" },
} as const;

export function readOptions(args: readonly string[]): Options & {
  core: boolean;
  peers: boolean;
  start: boolean;
  audit: boolean;
  dashboard: boolean;
  /** Events of the audit trail to write and verify. */
  events: number;
  help: boolean;
} {
  const { values } = parseArgs({ args: [...args], options: settings });
  const given = (name: string): boolean =>
    args.some((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  const modes = (["core", "peers", "audit", "dashboard", "start"] as const).filter((mode) => values[mode]);
  if (modes.length > 1)
    throw new Error(`Give one of --${modes.join(" and --")}, or run them one after another.`);
  const databases = chosen("database", values.database, databaseNames);
  const unfit = databases.filter((name) => name !== "sqlite" && name !== "postgres");
  if (values.dashboard && given("database") && unfit.length > 0)
    throw new Error(`--dashboard measures sqlite and postgres, not ${unfit.join(" and ")}.`);
  const levels = chosen("level", values.level, ["store", "http"] as const);
  if (values.profile && !levels.includes("http"))
    throw new Error("--profile takes profiles of HTTP servers. Add http to --level.");
  const output =
    values.output === "-" ? null : (values.output ?? new URL("../RESULTS.md", import.meta.url).pathname);
  if (output !== null && !existsSync(dirname(resolve(output))))
    throw new Error(`--output: there is no folder ${dirname(resolve(output))}.`);
  return {
    core: values.core,
    peers: values.peers,
    start: values.start,
    audit: values.audit,
    dashboard: values.dashboard,
    events: whole("events", values.events),
    help: values.help,
    levels,
    databases,
    operations: chosen("operation", values.operation, operationNames),
    callers: some("callers", list(values.callers)).map((part) => whole("callers", part)),
    sizes: some("size", list(values.size)).map((part) => whole("size", part, smallestSize)),
    rounds: whole("rounds", values.rounds),
    seconds: number("seconds", values.seconds),
    rows: whole("rows", values.rows),
    filler: whole("filler", values.filler, 0),
    only: given("only") ? some("only", list(values.only)) : [],
    profile: values.profile,
    output,
  };
}

function list(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
}

function chosen<Name extends string>(option: string, text: string, names: readonly Name[]): Name[] {
  const asked = some(option, list(text));
  const unknown = asked.filter((name) => !names.includes(name as Name));
  if (unknown.length > 0)
    throw new Error(`--${option} knows ${names.join(", ")}, not ${unknown.join(", ")}.`);
  return asked as Name[];
}

/** An empty list would measure nothing, and replace the results by an empty report. */
function some(option: string, parts: string[]): string[] {
  if (parts.length === 0) throw new Error(`--${option} takes a list with at least one element.`);
  return parts;
}

function whole(option: string, text: string, least = 1): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${option} takes whole numbers from ${least}, not "${text}".`);
  return value;
}

function number(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new Error(`--${option} takes numbers above 0, not "${text}".`);
  return value;
}
