import { ConflictError } from "../errors.ts";
import { afterChanges, allAnswered } from "../store/partial-failure.ts";
import { linksOf, type SessionLinks } from "../session/authentication.ts";
import type { Records } from "../session/records.ts";
import type { RevokeOptions } from "./session-info.ts";

/** Options of `sessions.revokeByLink`. */
export interface RevokeByLinkOptions extends RevokeOptions {
  /** Only sessions whose user logged in at this time or before. Default: all. */
  loggedInUntil?: Date;
}

/** Sessions ended at a time. */
const together = 200;

/** Each pass ends what it found. Only sessions that keep getting new ids, or logins that never stop, take as many. */
const maxPasses = 1_000;

/**
 * Ends every session with one of the links, and repeats until none is found. A session that gets a new id between being
 * found and being deleted has its links under the new id from the same transaction on, so the next pass finds it there.
 * @throws {ConflictError} new sessions kept appearing
 * @throws {StoreError} the store failed; `changed` is the number of sessions ended before
 */
export async function revokeByLink(
  records: Records,
  links: SessionLinks,
  { by, reason, loggedInUntil }: RevokeByLinkOptions = {},
): Promise<number> {
  const { settings } = records;
  const named = Object.entries(linksOf("sessions.revokeByLink", links, settings));
  const refs = named.flatMap(([name, value]) => settings.format.linkRefs!(name, value));
  const until = loggedInUntil?.getTime() ?? Infinity;
  if (Number.isNaN(until)) throw new TypeError("sessions.revokeByLink: `loggedInUntil` is not a valid Date.");
  const index = settings.store.links!;
  let ended = 0;
  try {
    for (let pass = 0; pass < maxPasses; pass++) {
      const ids = await index.find(refs, until, together);
      if (ids.length === 0) return ended;
      const { values, failure } = await allAnswered(
        ids.map((id) => records.delete(id, "revoke", { content: { actor: by, reason } })),
      );
      ended += values.filter(Boolean).length;
      if (failure !== null) throw failure.error;
      await index.forget(ids);
    }
  } catch (error) {
    throw afterChanges(error, ended, "deleted");
  }
  throw new ConflictError(
    `${ended.toLocaleString("en-US")} sessions with this link were ended, but new ones kept appearing. Stop the logins that carry it, then retry.`,
  );
}
