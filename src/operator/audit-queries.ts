/** Reading of the audit trail, loaded when somebody reads it. */
import { devices, eventCodes, outcomeOf, typeOf, type AuditEvent } from "../audit/events.ts";
import { positionIn, readEvents } from "../audit/reading.ts";
import { idOf } from "../session/handle.ts";
import { parseUserId } from "../session/user-id.ts";
import { DAY, type AuditQuery } from "../store/audit.ts";
import type { Subjects } from "../audit/subjects.ts";
import type { Trail } from "../audit/trail.ts";
import type { AuditDay, AuditListOptions } from "./audit-types.ts";

const PAGE = 500;

/** Events a page at a time, in bounded memory. */
export async function* listEvents(trail: Trail, options: AuditListOptions): AsyncGenerator<AuditEvent> {
  const { limit = Infinity } = options;
  const { subjects } = await trail.engine();
  const query = await queryOf(subjects, options);
  let after: AuditQuery["after"] = options.after && {
    at: options.after.at.getTime(),
    position: positionIn(options.after.id),
  };
  let left = limit;
  while (left > 0) {
    const size = Math.min(PAGE, left);
    const rows = await trail.settings.store.find({ ...query, after, limit: size });
    yield* await readEvents(rows, subjects);
    if (rows.length < size) return;
    const { at, position } = rows.at(-1)!;
    after = { at, position };
    left -= rows.length;
  }
}

async function queryOf(
  keys: Subjects,
  options: AuditListOptions,
): Promise<Omit<AuditQuery, "limit" | "after">> {
  const { user, session, since, until, types, newestFirst } = options;
  const subjects = user === undefined ? undefined : await keys.of(parseUserId(user, "audit.list"));
  const id = session === undefined ? undefined : idOf(session);
  if (id === null || (id !== undefined && id.length !== 32)) {
    throw new TypeError("audit.list: `session` is not the handle of a session.");
  }
  return {
    since: since?.getTime(),
    until: until?.getTime(),
    subjects: subjects?.map(({ subject }) => subject),
    session: id,
    events: types?.map((type) => eventCodes[type]),
    newestFirst,
  };
}

/** Counts by day: of the events that are stored, and of those that were pruned. */
export async function countDays(trail: Trail, options: { since?: Date; until?: Date }): Promise<AuditDay[]> {
  const { store, clock } = trail.settings;
  const since = Math.floor((options.since?.getTime() ?? 0) / DAY);
  const until = Math.ceil((options.until?.getTime() ?? clock() + DAY) / DAY);
  const counts = new Map<string, AuditDay>();
  for (const one of [
    ...(await store.prunedCounts(since, until)),
    ...(await store.count(since * DAY, until * DAY)),
  ]) {
    const day = new Date(one.day * DAY).toISOString().slice(0, 10);
    const key = [day, one.event, one.outcome, one.device].join();
    const count = one.count + (counts.get(key)?.count ?? 0);
    const type = typeOf(one.event) ?? "unknown";
    const device = devices[one.device] ?? "none";
    counts.set(key, { day, type, outcome: outcomeOf(one.outcome), device, count });
  }
  return [...counts.values()].toSorted((a, b) => a.day.localeCompare(b.day) || a.type.localeCompare(b.type));
}
