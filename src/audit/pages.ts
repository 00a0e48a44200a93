import { pagesByKey, type Page } from "../store/pages.ts";
import type { AuditCheckpoint, AuditRow, AuditStore } from "../store/audit.ts";

/** Events after a position, up to and including another, in bounded pages. */
export function eventPages(
  store: Pick<AuditStore, "events">,
  after: Uint8Array,
  through: Uint8Array,
  limit: number,
): AsyncGenerator<Page<AuditRow>> {
  const read = (from: Uint8Array, most: number) => store.events(from, through, most);
  return pagesByKey(read, limit, after, ({ position }) => position);
}

/** Checkpoints after a number, perhaps of one kind, in bounded pages. */
export function checkpointPages(
  store: Pick<AuditStore, "checkpoints">,
  after: number,
  limit: number,
  kind?: number,
): AsyncGenerator<Page<AuditCheckpoint>> {
  const read = (from: number, most: number) => store.checkpoints(from, most, kind);
  return pagesByKey(read, limit, after, ({ number }) => number);
}
