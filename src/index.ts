/** Encrypted, database-backed HTTP sessions for Node.js: the public core. */
import "./node-check.ts";
export * from "./errors.ts";
export * from "./session/data.ts";
export { createSessionManager, SessionManager } from "./manager.ts";
export type { Session } from "./session/session.ts";
export type { Duration, SessionManagerOptions } from "./options.ts";
export type { Conflict } from "./session/settings.ts";
export type { CookieOptions } from "./session/cookie.ts";
export type { ChangedSession, ClientAnswer, OnClientChange } from "./session/client-answer.ts";
export type { ClientInfo, ClientSource, SessionFormat } from "./session/format.ts";
export type { ExportedSession, KeyUse, SessionStats } from "./operator/admin.ts";
export type { Census } from "./operator/census.ts";
export type { WalkOptions } from "./session/walk.ts";
export type { RevokeOptions, SessionInfo } from "./operator/session-info.ts";
export type { UserSessions } from "./operator/users.ts";
export type { AuditTrail } from "./operator/audit-trail.ts";
export type { AuditDay, AuditListOptions, AuditPruneOptions, RecordOptions } from "./operator/audit-types.ts";
export type { RevokeByLinkOptions } from "./operator/links.ts";
export type { AuditOptions } from "./audit/options.ts";
export type { AuditContent, AuditDevice, AuditEvent, AuditEventType, AuditOutcome } from "./audit/events.ts";
export type { Anchored } from "./audit/checkpoint.ts";
export type { AuditProblem, VerifyReport } from "./audit/report.ts";
export type { PruneResult } from "./audit/prune.ts";
export type { FreshRequirement, LoginOptions, LoginProof, SessionLinks } from "./session/authentication.ts";
export type { StandardSchema } from "./session/standard-schema.ts";
export { expireSessionsJob, type ExpireOptions } from "./jobs/expire.ts";
export { resealJob, type ResealOptions, type ResealResult } from "./jobs/reseal.ts";
export type { Schedule } from "./jobs/schedule.ts";
export type {
  ExpireCursor,
  ExpireQuery,
  ExpireResult,
  Lanes,
  RowTouch,
  RowUpdate,
  SessionRow,
  SessionStore,
  TakenOver,
} from "./store/contract.ts";
export { returnPath } from "./shared/return-path.ts";
export { generateKey, KeyRing } from "./sealing/keyring.ts";
export { memoryStore } from "./store/memory.ts";
export { migrate } from "./store/migrate.ts";
