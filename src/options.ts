import type { SessionStore } from "./store/contract.ts";
import { OptionsError, KeyRingError } from "./errors.ts";
import { KeyRing } from "./sealing/keyring.ts";
import { SessionCookie, type CookieOptions } from "./session/cookie.ts";
import type { SessionData } from "./session/data.ts";
import { Defaults } from "./session/defaults.ts";
import { milliseconds, type Duration } from "./shared/duration.ts";
import type { SessionFormat } from "./session/format.ts";
import { plainAnswer, userIn } from "./session/hooks.ts";
import { nativeFormat } from "./session/native-format.ts";
import type { StandardSchema } from "./session/standard-schema.ts";
import type { Conflict, Settings } from "./session/settings.ts";

export type { Duration } from "./shared/duration.ts";

/** Idle and absolute limits by the name of a standard (R15). */
export const presets: Readonly<Record<"aal1" | "aal2" | "aal3" | "pci", { idle: number; absolute: number }>> =
  {
    /** NIST SP 800-63B-4 AAL1: 30 days. */
    aal1: { idle: 30 * 86_400_000, absolute: 30 * 86_400_000 },
    /** NIST SP 800-63B-4 AAL2: 1 hour idle, 24 hours. */
    aal2: { idle: 3_600_000, absolute: 86_400_000 },
    /** NIST SP 800-63B-4 AAL3: 15 minutes idle, 12 hours. */
    aal3: { idle: 15 * 60_000, absolute: 43_200_000 },
    /** PCI DSS 4.0 §8.2.8: 15 minutes idle; 12 hours. */
    pci: { idle: 15 * 60_000, absolute: 43_200_000 },
  };

/** Every option of `createSessionManager`. Durations are milliseconds or text such as "15 min", "30 days". */
export interface SessionManagerOptions<Data = SessionData, Input = unknown> {
  /** Where sessions live: `sqliteStore(…)`, `postgresStore(…)`, `mysqlStore(…)` or `memoryStore()`. Required. */
  store: SessionStore;
  /**
   * The key ring: 1 to 8 master keys in their written form (`ssk1_…`, from `generateKey()`), newest first, in an
   * array or comma-separated. The first seals, all open. Required, unless `format` brings its own keys.
   */
  keys?: string | readonly string[] | KeyRing | undefined;
  /** Limits of a standard by name. `idleTimeout` and `absoluteTimeout` may then only be shorter. */
  preset?: keyof typeof presets;
  /** A session ends when nobody used it for this long. Default 30 days. */
  idleTimeout?: Duration;
  /** A session ends this long after it was created or logged in, whatever its use. Default 30 days. */
  absoluteTimeout?: Duration;
  /**
   * A session that is only read moves its idle limit at most this often. Default: a twentieth of the idle timeout,
   * at most 1 hour. Longer means fewer writes and an idle limit that is that much less exact.
   */
  touchEvery?: Duration;
  /** Name and attributes of the cookie, each with its default: see {@link CookieOptions}. */
  cookie?: CookieOptions;
  /**
   * "keys" (default): the key ring opens every row, so that operators can export, and rows are resealed in the
   * background. "cookie": a row opens only with its user's cookie; database and server keys together open nothing.
   * Changing it alone ends every session: `alsoOpens` keeps them.
   */
  sealTo?: "keys" | "cookie";
  /**
   * The other value of `sealTo`: rows that were sealed that way open as well, and the next save seals them as `sealTo`
   * says. For the time of a change (docs/key-rotation.md). Default: only what is sealed as `sealTo` says opens.
   */
  alsoOpens?: "keys" | "cookie" | undefined;
  /** A name bound into every seal, so that applications which share keys cannot read each other's rows. Default "". */
  app?: string;
  /**
   * Sessions above this many bytes are deflated before they are sealed; `false` never. Default 1,024. Where an
   * attacker can put text beside a secret into one session and see the row's length, compression tells about the
   * secret (the CRIME side channel): use `false` there.
   */
  compressAbove?: number | false;
  /** Largest encoded session in bytes. Default 1,048,576 (1 MiB). */
  maxBytes?: number;
  /**
   * Decides when two requests changed the same key of `data`: returns the value to keep, undefined to delete the
   * key, or throws to fail the commit. Default: the later commit wins.
   */
  onConflict?: (conflict: Conflict) => unknown;
  /**
   * What becomes of a row that does not open. "renew" (default): a `refuse` event, and a fresh session. "throw":
   * the RefusedError (status 500) reaches whoever looks at the session. `session.destroy()` works with both.
   */
  onUnreadable?: "renew" | "throw";
  /**
   * The user of a session, taken from its data at each commit, for applications that keep it there (Passport). A
   * plain function that returns a non-empty string, a safe integer or a bigint; null or undefined for nobody.
   *
   * When it finds another user than in the stored data, the commit is a login: new id, both limits start again, and
   * data is kept only if nobody was logged in; otherwise the session starts with the keys that this request set or
   * changed. `session.login` must name the same user. A session whose user only a login named, before the application
   * had a `userOf`, keeps that user until a request changes what `userOf` reads. Default: the user given to
   * `session.login`.
   */
  userOf?: (data: Partial<Data>) => string | number | bigint | null | undefined;
  /**
   * A Standard Schema (Zod, Valibot, ArkType, …) that data must fit when it is loaded and when it is saved. A new session
   * begins with what the schema makes of `{}`, where that fits: the defaults of its keys. So does one that starts over,
   * by `reset` or the login of another user. A session that holds nothing else is not saved.
   *
   * The defaults are evaluated anew each time. A schema that answers with a promise cannot be asked when a session
   * starts over: it then begins with the defaults that were evaluated when the request loaded it.
   */
  schema?: StandardSchema<Input, Data>;
  /**
   * SerialQueue stored data that no longer fits `schema` into the shape of today; what it returns is validated again. One
   * that throws has refused the row: see `onUnreadable`.
   */
  upgrade?: (old: unknown) => unknown;
  /** Keep address and user agent with each session, sealed, for lists of devices. Default true. */
  client?: boolean;
  /** The store must answer within this. Default 5 seconds. */
  storeTimeout?: Duration;
  /** The time, in milliseconds since the epoch; fractions are dropped. Default `Date.now`. */
  clock?: () => number;
  /** Another format of tokens and rows, such as that of Rails mode. Default: this package's own. */
  format?: SessionFormat;
}

