import type { AuditOptions } from "./audit/options.ts";
import type { DeviceBindingOptions } from "./device-binding/options.ts";
import type { KeyRing } from "./sealing/keyring.ts";
import type { CookieOptions } from "./session/cookie.ts";
import type { SessionData } from "./session/data.ts";
import type { OnClientChange } from "./session/client-answer.ts";
import type { SessionFormat } from "./session/format.ts";
import type { Conflict } from "./session/settings.ts";
import type { StandardSchema } from "./session/standard-schema.ts";
import type { Duration } from "./shared/duration.ts";
import type { SessionStore } from "./store/contract.ts";

export type { Duration } from "./shared/duration.ts";

/** Idle and absolute timeouts in milliseconds, by the name of the standard that sets them (R15). */
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

/** Options of `createSessionManager`. A duration is a number of milliseconds or a string such as "15 min" or "30 days". */
export interface SessionManagerOptions<Data = SessionData, Input = unknown> {
  /** Where sessions live: `sqliteStore(…)`, `postgresStore(…)`, `mysqlStore(…)` or `memoryStore()`. Required. */
  store: SessionStore;
  /**
   * The key ring: 1 to 8 master keys in text form (`ssk1_…`, from `generateKey()`), newest first, as an array or a
   * comma-separated string. The first key seals; every key opens. Required unless `format` supplies its own keys.
   */
  keys?: string | readonly string[] | KeyRing | undefined;
  /** The timeouts of a standard. `idleTimeout` and `absoluteTimeout` may shorten them, not extend them. */
  preset?: keyof typeof presets;
  /** A session expires after this long without a request. Default 30 days. */
  idleTimeout?: Duration;
  /** A session expires this long after its creation or last login, even if it is in use. Default 30 days. */
  absoluteTimeout?: Duration;
  /**
   * How often a session that is only read extends its idle timeout, at most. A longer interval means fewer writes and
   * an idle timeout that is less exact by up to that interval. Default: 1/20 of `idleTimeout`, at most 1 hour.
   */
  touchEvery?: Duration;
  /** Name and attributes of the session cookie. See {@link CookieOptions} for the defaults. */
  cookie?: CookieOptions;
  /**
   * What a row is encrypted to. "keys" (default): the key ring opens every row, so operators can export sessions and
   * reseal them in the background. "cookie": opening a row also takes its user's cookie; the database and the server
   * keys together are not enough. Changing this option ends every session unless `alsoOpens` is set.
   */
  sealTo?: "keys" | "cookie";
  /**
   * The other value of `sealTo`, for the transition from one to the other (docs/key-rotation.md): rows sealed that way
   * still open, and their next save seals them as `sealTo` says. Default: only rows sealed as `sealTo` says open.
   */
  alsoOpens?: "keys" | "cookie" | undefined;
  /** A name authenticated with every row, so that applications sharing keys cannot open each other's rows. Default "". */
  app?: string;
  /**
   * Sessions larger than this many bytes are compressed (deflate) before encryption; `false` turns compression off.
   * Default 1,024. Compression can leak a secret (CRIME) if an attacker can place text in the same session and observe
   * the length of the row. Use `false` in that case.
   */
  compressAbove?: number | false;
  /**
   * Memory in bytes for the contents of recently decrypted sessions, so that a process decrypts each version of a session
   * once. 0 turns the cache off. Every request still reads its row, so a logout, a revocation, an expiry and an
   * edited row take effect at the next request. The contents stay in the process's memory in plaintext until newer ones
   * replace them, the session ends, or `close()`. Default 16,777,216 (16 MiB); 0 with `sealTo` or `alsoOpens` "cookie".
   */
  cacheBytes?: number;
  /** Maximum size of an encoded session in bytes. A larger session fails its commit. Default 1,048,576 (1 MiB). */
  maxBytes?: number;
  /**
   * Resolves a conflict: two requests changed the same key of `data`. Return the value to keep, return undefined to
   * delete the key, or throw to fail the commit. Must be synchronous. Default: the later commit wins.
   */
  onConflict?: (conflict: Conflict) => unknown;
  /**
   * What happens when a row cannot be opened. "renew" (default): a `refuse` event is published and the request gets a
   * new session. "throw": accessing the session throws the RefusedError (status 500). `session.destroy()` works in both
   * cases.
   */
  onUnreadable?: "renew" | "throw";
  /**
   * Derives the user from the session's data at each commit, for applications that store the user there (Passport).
   * A synchronous function that returns a non-empty string, a safe integer or a bigint, or null or undefined for an
   * anonymous session.
   *
   * If the result differs from that for the stored data, the commit is a login: the session gets a new id and both
   * timeouts restart. Its data is kept if the session was anonymous; otherwise only the keys that this request set or
   * changed are kept. `session.login` must name the same user. A session that was logged in by `session.login` alone,
   * before the application had a `userOf`, keeps its user until a request changes what `userOf` reads. Default: the
   * user given to `session.login`.
   */
  userOf?: (data: Partial<Data>) => string | number | bigint | null | undefined;
  /**
   * A Standard Schema (Zod, Valibot, ArkType, …) that validates data when it is loaded and when it is saved. If `{}` is
   * valid input, its output (the defaults of the keys) is the initial data of a new session and of one that starts over
   * after `reset` or the login of another user. A session that holds nothing but defaults is not saved.
   *
   * Defaults are evaluated for each session. An asynchronous schema cannot be evaluated when a session starts over
   * during a request; such a session gets the defaults that were evaluated when the request loaded it.
   */
  schema?: StandardSchema<Input, Data>;
  /**
   * Converts stored data that no longer fits `schema` to the current shape. The result is validated again. If it
   * throws, the row counts as unreadable: see `onUnreadable`.
   */
  upgrade?: (old: unknown) => unknown;
  /** Whether to store the address and user agent with each session, encrypted, for device lists. Default true. */
  client?: boolean;
  /**
   * How many live sessions a user may have. At the limit, a login ends the user's oldest sessions ("endOldest"), or is
   * refused: `commit` rejects with a TooManySessionsError ("refuse"). It is decided in the transaction of the login, so that
   * any number of parallel logins, in any number of processes, leaves no more than `count` (docs/session-limits.md).
   * Default: any number.
   */
  maxSessions?: { readonly count: number; readonly onLimit: "endOldest" | "refuse" };
  /**
   * Called when a logged-in session is used with another address or user agent than recorded, and returns what happens:
   * "allow" (default) records the new client; "elevate" also makes the session not fresh, without a level, until the next
   * `elevate` or `login`; "end" ends it, and the request goes on anonymous (docs/client-changes.md). If it throws, or
   * does not answer within `storeTimeout`, the session goes on. Default: changes are not looked for.
   */
  onClientChange?: OnClientChange;
  /** Deadline for a store operation. Past it, the operation fails with a StoreTimeoutError. Default 5 seconds. */
  storeTimeout?: Duration;
  /**
   * Records logins, logouts, revocations and every other beginning and end of a session in the database: encrypted, chained
   * and signed, so that edited, deleted and forged events are detected (docs/audit.md). Default false. Requires `keys` and
   * a store that has an audit trail: those of this package, apart from that of Rails.
   */
  audit?: boolean | AuditOptions;
  /**
   * Binds logins to the device of their user, so that a stolen cookie is useless elsewhere: device-bound session
   * credentials (DBSC), in browsers that support them (docs/device-binding.md). Default: off. Requires `keys`, HTTPS, a cookie
   * of one host, and an adapter that answers `path`: every one of this package apart from the drop-in stores and Better Auth.
   */
  deviceBinding?: DeviceBindingOptions;
  /**
   * Returns the current time in milliseconds since the epoch, a number; fractions are dropped. It is checked once, when
   * the manager is created. Default `Date.now`.
   */
  clock?: () => number;
  /** The format of tokens and rows, such as that of Rails mode. Default: the native format (docs/formats.md). */
  format?: SessionFormat;
}
