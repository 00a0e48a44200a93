import type { RefusalReason, RefusedError } from "../errors.ts";
import type { SessionRow } from "../store/row.ts";
import { channels, type RefuseEvent } from "../telemetry/channels.ts";
import type { DeviceRefusal } from "../telemetry/device-refusals.ts";
import type { Settings } from "./settings.ts";
import { handleOf } from "./handle.ts";

/** Publishes that a row was refused, and counts it for the audit trail. */
export function publishRefusal(
  row: Pick<SessionRow, "id">,
  error: Pick<RefusedError, "reason">,
  settings: Pick<Settings, "audit">,
): void {
  publishReason(row.id, error.reason, settings);
}

/** The same for a device that was not proved. @param id of the row; null if it is not known */
export function publishReason(
  id: Uint8Array | null,
  reason: RefusalReason | DeviceRefusal,
  { audit }: Pick<Settings, "audit">,
): void {
  audit?.refusals.refused(reason);
  if (channels.refuse.hasSubscribers) {
    channels.refuse.publish({ ...(id && { handle: handleOf(id) }), reason } satisfies RefuseEvent);
  }
}

/** Whether a row was opened, so that it is known to be this application's, and its content was refused. */
export function isOfContent({ reason }: RefusedError): boolean {
  return reason === "schema" || reason === "decode";
}
