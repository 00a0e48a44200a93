import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { StoredSessionStore } from "../adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../adapters/drop-in/koa-session.ts";
import { OptionsError, StoreError } from "../errors.ts";
import type { SessionManagerOptions } from "../options.ts";
import { generateKey } from "../sealing/keyring.ts";
import { createSessionManager, SessionManager, settingsOf } from "../manager.ts";
import type { Database } from "../sql/dialect.ts";
import { RailsStore } from "../rails/store.ts";
import { SqlStore } from "../sql/sql-store.ts";
import type { SessionStore } from "../store/contract.ts";
import { kindOf, readEnvironmentFile } from "./environment.ts";
import { exitCodes, Failure } from "./failure.ts";
import { openStore } from "./store-url.ts";
import type { Terminal } from "./terminal.ts";

/** Options that every command takes. */
export interface CommonOptions {
  config?: string;
  databaseUrl?: string;
  table?: string;
  app?: string;
  json?: boolean;
}

/** What a command works with. */
export interface Configuration {
  readonly sessions: SessionManager;
  readonly store: SessionStore;
  /** What was read, for people: the file, or the address without its password. */
  readonly source: string;
  /** Whether it is an address, which says nothing of the application's other options. */
  readonly isAddress?: boolean;
  /** Whether the sessions are another library's, whose cookies have no tag of a key. */
  readonly isDropIn?: boolean;
  /** Whether real keys are there; commands that open nothing do without. */
  readonly hasKeys: boolean;
  /** What the configuration file exports as `rails`, for an import from the table of a Rails application. */
  readonly rails?: unknown;
  close(): Promise<void>;
}

/** What a command needs of its configuration. */
interface Needs {
  /** False for a command that opens no row. */
  readonly keys: boolean;
  readonly changes?: boolean;
  readonly audit?: boolean;
}

const names = ["ts", "mts", "js", "mjs"].map((ending) => `stored-session.config.${ending}`);

/**
 * The configuration: `--config`, else `--database-url` or STORED_SESSION_DATABASE_URL, else the file
 * `stored-session.config.{ts,mts,js,mjs}` of this folder. Variables that are not set are looked up in the `.env` beside
 * the file of `--config`, then in that of this folder.
 */
export async function configure(
  terminal: Terminal,
  options: CommonOptions,
  needs: Needs,
): Promise<Configuration> {
  // As of a variable that is not set: without it the command would work on another database.
  if (options.config === "") {
    throw new Failure(
      "--config is empty. Pass the path of a file, or leave the option out.",
      exitCodes.usage,
    );
  }
  if (options.config) readEnvironmentFile(terminal, dirname(resolve(terminal.cwd, options.config)));
  readEnvironmentFile(terminal);
  // A variable that is set to nothing is not set.
  const variable = terminal.env["STORED_SESSION_DATABASE_URL"]?.trim() || undefined;
  const url = options.databaseUrl ?? (options.config ? undefined : variable);
  const file = options.config ? resolve(terminal.cwd, options.config) : findFile(terminal.cwd);
  if (options.config && options.databaseUrl) {
    throw new Failure("Use --config or --database-url, not both.", exitCodes.usage);
  }
  if (url === undefined && file === null) {
    throw new Failure(
      `There is no configuration. Run "stored-session init" to create one, or pass --database-url. (Looked for ${names[0]}, .mts, .js and .mjs in ${terminal.cwd}.)`,
      exitCodes.usage,
    );
  }
  if (
    options.databaseUrl !== undefined ||
    file === null ||
    (url !== undefined && options.config === undefined)
  ) {
    const { store, label } = openStore(url!, options.table, terminal.cwd);
    const keys = terminal.env["STORED_SESSION_KEYS"];
    const app = options.app ?? "";
    const audit = needs.audit || (await hasTrail(store));
    return { ...fromOptions({ store, keys, app, audit }, label, needs), isAddress: true };
  }
  if (options.app !== undefined) {
    throw new Failure(
      "--app requires --database-url. A configuration file contains the application's `app`.",
      exitCodes.usage,
    );
  }
  if (options.table !== undefined) {
    throw new Failure(
      "--table requires --database-url. A configuration file names its own table.",
      exitCodes.usage,
    );
  }
  return fromFile(file, needs);
}

