/** Pruning of the audit trail, loaded when it is due. */
import { prune, type PruneResult } from "../audit/prune.ts";
import { AuditError } from "../errors.ts";
import { milliseconds } from "../shared/duration.ts";
import { DAY } from "../store/audit.ts";
import type { Trail } from "../audit/trail.ts";
import type { AuditPruneOptions } from "./audit-types.ts";

export async function pruneTrail(trail: Trail, options: AuditPruneOptions): Promise<PruneResult> {
  const { settings } = trail;
  const age = milliseconds(options.olderThan ?? settings.options.retention ?? -1);
  if (age === null || age < 0) {
    throw new AuditError(
      "audit.prune does not know how long to keep events. Set `audit: { retention }`, or pass `olderThan`.",
    );
  }
  if (age < 2 * DAY) {
    throw new TypeError("audit.prune: `olderThan` must be at least 2 days, because a segment spans one day.");
  }
  const before = settings.clock() - age;
  const { archive = settings.options.archive, signal } = options;
  const result = await trail.pruning((checkpointer, mayGoOn) =>
    prune(settings.store, checkpointer, { before, archive, signal, mayGoOn }),
  );
  if (result === null) {
    throw new AuditError("Another process prunes the audit trail. Retry when it is done.");
  }
  if (result.segments > 0) {
    const details = {
      before: new Date(before).toISOString(),
      segments: String(result.segments),
      events: String(result.events),
    };
    await trail.record({ type: "trail.pruned", count: result.segments, content: { details } });
  }
  return result;
}

/**
 * For the expiry job: prunes by `audit.retention`, if a segment is due. Segments span a day at most, so an event that is a day
 * older than the retention belongs to one that is due.
 */
export async function retainTrail(trail: Trail, signal?: AbortSignal): Promise<void> {
  const { store, clock, options } = trail.settings;
  const age = milliseconds(options.retention ?? -1);
  if (age === null || age < 0) return;
  const due = await store.find({ until: clock() - age - DAY, limit: 1 });
  if (due.length > 0) await pruneTrail(trail, signal === undefined ? {} : { signal });
}
