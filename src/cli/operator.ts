import { hostname, userInfo } from "node:os";
import type { AuditContent, AuditEventType, AuditOutcome } from "../audit/events.ts";
import { idOf } from "../session/handle.ts";
import type { Records } from "../session/records.ts";

/** Who runs the command, for the audit trail. */
export function operator(): AuditContent {
  return { actor: `${nameOfUser()}@${hostname()}`, details: { command: "stored-session" } };
}

function nameOfUser(): string {
  try {
    return userInfo().username;
  } catch {
    return "unknown"; // a container may have no name for its user
  }
}

/**
 * Records what an operator did, where there is a trail: before they see what it is about, also in "lax" mode.
 * @throws {StoreError} it was not recorded
 */
export async function note(
  { recorder }: Records,
  type: AuditEventType,
  about: {
    readonly user?: string;
    readonly handle?: string;
    readonly reason?: string;
    readonly count?: number;
    readonly outcome?: AuditOutcome;
    readonly details?: Readonly<Record<string, string>>;
  } = {},
): Promise<void> {
  const { user, handle, reason, count, outcome, details } = about;
  const by = operator();
  await recorder?.trail.recordNow({
    type,
    ...(user !== undefined && { who: { user } }),
    ...(handle !== undefined && { session: idOf(handle) }),
    ...(count !== undefined && { count }),
    ...(outcome !== undefined && { outcome }),
    content: { ...by, reason, details: { ...by.details, ...details } },
  });
}
