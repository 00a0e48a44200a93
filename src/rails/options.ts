import { OptionsError } from "../errors.ts";

/** Keys of Active Record encryption, as the Rails application beside this one has them in its configuration. */
export interface RailsKeyOptions {
  /**
   * `config.active_record.encryption.primary_key`. With several, the last encrypts and all are tried in order, as
   * in Rails.
   */
  readonly primaryKey: string | readonly string[];
  /** `config.active_record.encryption.key_derivation_salt`. */
  readonly keyDerivationSalt: string;
  /** `config.active_record.encryption.hash_digest_class`: SHA256 since `load_defaults 7.1`, SHA1 before. */
  readonly hashDigestClass: "SHA256" | "SHA1";
  /** The session model encrypts with `ActiveRecord::Encryption::EnvelopeEncryptionKeyProvider`. Default false. */
  readonly envelope?: boolean;
}

/** The formats and keys of the Rails application beside this one. */
export interface RailsFormatOptions extends RailsKeyOptions {
  /** `config.active_record.encryption.store_key_references`. Default false. Rows with and without are read. */
  readonly storeKeyReferences?: boolean;
  /**
   * Schemes that rows may still be under, tried in order after the present one; nothing is written with them. Each
   * names what differs from the present scheme: `[{ hashDigestClass: "SHA1" }]` is what
   * `support_sha1_for_non_deterministic_encryption` adds. Rails ignores a bare `key:` in its own `previous`; one
   * with a key provider is `{ primaryKey }` here. Default none.
   */
  readonly previous?: readonly Partial<RailsKeyOptions>[];
  /**
   * Reads a row that is no encrypted message as an unencrypted session. Default false, and dangerous: whoever can
   * write to the table, by an injection or a stolen password of the database, then writes sessions and is logged
   * in as anyone. Switch it on only while a table is being encrypted. Data shaped like an encrypted message is
   * never read so: where Rails takes a row under an unknown key for a session with the keys `p` and `h`, it is
   * refused here.
   */
  readonly supportUnencryptedData?: boolean;
  /** Whether sessions of more than 140 bytes are deflated, as Rails does. Reading takes both. Default true. */
  readonly compress?: boolean;
  /** Largest session in bytes, inflated. Default 1 MiB. Rails itself has no limit. */
  readonly maxBytes?: number;
}

/** One scheme with all its parts. */
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

/** @throws {OptionsError} with every problem at once; it never holds a key */
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
  const maxBytes = options.maxBytes ?? 1_048_576;
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

/** Reads a scheme; complains only about parts that `given` itself names, since the others were looked at before. */
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