const known = new Set([
  "store",
  "keys",
  "preset",
  "idleTimeout",
  "absoluteTimeout",
  "touchEvery",
  "cookie",
  "sealTo",
  "alsoOpens",
  "app",
  "compressAbove",
  "maxBytes",
  "onConflict",
  "onUnreadable",
  "userOf",
  "schema",
  "upgrade",
  "client",
  "storeTimeout",
  "clock",
  "format",
]);

const sealingOptions = ["sealTo", "alsoOpens", "app", "compressAbove", "maxBytes"] as const;
const maxTimer = 2 ** 31 - 1;
const storeMethods = ["read", "insert", "update", "replace", "touch", "delete"] as const;

/**
 * Checks every option and fills in the defaults.
 * @throws {OptionsError} with all problems at once
 */
export function resolveOptions<Data>(
  options: SessionManagerOptions<Data>,
  environment: string | undefined = process.env["NODE_ENV"],
): Settings {
  if (typeof options !== "object" || options === null) {
    throw new TypeError("createSessionManager takes an object with at least `store` and `keys`.");
  }
  const problems: string[] = [];

  for (const name of Object.keys(options)) {
    if (!known.has(name))
      problems.push(`\`${name}\` is not an option. The options are: ${[...known].join(", ")}.`);
  }

  const { store } = options;
  if (typeof store !== "object" || store === null) {
    problems.push(
      "`store` is missing: pass sqliteStore(…), postgresStore(…), mysqlStore(…) or memoryStore().",
    );
  } else {
    const missing = storeMethods.filter((method) => typeof store[method] !== "function");
    if (missing.length > 0) {
      problems.push(
        `\`store\` is no session store: it has no ${missing.join(", ")}. Is it another library's?`,
      );
    }
  }

  const duration = (
    name: "idleTimeout" | "absoluteTimeout" | "touchEvery" | "storeTimeout",
    least: number,
  ) => {
    const given = options[name];
    if (given === undefined) return undefined;
    const value = milliseconds(given);
    if (value === null || value < least) {
      const floor = least === 0 ? "0 or more" : "more than 0";
      problems.push(
        `\`${name}\` is ${JSON.stringify(given)}: use milliseconds (${floor}) or text such as "15 min", "12 h", "30 days".`,
      );
      return undefined;
    }
    return value;
  };
  const oneOf = <Name extends "sealTo" | "alsoOpens" | "onUnreadable">(
    name: Name,
    choices: readonly string[],
  ) => {
    const given = options[name];
    if (given !== undefined && !choices.includes(given)) {
      problems.push(
        `\`${name}\` is ${JSON.stringify(given)}: use ${choices.map((c) => `"${c}"`).join(" or ")}.`,
      );
    }
  };
  const hook = (name: "onConflict" | "userOf" | "upgrade" | "clock") => {
    if (options[name] !== undefined && typeof options[name] !== "function") {
      problems.push(`\`${name}\` must be a function.`);
    }
  };

  let preset: { idle: number; absolute: number } | undefined;
  if (options.preset !== undefined) {
    if (Object.hasOwn(presets, options.preset)) preset = presets[options.preset];
    else
      problems.push(
        `\`preset\` is ${JSON.stringify(options.preset)}: use ${Object.keys(presets).join(", ")}.`,
      );
  }
  const { clock = Date.now } = options;
  const limits = preset ?? presets.aal1;
  const absoluteTimeout = duration("absoluteTimeout", 1) ?? limits.absolute;
  const idleTimeout = duration("idleTimeout", 1) ?? Math.min(limits.idle, absoluteTimeout);
  if (preset !== undefined && (idleTimeout > preset.idle || absoluteTimeout > preset.absolute)) {
    problems.push(
      `\`idleTimeout\` and \`absoluteTimeout\` may not be longer than preset "${options.preset}" allows (${preset.idle} ms and ${preset.absolute} ms).`,
    );
  }
  if (idleTimeout > absoluteTimeout) {
    problems.push("`idleTimeout` is longer than `absoluteTimeout`: it would never be reached.");
  }
  const touchEvery = duration("touchEvery", 0) ?? Math.min(Math.floor(idleTimeout / 20), 3_600_000);
  if (touchEvery >= idleTimeout) {
    problems.push("`touchEvery` must be shorter than `idleTimeout`, or sessions in use would end.");
  }
  const storeTimeout = duration("storeTimeout", 1) ?? 5_000;
  if (storeTimeout > maxTimer) problems.push(`\`storeTimeout\` is at most ${maxTimer} ms.`);

  oneOf("sealTo", ["keys", "cookie"]);
  oneOf("alsoOpens", ["keys", "cookie"]);
  oneOf("onUnreadable", ["renew", "throw"]);
  hook("onConflict");
  hook("userOf");
  hook("upgrade");
  hook("clock");
  if (options.client !== undefined && typeof options.client !== "boolean") {
    problems.push("`client` must be true or false.");
  }
  if (options.schema !== undefined && typeof options.schema?.["~standard"]?.validate !== "function") {
    problems.push(
      "`schema` must be a Standard Schema (Zod 3.24+, Valibot 1+, ArkType 2+ and others make one).",
    );
  }
  if (options.upgrade !== undefined && options.schema === undefined) {
    problems.push("`upgrade` needs a `schema`: it is called for data that does not fit one.");
  }
  problems.push(...SessionCookie.problems(options.cookie, environment));

  let format = options.format;
  if (format === undefined) {
    const { app = "", compressAbove = 1024, maxBytes = 1_048_576, sealTo = "keys", alsoOpens } = options;
    if (alsoOpens === sealTo) {
      problems.push(
        `\`alsoOpens\` is ${JSON.stringify(alsoOpens)}, as \`sealTo\` is: give it the other value while \`sealTo\` changes, or leave it out.`,
      );
    }
    if (typeof app !== "string" || !app.isWellFormed()) problems.push("`app` must be text.");
    if (compressAbove !== false && !(Number.isSafeInteger(compressAbove) && compressAbove >= 0)) {
      problems.push("`compressAbove` must be a number of bytes, 0 or more, or false.");
    }
    if (!(Number.isSafeInteger(maxBytes) && maxBytes >= 64 && maxBytes <= 2 ** 30)) {
      problems.push("`maxBytes` must be a number of bytes from 64 to 1,073,741,824.");
    }
    let keys: KeyRing | undefined;
    try {
      keys = KeyRing.from(options.keys as string);
    } catch (error) {
      if (!(error instanceof KeyRingError)) throw error;
      problems.push(`\`keys\`: ${error.message}`);
    }
    if (keys !== undefined && problems.length === 0) {
      format = nativeFormat({ keys, app, sealTo, alsoOpens, compressAbove, maxBytes });
    }
  } else {
    if (options.keys !== undefined)
      problems.push("`keys` and `format` exclude each other: the format has its own keys.");
    for (const name of sealingOptions) {
      if (options[name] !== undefined)
        problems.push(`\`${name}\` is an option of the native format, not of \`format\`.`);
    }
  }

  if (problems.length > 0) throw new OptionsError(problems);
  const { onConflict } = options;
  const userOf = options.userOf as ((data: Record<string, unknown>) => unknown) | undefined;
  return {
    store,
    format: format!,
    cookie: new SessionCookie(options.cookie),
    idleTimeout,
    absoluteTimeout,
    touchEvery,
    onConflict: onConflict && ((conflict) => plainAnswer("onConflict", onConflict(conflict))),
    onUnreadable: options.onUnreadable ?? "renew",
    userOf: userOf && ((data) => userIn(userOf, data)),
    schema: options.schema,
    defaults: options.schema && new Defaults(options.schema, format!),
    upgrade: options.upgrade,
    client: options.client ?? true,
    storeTimeout,
    // Times are stored as integers; performance.timeOrigin + performance.now(), say, has fractions.
    clock: clock === Date.now ? clock : () => Math.floor(clock()),
  };
}
