/** Erasure of a person from the audit trail, loaded when it is asked for. */
import { entryOf, type Trail } from "../audit/trail.ts";
import type { AuditContent } from "../audit/events.ts";

/** A login of the same user may add a key meanwhile. Logins that never stop are left to the next erasure. */
const MOST_PASSES = 5;

/**
 * Destroys the keys of a user's events. The record of it comes first, in "lax" mode too: an erasure without its event would look
 * like the work of somebody who hides something.
 */
export async function eraseFromTrail(trail: Trail, user: string, by: AuditContent): Promise<number> {
  const { subjects } = await trail.engine();
  let erased = 0;
  for (let pass = 0; pass < MOST_PASSES; pass++) {
    const keys = await subjects.of(user);
    if (keys.length === 0 && pass > 0) break;
    const details = { keys: String(keys.length) };
    await trail.write([entryOf([{ type: "trail.erased", content: { ...by, details } }])]);
    erased += await subjects.erase(user, keys);
  }
  return erased;
}
