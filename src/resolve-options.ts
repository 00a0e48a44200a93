/**
 * Longer than 300 lines: the check of each option stands beside its default.
 */
import { Refusals } from "./audit/refusals.ts";
import { auditProblems } from "./audit/options.ts";
import { resolveDeviceBinding } from "./device-binding/options.ts";
import { Policy } from "./device-binding/policy.ts";
import { KeyRingError, OptionsError } from "./errors.ts";
import { presets, type SessionManagerOptions } from "./options.ts";
import { KeyRing } from "./sealing/keyring.ts";
import { SessionCookie } from "./session/cookie.ts";
import { Defaults } from "./session/defaults.ts";
import type { SessionFormat } from "./session/format.ts";
import { plainAnswer, userIn } from "./session/hooks.ts";
import { nativeFormat } from "./session/native-format.ts";
import { OpenedRows, openingOnce } from "./session/opened.ts";
import { limitProblems } from "./session/session-limits.ts";
import type { Settings } from "./session/settings.ts";
import { milliseconds } from "./shared/duration.ts";

type Options = SessionManagerOptions<never>;

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
  "cacheBytes",
  "maxBytes",
  "onConflict",
  "onUnreadable",
  "userOf",
  "schema",
  "upgrade",
  "client",
  "storeTimeout",
  "maxSessions",
  "onClientChange",
  "audit",
  "deviceBinding",
  "clock",
  "format",
]);

const sealingOptions = ["sealTo", "alsoOpens", "app", "compressAbove", "cacheBytes", "maxBytes"] as const;
const maxTimer = 2 ** 31 - 1;
/** Times of a clock, in milliseconds. Today's time in seconds is less, and in microseconds more. */
const earliest = 1e11;
const latest = 1e14;
const storeMethods = ["read", "insert", "update", "replace", "touch", "delete"] as const;

/**
 * Validates all options and applies the defaults.
 * @throws {OptionsError} listing every problem
 */
export function resolveOptions<Data>(
  given: SessionManagerOptions<Data>,
  environment: string | undefined = process.env["NODE_ENV"],
): Settings {
  if (typeof given !== "object" || given === null) {
    throw new TypeError("createSessionManager requires an options object with at least `store` and `keys`.");
  }
  const options = given as unknown as Options;
  const problems: string[] = [];
  for (const name of Object.keys(options)) {
    if (!known.has(name))
      problems.push(`\`${name}\` is not an option. Valid options: ${[...known].join(", ")}.`);
  }
  checkStore(options, problems);
  const timeouts = timeoutsOf(options, problems);
  checkValues(options, problems);
  if (typeof options.clock === "function") checkClock(options.clock(), problems);
  problems.push(...SessionCookie.problems(options.cookie, environment));
  const cacheBytes = cacheBytesOf(options, problems);
  let format = options.format === undefined ? native(options, problems) : givenFormat(options, problems);

  problems.push(
    ...auditProblems(options.audit),
    ...auditStoreProblems(options),
    ...limitProblems(options.maxSessions, options),
  );
  const deviceBinding = resolveDeviceBinding(options, problems);
  if (problems.length > 0) throw new OptionsError(problems);
  const opened = cacheBytes > 0 ? new OpenedRows(cacheBytes) : null;
  if (opened !== null) format = openingOnce(format!, opened);
  const { clock: time = Date.now, onConflict } = options;
  // Times are stored as integers, and a clock such as performance.timeOrigin + performance.now() has fractions.
  const clock = time === Date.now ? time : () => Math.floor(time());
  const userOf = options.userOf as ((data: Record<string, unknown>) => unknown) | undefined;
  return {
    store: options.store,
    format: format!,
    cookie: new SessionCookie(options.cookie),
    ...timeouts,
    onConflict: onConflict && ((conflict) => plainAnswer("onConflict", onConflict(conflict))),
    onUnreadable: options.onUnreadable ?? "renew",
    userOf: userOf && ((data) => userIn(userOf, data)),
    schema: options.schema,
    defaults: options.schema && new Defaults(options.schema, format!),
    upgrade: options.upgrade,
    client: options.client ?? true,
    onClientChange: options.onClientChange,
    opened,
    maxSessions: options.maxSessions ?? null,
    audit: auditOf(options),
    device: deviceBinding && new Policy(deviceBinding, KeyRing.from(options.keys as string), clock),
    clock,
  };
}

