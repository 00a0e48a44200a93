/**
 * The values that labels can have. Counters begin at 0 for each: a series that appears with its first event has no
 * increase, so an alert would miss that event.
 */
import type { RefusalReason } from "../errors.ts";
import type { BatchEvent, ConflictEvent, DeleteEvent, WriteEvent } from "./channels.ts";
import type { Outcome } from "./operations.ts";

/** Every key of `values`, which the type makes complete. */
function all<Value extends string>(values: Readonly<Record<Value, true>>): readonly Value[] {
  return Object.keys(values) as Value[];
}

export const refusalReasons: readonly RefusalReason[] = all<RefusalReason>({
  length: true,
  suite: true,
  flags: true,
  mode: true,
  key: true,
  commitment: true,
  tag: true,
  inflate: true,
  decode: true,
  times: true,
  schema: true,
});

export const cookieRejections: readonly string[] = ["malformed", "unknown_key"];

export const conflictOutcomes: readonly ConflictEvent["outcome"][] = all<ConflictEvent["outcome"]>({
  merged: true,
  ended: true,
  failed: true,
});

/** Operations that delete sessions. */
export const deletions: readonly (DeleteEvent["operation"] | "expire")[] = all<
  DeleteEvent["operation"] | "expire"
>({ destroy: true, revoke: true, "revoke-all": true, expire: true });

export const batchOperations: readonly BatchEvent["operation"][] = all<BatchEvent["operation"]>({
  read: true,
  insert: true,
  update: true,
  replace: true,
  touch: true,
  delete: true,
  record: true,
});

/** Why each kind of write happens. */
export const writeReasons: Readonly<Record<WriteEvent["operation"], readonly WriteEvent["reason"][]>> = {
  insert: ["save", "login", "regenerate", "reset"],
  update: ["save", "reseal"],
  replace: ["login", "regenerate", "reset", "renew"],
};

/** How each operation can end. */
export const outcomes: Readonly<Record<string, readonly Outcome[]>> = {
  read: ["ok", "miss", "error"],
  insert: ["ok", "not_applied", "error"],
  update: ["ok", "not_applied", "error"],
  replace: ["ok", "not_applied", "error"],
  touch: ["ok", "error"],
  destroy: ["ok", "error"],
  revoke: ["ok", "error"],
  "revoke-all": ["ok", "error"],
  expire: ["ok", "error"],
};
