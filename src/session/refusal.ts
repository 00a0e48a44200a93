import type { RefusedError } from "../errors.ts";
import type { SessionRow } from "../store/row.ts";
import { channels, type RefuseEvent } from "../telemetry/channels.ts";
import type { Settings } from "./settings.ts";
import { handleOf } from "./handle.ts";

/** Publishes that a row was refused, and counts it for the audit trail. */
export function publishRefusal(
  row: Pick<SessionRow, "id">,
  error: RefusedError,
  { audit }: Pick<Settings, "audit">,
): void {
  audit?.refusals.refused(error.reason);
  if (channels.refuse.hasSubscribers) {
    channels.refuse.publish({ handle: handleOf(row.id), reason: error.reason } satisfies RefuseEvent);
  }
}

/** Whether a row was opened, so that it is known to be this application's, and its content was refused. */
export function isOfContent({ reason }: RefusedError): boolean {
  return reason === "schema" || reason === "decode";
}