function auditStoreProblems({ audit, store, format }: Options): string[] {
  if (!audit) return [];
  const problems: string[] = [];
  if (format !== undefined)
    problems.push("`audit` requires `keys`, so it cannot be combined with `format`: see docs/rails.md.");
  if (store && store.audit === undefined) {
    problems.push(
      "`audit` requires a store with an audit trail: sqliteStore(…), postgresStore(…), mysqlStore(…) or memoryStore(). See docs/audit.md.",
    );
  }
  return problems;
}

function auditOf({ audit, keys, app = "" }: Options): Settings["audit"] {
  if (!audit) return null;
  return {
    options: audit === true ? {} : audit,
    keys: KeyRing.from(keys as string),
    app,
    refusals: new Refusals(),
  };
}

function checkStore({ store }: Options, problems: string[]): void {
  if (typeof store !== "object" || store === null) {
    problems.push(
      "`store` is missing: pass sqliteStore(…), postgresStore(…), mysqlStore(…) or memoryStore().",
    );
    return;
  }
  const missing = storeMethods.filter((method) => typeof store[method] !== "function");
  if (missing.length > 0) {
    problems.push(
      `\`store\` is not a session store of this package: it lacks ${missing.join(", ")}. Pass sqliteStore(…), postgresStore(…), mysqlStore(…) or memoryStore().`,
    );
  }
}

function timeoutsOf(
  options: Options,
  problems: string[],
): Pick<Settings, "idleTimeout" | "absoluteTimeout" | "touchEvery" | "storeTimeout"> {
  const duration = (
    name: "idleTimeout" | "absoluteTimeout" | "touchEvery" | "storeTimeout",
    least: number,
  ) => {
    const given = options[name];
    if (given === undefined) return undefined;
    const value = milliseconds(given);
    if (value !== null && value >= least) return value;
    const floor = least === 0 ? "0 or more" : "more than 0";
    problems.push(
      `\`${name}\` is ${JSON.stringify(given)}: use milliseconds (${floor}) or text such as "15 min", "12 h", "30 days".`,
    );
    return undefined;
  };

  let preset: { idle: number; absolute: number } | undefined;
  if (options.preset !== undefined) {
    if (Object.hasOwn(presets, options.preset)) preset = presets[options.preset];
    else
      problems.push(
        `\`preset\` is ${JSON.stringify(options.preset)}: use ${Object.keys(presets).join(", ")}.`,
      );
  }
  const limits = preset ?? presets.aal1;
  const absoluteTimeout = duration("absoluteTimeout", 1) ?? limits.absolute;
  const idleTimeout = duration("idleTimeout", 1) ?? Math.min(limits.idle, absoluteTimeout);
  if (preset !== undefined && (idleTimeout > preset.idle || absoluteTimeout > preset.absolute)) {
    problems.push(
      `\`idleTimeout\` and \`absoluteTimeout\` must not exceed those of preset "${options.preset}" (${preset.idle} ms and ${preset.absolute} ms). Shorten them, or leave out \`preset\`.`,
    );
  }
  if (idleTimeout > absoluteTimeout) {
    problems.push(
      "`idleTimeout` is longer than `absoluteTimeout`, so it would never take effect. Shorten it.",
    );
  }
  const touchEvery = duration("touchEvery", 0) ?? Math.min(Math.floor(idleTimeout / 20), 3_600_000);
  if (touchEvery >= idleTimeout) {
    problems.push("`touchEvery` must be shorter than `idleTimeout`; otherwise sessions expire while in use.");
  }
  const storeTimeout = duration("storeTimeout", 1) ?? 5_000;
  if (storeTimeout > maxTimer) problems.push(`\`storeTimeout\` must be at most ${maxTimer} ms.`);
  return { idleTimeout, absoluteTimeout, touchEvery, storeTimeout };
}

