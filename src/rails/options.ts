import { OptionsError } from "../errors.ts";

/** The Active Record encryption keys from the configuration of the Rails application. */
export interface RailsKeyOptions {
  /**
   * `config.active_record.encryption.primary_key`. With several, the last encrypts and all are tried in order, as in
   * Rails.
   */
  readonly primaryKey: string | readonly string[];
  /** `config.active_record.encryption.key_derivation_salt`. */
  readonly keyDerivationSalt: string;
  /** `config.active_record.encryption.hash_digest_class`: SHA256 since `load_defaults 7.1`, SHA1 before. */
  readonly hashDigestClass: "SHA256" | "SHA1";
  /** The session model encrypts with `ActiveRecord::Encryption::EnvelopeEncryptionKeyProvider`. Default false. */
  readonly envelope?: boolean;
}

/** The formats and keys of the Rails application. */
export interface RailsFormatOptions extends RailsKeyOptions {
  /**
   * `config.active_record.encryption.store_key_references`. Default false. Rows are read with and without references.
   */
  readonly storeKeyReferences?: boolean;
  /**
   * Earlier schemes of existing rows, tried in order after the current one and never used for writing. Each names only
   * what differs from the current scheme: `[{ hashDigestClass: "SHA1" }]` corresponds to
   * `support_sha1_for_non_deterministic_encryption`. Rails ignores a bare `key:` in its own `previous`; one with a key
   * provider is `{ primaryKey }` here. Default none.
   */
  readonly previous?: readonly Partial<RailsKeyOptions>[];
  /**
   * Whether to read a row that is not an encrypted message as an unencrypted session. Default false, because it is
   * dangerous: anyone who can write to the table (SQL injection, a stolen database password) can create sessions and be
   * logged in as any user. Use it only while a table is being encrypted. Data shaped like an encrypted message is never
   * read this way: Rails reads a row under an unknown key as a session with the keys `p` and `h`; here it is refused.
   */
  readonly supportUnencryptedData?: boolean;
  /** Whether to compress sessions of more than 140 bytes, as Rails does. Both forms are read. Default true. */
  readonly compress?: boolean;
  /** Maximum uncompressed size of a session in bytes. Default 1 MiB. Rails itself has no limit. */
  readonly maxBytes?: number;
}

/** A complete scheme. */
export interface RailsScheme {
  readonly primaryKeys: readonly string[];
  readonly keyDerivationSalt: string;
  readonly hashDigestClass: "SHA256" | "SHA1";
  readonly envelope: boolean;
}

export interface RailsConfiguration {
  readonly scheme: RailsScheme;
  readonly previous: readonly RailsScheme[];
  readonly storeKeyReferences: boolean;
  readonly supportUnencryptedData: boolean;
  readonly compress: boolean;
  readonly maxBytes: number;
}

const KEY_NAMES = ["primaryKey", "keyDerivationSalt", "hashDigestClass", "envelope"];
const NAMES = [
  ...KEY_NAMES,
  "storeKeyReferences",
  "previous",
  "supportUnencryptedData",
  "compress",
  "maxBytes",
];

/** @throws {OptionsError} listing every problem; never contains a key */
export function readRailsOptions(options: RailsFormatOptions): RailsConfiguration {
  const problems: string[] = [];
  if (typeof options !== "object" || options === null) {
    throw new OptionsError([
      "railsFormat needs an object with primaryKey, keyDerivationSalt and hashDigestClass.",
    ]);
  }
  unknownNames(options, NAMES, "", problems);
  for (const name of ["storeKeyReferences", "supportUnencryptedData", "compress"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "boolean") {
      problems.push(`${name} must be true or false.`);
    }
  }
  const { maxBytes = 1_048_576 } = options;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1024) {
    problems.push("maxBytes must be a whole number of bytes, at least 1024.");
  }
  const previous = options.previous ?? [];
  if (!Array.isArray(previous)) problems.push("previous must be an array of schemes.");
  const scheme = readScheme(options, "", problems);
  const schemes = (Array.isArray(previous) ? previous : []).map((entry: unknown, index) => {
    const at = `previous[${index}].`;
    if (typeof entry !== "object" || entry === null) {
      problems.push(`previous[${index}] must be an object that names what differs from the present scheme.`);
      return scheme;
    }
    unknownNames(entry, KEY_NAMES, at, problems);
    return readScheme({ ...options, ...entry }, at, problems, entry);
  });
  if (problems.length > 0) throw new OptionsError(problems);
  return {
    scheme,
    previous: schemes,
    storeKeyReferences: options.storeKeyReferences ?? false,
    supportUnencryptedData: options.supportUnencryptedData ?? false,
    compress: options.compress ?? true,
    maxBytes,
  };
}

/** Reads a scheme. Reports only problems of parts that `given` itself names, because the others were checked before. */
function readScheme(options: RailsKeyOptions, at: string, problems: string[], given?: object): RailsScheme {
  const complain = (name: keyof RailsKeyOptions, message: string): void => {
    if (given === undefined || Object.hasOwn(given, name)) problems.push(`${at}${name} ${message}`);
  };
  const primaryKeys = typeof options.primaryKey === "string" ? [options.primaryKey] : options.primaryKey;
  const areKeys = Array.isArray(primaryKeys) && primaryKeys.length > 0 && primaryKeys.every(isText);
  if (!areKeys)
    complain("primaryKey", "must be active_record.encryption.primary_key of Rails: a text, or several.");
  else if (new Set(primaryKeys).size < primaryKeys.length) complain("primaryKey", "names a key twice.");
  if (!isText(options.keyDerivationSalt)) {
    complain("keyDerivationSalt", "must be active_record.encryption.key_derivation_salt of Rails: a text.");
  }
  if (options.hashDigestClass !== "SHA256" && options.hashDigestClass !== "SHA1") {
    complain("hashDigestClass", 'must be "SHA256" (Rails since load_defaults 7.1) or "SHA1" (before).');
  }
  if (options.envelope !== undefined && typeof options.envelope !== "boolean") {
    complain("envelope", "must be true or false.");
  }
  return {
    primaryKeys: areKeys ? primaryKeys : [],
    keyDerivationSalt: options.keyDerivationSalt,
    hashDigestClass: options.hashDigestClass,
    envelope: options.envelope ?? false,
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function unknownNames(options: object, known: readonly string[], at: string, problems: string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      problems.push(`${at}${name} is no option of railsFormat; there are: ${known.join(", ")}.`);
  }
}
