import type { SessionStore } from "../store/contract.ts";
import type { SessionFormat } from "./format.ts";
import type { SessionCookie } from "./cookie.ts";
import type { Defaults } from "./defaults.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** What two requests did to the same key of `data`. */
export interface Conflict {
  readonly key: string;
  /** As this request loaded it; undefined when it was not there. */
  readonly base: unknown;
  /** As this request leaves it; undefined when it was deleted. */
  readonly mine: unknown;
  /** As another request saved it meanwhile; undefined when it was deleted. */
  readonly theirs: unknown;
}

/** Options, checked and complete. Durations in milliseconds. */
export interface Settings {
  readonly store: SessionStore;
  readonly format: SessionFormat;
  readonly cookie: SessionCookie;
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  readonly touchEvery: number;
  /** Refuses a promise. */
  readonly onConflict: ((conflict: Conflict) => unknown) | undefined;
  readonly onUnreadable: "renew" | "throw";
  /** Refuses a promise and whatever is no user's id. */
  readonly userOf: ((data: Record<string, unknown>) => string | undefined) | undefined;
  readonly schema: StandardSchema<unknown, unknown> | undefined;
  /** Those of the schema. */
  readonly defaults: Defaults | undefined;
  readonly upgrade: ((old: unknown) => unknown) | undefined;
  readonly client: boolean;
  readonly storeTimeout: number;
  /** Whole milliseconds. */
  readonly clock: () => number;
}