/** Checks the types of the other options. */
function checkValues(options: Options, problems: string[]): void {
  const oneOf = (name: "sealTo" | "alsoOpens" | "onUnreadable", choices: readonly string[]) => {
    const given = options[name];
    if (given !== undefined && !choices.includes(given)) {
      problems.push(
        `\`${name}\` is ${JSON.stringify(given)}: use ${choices.map((c) => `"${c}"`).join(" or ")}.`,
      );
    }
  };
  oneOf("sealTo", ["keys", "cookie"]);
  oneOf("alsoOpens", ["keys", "cookie"]);
  oneOf("onUnreadable", ["renew", "throw"]);
  for (const name of ["onConflict", "onClientChange", "userOf", "upgrade", "clock"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "function") {
      problems.push(`\`${name}\` must be a function.`);
    }
  }
  if (options.onClientChange !== undefined && (options.client === false || options.format !== undefined)) {
    problems.push(
      "`onClientChange` requires the clients that sessions record: it cannot be combined with `client: false` or `format`.",
    );
  }
  if (options.client !== undefined && typeof options.client !== "boolean") {
    problems.push("`client` must be true or false.");
  }
  if (options.schema !== undefined && typeof options.schema?.["~standard"]?.validate !== "function") {
    problems.push(
      "`schema` must be a Standard Schema, such as one from Zod 3.24+, Valibot 1+ or ArkType 2+.",
    );
  }
  if (options.upgrade !== undefined && options.schema === undefined) {
    problems.push("`upgrade` requires `schema`: it is called only for data that does not fit the schema.");
  }
}

/** Checks a time that the clock returned. One in seconds, or too fine, would end no session, or all of them. */
function checkClock(now: unknown, problems: string[]): void {
  const remedy = "It must return milliseconds since the epoch, as Date.now() does.";
  if (typeof now !== "number" || Number.isNaN(now)) {
    const kind =
      now instanceof Date ? "a Date" : typeof now === "number" ? "NaN" : `a value of type ${typeof now}`;
    problems.push(`\`clock\` returned ${kind}. ${remedy}`);
  } else if (now < earliest) {
    problems.push(
      `\`clock\` returned ${now}, a time before ${yearOf(earliest)}: these may be seconds. ${remedy}`,
    );
  } else if (now > latest) {
    problems.push(
      `\`clock\` returned ${now}, a time after ${yearOf(latest)}: these may be microseconds. ${remedy}`,
    );
  }
}

function yearOf(time: number): number {
  return new Date(time).getUTCFullYear();
}

/** The size of the cache of the native format; a format that is given has none. */
function cacheBytesOf({ format, sealTo, alsoOpens, cacheBytes }: Options, problems: string[]): number {
  if (format !== undefined) return 0;
  const isToCookie = sealTo === "cookie" || alsoOpens === "cookie";
  const bytes = cacheBytes ?? (isToCookie ? 0 : 16_777_216);
  if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
  problems.push("`cacheBytes` must be a whole number of bytes, 0 or more. 0 turns the cache off.");
  return 0;
}

/** Creates the native format. Returns undefined if any option has a problem. */
function native(options: Options, problems: string[]): SessionFormat | undefined {
  const { app = "", compressAbove = 1024, maxBytes = 1_048_576, sealTo = "keys", alsoOpens } = options;
  if (alsoOpens === sealTo) {
    problems.push(
      `\`alsoOpens\` and \`sealTo\` are both ${JSON.stringify(alsoOpens)}: set \`alsoOpens\` to the previous value of \`sealTo\`, or leave it out.`,
    );
  }
  if (typeof app !== "string" || !app.isWellFormed()) problems.push("`app` must be a well-formed string.");
  if (compressAbove !== false && !(Number.isSafeInteger(compressAbove) && compressAbove >= 0)) {
    problems.push("`compressAbove` must be false or a whole number of bytes, 0 or more.");
  }
  if (!(Number.isSafeInteger(maxBytes) && maxBytes >= 64 && maxBytes <= 2 ** 30)) {
    problems.push("`maxBytes` must be a whole number of bytes from 64 to 1,073,741,824.");
  }
  let keys: KeyRing;
  try {
    keys = KeyRing.from(options.keys as string);
  } catch (error) {
    if (!(error instanceof KeyRingError)) throw error;
    problems.push(`\`keys\`: ${error.message}`);
    return undefined;
  }
  if (problems.length > 0) return undefined;
  return nativeFormat({ keys, app, sealTo, alsoOpens, compressAbove, maxBytes });
}

function givenFormat(options: Options, problems: string[]): SessionFormat | undefined {
  if (options.keys !== undefined)
    problems.push("`keys` cannot be combined with `format`, which has its own keys. Leave out one of them.");
  for (const name of sealingOptions) {
    if (options[name] !== undefined)
      problems.push(`\`${name}\` applies to the native format only. Leave it out when \`format\` is set.`);
  }
  return options.format;
}
