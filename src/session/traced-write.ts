import type { ChangeResult } from "../store/audit.ts";
import type { SessionRow } from "../store/row.ts";
import { trace, type WriteEvent } from "../telemetry/channels.ts";
import { handleOf } from "./handle.ts";

/** Publishes a write and whether it was applied. */
export function tracedWrite<Result extends boolean | ChangeResult>(
  operation: WriteEvent["operation"],
  reason: WriteEvent["reason"],
  row: SessionRow,
  previous: SessionRow | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  return trace(
    "write",
    () => ({
      operation,
      reason,
      handle: handleOf(row.id),
      ...(previous && { previousHandle: handleOf(previous.id) }),
      bytes: row.data.length,
    }),
    work,
    (event, result) => (event.applied = typeof result === "boolean" ? result : result.applied),
  );
}
