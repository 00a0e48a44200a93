import { hostname } from "node:os";
import { Trail } from "../audit/trail.ts";
import type { Settings } from "./settings.ts";

/** The audit trail of a manager. Null if it is off. */
export function trailOf({ audit, store, format, clock, storeTimeout }: Settings): Trail | null {
  if (audit === null) return null;
  return new Trail({
    ...audit,
    store: store.audit!,
    leases: store,
    clock,
    timeout: storeTimeout,
    userRefs: (user) => [...format.userRefs(user), ...(format.formerUserRefs?.(user) ?? [])],
    process: { host: hostname(), pid: String(process.pid) },
  });
}