function fromOptions(options: SessionManagerOptions, source: string, needs: Needs): Configuration {
  const hasKeys =
    options.format !== undefined || (options.keys !== undefined && String(options.keys).trim() !== "");
  // An event under a key that is thrown away could never be read or verified.
  const records = Boolean(options.audit) && hasKeys;
  if (!hasKeys && options.audit && needs.changes) {
    throw new OptionsError([
      "This database has an audit trail, which has to record what this command does: set STORED_SESSION_KEYS.",
    ]);
  }
  if (!hasKeys && needs.keys) {
    throw new OptionsError([
      'There are no keys: set STORED_SESSION_KEYS, or "keys" in the configuration. "stored-session keys generate" makes one.',
    ]);
  }
  // A command that opens no row needs no keys: one that is thrown away stands in for them.
  const keys = hasKeys || needs.keys ? options.keys : generateKey();
  const sessions = createSessionManager({
    ...options,
    ...(options.format === undefined && { keys }),
    audit: records && options.audit!,
  });
  return { sessions, store: options.store, source, hasKeys, close: () => sessions.close() };
}

/** Whether the database of a URL has an audit trail, in which the command then records what it does. Changes nothing. */
async function hasTrail(store: SessionStore): Promise<boolean> {
  const database = databaseOf(store);
  if (database?.file !== undefined && !existsSync(database.file)) return false;
  try {
    // Not with the store of a path: its first use would create its tables in whatever file this is.
    const { audit } = store instanceof SqlStore ? new SqlStore(store.database) : store;
    return ((await audit?.find({ limit: 1 })) ?? []).length > 0;
  } catch (error) {
    // The tables are missing, or the server does not respond: the command itself reports it.
    if (error instanceof StoreError) return false;
    throw error;
  }
}

async function fromFile(file: string, needs: Needs): Promise<Configuration> {
  const { exported, rails } = await load(file);
  if (exported instanceof SessionManager) {
    const sessions = exported as SessionManager;
    const { store } = settingsOf(sessions as SessionManager<never>);
    assertOwn(store, file);
    return { sessions, store, source: file, hasKeys: true, rails, close: () => sessions.close() };
  }
  if (typeof exported !== "object" || exported === null) {
    throw new Failure(
      `${file} has no default export${exported === undefined ? "" : " that is an object"}: export the options of createSessionManager, a manager or a StoredSessionStore.`,
      exitCodes.usage,
    );
  }
  // A drop-in store of another library's sessions: it has a manager of its own, with its own timeouts.
  const { sessions: within, close } = exported as { sessions?: object; close?: () => Promise<void> };
  if (within instanceof SessionManager && close !== undefined) {
    const { store } = settingsOf(within as SessionManager<never>);
    return {
      sessions: within,
      store,
      source: file,
      isDropIn: exported instanceof StoredSessionStore || exported instanceof StoredSessionKoaStore,
      hasKeys: true,
      rails,
      close: () => close.call(exported),
    };
  }
  if ([exported, within].some((one) => one?.constructor?.name === "SessionManager")) throw otherCopy(file);
  assertOwn((exported as Partial<SessionManagerOptions>).store, file);
  return { ...fromOptions(exported as SessionManagerOptions, file, needs), rails };
}

/** A store over a database that is not of this copy's classes is another copy's, whose tables may differ. */
function assertOwn(store: unknown, file: string): void {
  if (databaseOf(store) !== null || typeof store !== "object" || store === null) return;
  const { database } = store as { database?: { exclusively?: unknown; dialect?: unknown } };
  if (typeof database?.exclusively === "function" && database.dialect !== undefined) throw otherCopy(file);
}

function otherCopy(file: string): Failure {
  return new Failure(
    `${file} uses another copy of stored-session than this command. Run the command of that copy: "npx stored-session" in its folder.`,
    exitCodes.usage,
  );
}

