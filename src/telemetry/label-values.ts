/**
 * The values that labels can have. Counters begin at 0 for each: a series that appears with its first event has no
 * increase, so an alert would miss that event.
 */
import type { RefusalReason } from "../errors.ts";
import type { BatchEvent, ConflictEvent, DeleteEvent, DeviceEvent, WriteEvent } from "./channels.ts";
import type { DeviceRefusal } from "./device-refusals.ts";
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

export const deviceRefusals: readonly DeviceRefusal[] = all<DeviceRefusal>({
  device_cookie_missing: true,
  device_cookie_expired: true,
  device_cookie_invalid: true,
  device_required: true,
  device_session_unknown: true,
  device_session_mismatch: true,
  device_already_bound: true,
  device_proof_too_large: true,
  device_proof_malformed: true,
  device_proof_algorithm: true,
  device_proof_key: true,
  device_proof_signature: true,
  device_challenge_invalid: true,
  device_challenge_expired: true,
  device_challenge_used: true,
});

export const deviceOutcomes: readonly DeviceEvent["outcome"][] = all<DeviceEvent["outcome"]>({
  offered: true,
  bound: true,
  refreshed: true,
  ended: true,
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
>({ destroy: true, revoke: true, "revoke-all": true, evict: true, expire: true });

export const batchOperations: readonly BatchEvent["operation"][] = all<BatchEvent["operation"]>({
  read: true,
  insert: true,
  update: true,
  replace: true,
  touch: true,
  delete: true,
  record: true,
});

/** The events of the audit trail with the outcomes that the package gives them; `audit.record` may give another. */
export const auditEvents: Readonly<Record<string, readonly string[]>> = {
  "session.created": ["success"],
  login: ["success"],
  "login.failed": ["failure", "denied"],
  elevation: ["success"],
  "session.rotated": ["success"],
  logout: ["success"],
  "session.destroyed": ["success"],
  "session.revoked": ["success"],
  "session.expired.idle": ["success"],
  "session.expired.absolute": ["success"],
  "session.evicted": ["success"],
  refusal: ["denied"],
  "client.changed": ["success"],
  "session.bound": ["success"],
  "data.revealed": ["success"],
  "data.exported": ["success"],
  "data.erased": ["success"],
  "key.added": ["success"],
  "key.retired": ["success"],
  "sessions.imported": ["unknown", "success", "failure"],
  "trail.started": ["success"],
  "trail.stopped": ["success"],
  "trail.read": ["success"],
  "trail.pruned": ["success"],
  "trail.lost": ["failure"],
  "trail.erased": ["success"],
};

/** How a checkpoint, an anchor or a verification can end. */
export const trailOutcomes: Readonly<Record<"checkpoint" | "anchor" | "verify", readonly string[]>> = {
  checkpoint: ["ok", "error", "damaged"],
  anchor: ["ok", "error"],
  verify: ["ok", "error", "damaged"],
};

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
  evict: ["ok"],
  expire: ["ok", "error"],
};
