import type { Command } from "commander";
import {
  NotMigratedError,
  RefusedError,
  StoreError,
  StoreUnavailableError,
  TableError,
} from "../../errors.ts";
import {
  importRailsSessions,
  railsFormat,
  railsRows,
  RailsStore,
  type ImportResult,
  type RailsFormatOptions,
} from "../../rails/index.ts";
import type { SessionFormat } from "../../session/format.ts";
import { handleOf } from "../../session/handle.ts";
import { rowIdOf } from "../../session/token.ts";
import { SqlStore } from "../../sql/sql-store.ts";
import type { SessionStore } from "../../store/contract.ts";
import { exitCodes, Failure } from "../failure.ts";
import { number } from "../../shared/wording.ts";
import { keyOfUser } from "../options.ts";
import { findingSql } from "./left-out.ts";
import { flagOf } from "./libraries.ts";
import { openDropIn, otherTable, unreachable } from "./read.ts";
import { urlVariable, type Source } from "./sources.ts";
import { note, type Tally } from "./tally.ts";
import { assertKeyFinds } from "./user-check.ts";
import type { ImportCommandOptions, ImportWork, RailsFlags } from "./work.ts";

/** The table of the Ruby gem `stored_session`. */
export const railsSource: Pick<Source, "name" | "table" | "databases"> = {
  name: "stored_session",
  table: "stored_sessions",
  databases: ["sqlite", "postgres", "mysql", "mariadb"],
};

const variables = {
  primaryKey: "STORED_SESSION_RAILS_PRIMARY_KEY",
  keyDerivationSalt: "STORED_SESSION_RAILS_KEY_DERIVATION_SALT",
  hashDigestClass: "STORED_SESSION_RAILS_HASH_DIGEST_CLASS",
} as const;

export function railsFlags(command: Command): void {
  const heading = "For stored_session (its keys are safer in variables):";
  const add = (flags: string, description: string, parse?: (text: string, before: unknown) => unknown) => {
    const option = command.createOption(flags, description).helpGroup(heading);
    if (parse !== undefined) option.argParser(parse);
    command.addOption(option);
  };
  add(
    "--user-key <key>",
    `the key of the session data that holds the user id: user_id, warden.user.user.key`,
    keyOfUser,
  );
  add(
    "--rails-primary-key <key>",
    `or ${variables.primaryKey}; repeat it if Rails has several`,
    (text, before) => [...((before as string[] | undefined) ?? []), text],
  );
  add("--rails-key-derivation-salt <salt>", `or ${variables.keyDerivationSalt}`);
  add("--rails-hash-digest-class <name>", `or ${variables.hashDigestClass}: SHA256 (default) or SHA1`);
}

interface From {
  readonly store: SessionStore;
  readonly format: SessionFormat;
}

/** Native sessions out of the gem's table, for `afterRailsFormat`. */
export async function importRails({
  terminal,
  options,
  place,
  tally,
  file,
  progress,
  signal,
}: ImportWork): Promise<void> {
  const { sessions, records } = place;
  assertOptions(options);
  if (records.settings.store instanceof RailsStore) {
    throw new Failure(
      "The configuration names the table of Rails, which is the source. Name the table of stored-session, which is the target.",
      exitCodes.usage,
    );
  }
  if (!records.settings.format.opensWithoutToken) {
    throw new Failure(
      'Rails sessions cannot be imported with sealTo: "cookie", because the table of Rails and its backups contain what they would be sealed to. Import them with sealTo: "keys", the default of afterRailsFormat.',
      exitCodes.usage,
    );
  }
  const from = sourceOf(options, terminal, place.rails);
  try {
    await assertOpens(from);
    const { userKey, batchSize, dryRun = false, yes = false, refresh = false } = options;
    if (userKey !== undefined && !dryRun && !yes) await assertKeyFinds(userKey, from, sessions, batchSize);
    const counts = await importRailsSessions(from, sessions, {
      batchSize,
      dryRun,
      refresh,
      signal,
      onProgress({ read, fraction, counts: sofar }) {
        fill(tally, sofar);
        progress.update(read, fraction);
      },
      onRefused({ sid }, error) {
        const hash = /^2::([0-9a-f]{64})$/.exec(sid)?.[1];
        const id = rowIdOf(hash === undefined ? Buffer.from(sid) : Buffer.from(hash, "hex"));
        const reason = error instanceof RefusedError ? "unreadable" : "notStorable";
        const find = sqlOf(from.store, sid);
        note(tally, { handle: handleOf(id), reason, detail: error.message }, file, find);
      },
    });
    fill(tally, counts);
  } finally {
    // Those of a batch that then failed were noted as well.
    tally.read =
      tally.imported + tally.refreshed + Object.values(tally.skipped).reduce((sum, times) => sum + times);
    await from.store.close();
  }
}

/** A store of somebody's own has no SQL that is known here. */
function sqlOf(store: SessionStore, sid: string): string | null {
  return store instanceof RailsStore ? findingSql(store.database.dialect.names.sessions, "sid", sid) : null;
}

function fill(tally: Tally, counts: ImportResult): void {
  tally.imported = counts.imported;
  tally.withUser = counts.withUser;
  tally.refreshed = counts.refreshed;
  tally.skipped.importedBefore = counts.before;
  tally.skipped.endedSince = counts.endedSince;
  tally.skipped.changedSince = counts.changedSince;
  tally.skipped.thereAlready = counts.present;
  tally.skipped.ended = counts.ended;
}