/** What a store of this package keeps its rows in; null for one that has no database, or is not of this package. */
export function databaseOf(store: unknown): Database | null {
  return store instanceof SqlStore || store instanceof RailsStore ? store.database : null;
}

interface Exports {
  default?: unknown;
  rails?: unknown;
}

/** What the file exports: also as a promise, from a function, or from a module that was compiled to CommonJS. */
async function load(file: string): Promise<{ exported: unknown; rails?: unknown }> {
  const kind = kindOf(file);
  if (kind !== "file") {
    const what = kind === "none" ? `There is no file ${file}.` : `${file} is not a regular file.`;
    throw new Failure(what, exitCodes.usage);
  }
  try {
    return await settled(evaluated(file));
  } catch (error) {
    if (error instanceof OptionsError) throw error;
    throw new Failure(`${file} could not be loaded: ${reasonOf(error, file)}`, exitCodes.usage, {
      cause: error,
    });
  }
}

async function evaluated(file: string): Promise<{ exported: unknown; rails?: unknown }> {
  const module = (await import(pathToFileURL(file).href)) as Exports;
  const inner = module.default as Exports | null | undefined;
  const isCompiled = typeof inner === "object" && inner !== null && "default" in inner;
  const { default: given, rails = module.rails } = isCompiled ? inner : module;
  const exported = await valueOf(given);
  // What CommonJS has beside its options is among them: module.exports = { ...options, rails }.
  // Node sees some of that, and then tells of an export of that name besides.
  if (isPlain(exported) && "rails" in exported) {
    const { rails: among, ...options } = exported;
    return { exported: options, rails: await valueOf(rails ?? among) };
  }
  return { exported, rails: await valueOf(rails) };
}

/** A value, or what a promise or a function answers. */
async function valueOf(given: unknown): Promise<unknown> {
  return await (typeof given === "function" ? (given as () => unknown)() : given);
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** What the promise answers. Rejects when nothing is left that could settle it: the process would end without a word. */
async function settled<Value>(promise: Promise<Value>): Promise<Value> {
  const { promise: never, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new Error("its promise never settled. Check what it awaits."));
  process.once("beforeExit", giveUp);
  try {
    return await Promise.race([promise, never]);
  } finally {
    process.off("beforeExit", giveUp);
  }
}

function reasonOf(error: unknown, file: string): string {
  if ((error as { code?: string } | null | undefined)?.code === "ERR_UNKNOWN_FILE_EXTENSION") {
    return "This Node does not read TypeScript: use Node 22.18 or later, or write the configuration as .mjs.";
  }
  if (!(error instanceof Error)) return `it threw ${inspect(error)}.`;
  // Deno's message goes on with the line, and ends with its place.
  const parts = "Deno" in globalThis && /^(.*)\n[^]*\n\s+at (file:\/\/\S+?)((?::\d+)*)$/.exec(error.message);
  if (parts) return `${parts[1]} (${fileURLToPath(parts[2]!)}${parts[3]})`;
  const place = error instanceof SyntaxError ? (placeIn(error.stack) ?? placeFound(file)) : null;
  return place === null ? error.message : `${error.message} (${place})`;
}

/** "file:line", which Node puts before the stack of some errors in a program's text. */
function placeIn(text: string | undefined): string | null {
  const [, path, line] = /^((?:file:\/\/)?(?:\/|[a-z]:[\\/])[^\n]*):(\d+)\n/i.exec(text ?? "") ?? [];
  if (path === undefined) return null;
  return `${path.startsWith("file:") ? fileURLToPath(path) : path}:${line}`;
}

/** The place of an error in a module's text: only a Node that dies of it tells. */
function placeFound(file: string): string | null {
  const { stderr } = spawnSync(process.execPath, ["--check", file], { encoding: "utf8", timeout: 10_000 });
  return placeIn(stderr);
}

function findFile(folder: string): string | null {
  return names.map((name) => resolve(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** The store with its database, for what only an SQL store has. */
export function sqlStoreOf({ store }: Configuration): SqlStore {
  if (store instanceof SqlStore) return store;
  throw new Failure("This store has no SQL tables.", exitCodes.usage);
}
