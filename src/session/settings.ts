import type { SessionStore } from "../store/contract.ts";
import type { SessionLimit } from "../store/session-limit.ts";
import type { AuditOptions } from "../audit/options.ts";
import type { Refusals } from "../audit/refusals.ts";
import type { KeyRing } from "../sealing/keyring.ts";
import type { OnClientChange } from "./client-answer.ts";
import type { DevicePolicy } from "./device-policy.ts";
import type { SessionFormat } from "./format.ts";
import type { SessionCookie } from "./cookie.ts";
import type { Defaults } from "./defaults.ts";
import type { OpenedRows } from "./opened.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** Two requests changed the same key of `data`. */
export interface Conflict {
  readonly key: string;
  /** The value this request loaded; undefined if the key was absent. */
  readonly base: unknown;
  /** The value this request is saving; undefined if it deleted the key. */
  readonly mine: unknown;
  /** The value another request saved in between; undefined if it deleted the key. */
  readonly theirs: unknown;
}

/** Validated options with defaults applied. Durations are in milliseconds. */
export interface Settings {
  readonly store: SessionStore;
  readonly format: SessionFormat;
  readonly cookie: SessionCookie;
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  readonly touchEvery: number;
  /** Throws a TypeError if the hook returns a promise. */
  readonly onConflict: ((conflict: Conflict) => unknown) | undefined;
  readonly onUnreadable: "renew" | "throw";
  /** Throws a TypeError if the hook returns a promise or an invalid user id. */
  readonly userOf: ((data: Record<string, unknown>) => string | undefined) | undefined;
  readonly schema: StandardSchema<unknown, unknown> | undefined;
  /** The defaults of `schema`. */
  readonly defaults: Defaults | undefined;
  readonly upgrade: ((old: unknown) => unknown) | undefined;
  readonly client: boolean;
  readonly onClientChange: OnClientChange | undefined;
  /** What rows hold that were opened of late; null where nothing is to be kept. */
  readonly opened: OpenedRows | null;
  readonly storeTimeout: number;
  /** Live sessions of a user; null for any number. */
  readonly maxSessions: Pick<SessionLimit, "count" | "onLimit"> | null;
  /** The audit trail; null if it is off. */
  readonly audit: {
    readonly options: AuditOptions;
    readonly keys: KeyRing;
    readonly app: string;
    readonly refusals: Refusals;
  } | null;
  /** Device-bound sessions; null if they are off. */
  readonly device: DevicePolicy | null;
  /** Whole milliseconds. */
  readonly clock: () => number;
}