function assertOptions({ userPath, lifetime, ...others }: ImportCommandOptions): void {
  const wrong = (["fields", "fileExtension", "prefix", "userTable"] as const).find(
    (name) => others[name] !== undefined,
  );
  if (wrong !== undefined)
    throw new Failure(`${flagOf(wrong)} is not an option for ${railsSource.name}.`, exitCodes.usage);
  if (userPath !== undefined) {
    throw new Failure(`Use --user-key instead of --user-path with ${railsSource.name}.`, exitCodes.usage);
  }
  if (lifetime !== undefined) {
    throw new Failure(
      `--lifetime cannot be used with ${railsSource.name}: its table has both times, from which the configuration's timeouts count.`,
      exitCodes.usage,
    );
  }
}

/** Table and keys: each from the command line, else from the configuration's `rails`, else from the environment. */
function sourceOf(
  options: ImportCommandOptions,
  terminal: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> },
  exported: unknown,
): From {
  if (exported !== undefined && (typeof exported !== "object" || exported === null)) {
    throw new Failure("The configuration's `rails` must be an object: { store, format }.", exitCodes.usage);
  }
  const given = (exported ?? {}) as Partial<From>;
  const isGiven =
    (options.railsPrimaryKey ?? options.railsKeyDerivationSalt ?? options.railsHashDigestClass) !== undefined;
  if (given.format !== undefined && !isGiven && options.userKey !== undefined) {
    throw new Failure(
      "--user-key requires keys from the command line or the environment: the configuration's `rails.format` has its own `userOf`.",
      exitCodes.usage,
    );
  }
  const format =
    given.format !== undefined && !isGiven ? given.format : railsFormat(formatOptions(options, terminal.env));
  const fromEnvironment = given.store === undefined ? terminal.env[urlVariable] || undefined : undefined;
  const from = options.from ?? fromEnvironment;
  if (from !== undefined) {
    const { fromTable: table = railsSource.table } = options;
    const database = openDropIn(from, railsSource, table, terminal.cwd);
    return { format, store: new RailsStore(new SqlStore(database), false) };
  }
  if (options.fromTable !== undefined) {
    throw new Failure(`--from-table requires --from or ${urlVariable}.`, exitCodes.usage);
  }
  if (given.store === undefined) {
    throw new Failure(
      `The database of Rails is not set. Pass --from, set ${urlVariable}, or let the configuration file export \`rails\`: { store, format }.`,
      exitCodes.usage,
    );
  }
  return { format, store: given.store };
}

function formatOptions(
  options: RailsFlags,
  env: Readonly<Record<string, string | undefined>>,
): RailsFormatOptions {
  const primaryKey = options.railsPrimaryKey ?? severalIn(env[variables.primaryKey]);
  const keyDerivationSalt = options.railsKeyDerivationSalt ?? (env[variables.keyDerivationSalt] || undefined);
  const digest = options.railsHashDigestClass ?? (env[variables.hashDigestClass] || "SHA256");
  const missing = [
    ...(primaryKey === undefined ? [variables.primaryKey] : []),
    ...(keyDerivationSalt === undefined ? [variables.keyDerivationSalt] : []),
  ];
  if (primaryKey === undefined || keyDerivationSalt === undefined) {
    throw new Failure(
      `The keys of Rails are not set. Set ${missing.join(" and ")} to the values of config.active_record.encryption, or let the configuration file export \`rails\`: { store, format }.`,
      exitCodes.usage,
    );
  }
  if (digest !== "SHA256" && digest !== "SHA1") {
    throw new Failure(
      "The hash digest class must be SHA256 (Rails since load_defaults 7.1) or SHA1 (before).",
      exitCodes.usage,
    );
  }
  const { userKey } = options;
  return {
    primaryKey,
    keyDerivationSalt,
    hashDigestClass: digest,
    ...(userKey !== undefined && { userOf: (data) => userIn(data, userKey) }),
  };
}

/** One key, or a JSON array of several. */
function severalIn(text: string | undefined): string | string[] | undefined {
  if (!text?.startsWith("[")) return text || undefined;
  try {
    return JSON.parse(text) as string[];
  } catch {
    return text;
  }
}

/** Devise has the id within arrays: `[[42], "…"]`. */
function userIn(data: Readonly<Record<string, unknown>>, key: string): string | undefined {
  let value = Object.hasOwn(data, key) ? data[key] : undefined;
  while (Array.isArray(value)) value = value[0];
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Wrong keys would open nothing, and look like a table of broken rows. */
async function assertOpens({ store, format }: From): Promise<void> {
  let refused = 0;
  let why = "";
  try {
    for await (const row of railsRows(store, format, { batchSize: 50 })) {
      if (row.data === null) why ||= row.refusal.message.replace(/\.$/, "");
      else if (Object.keys(row.data).length > 0) return;
      if (row.data === null && ++refused === 50) break;
    }
  } catch (error) {
    const isTable = error instanceof NotMigratedError || error instanceof TableError;
    if (!isTable && !(error instanceof StoreError)) throw error;
    const reason = (error.cause as { message?: string } | undefined)?.message ?? error.message;
    throw new Failure(
      `The table of ${railsSource.name} could not be read: ${isTable ? error.message.split(". ")[0] : reason}. ${error instanceof StoreUnavailableError ? unreachable : otherTable} Nothing was changed.`,
      exitCodes.failed,
      { cause: error },
    );
  }
  if (refused === 0) return;
  throw new Failure(
    `These keys open none of the first ${number(refused)} sessions of Rails (${why}). Use the primary key, salt and hash digest class of config.active_record.encryption. Nothing was changed.`,
    exitCodes.usage,
  );
}
