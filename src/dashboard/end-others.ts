import { ConflictError } from "../errors.ts";
import { sameBytes } from "../shared/bytes.ts";
import { afterChanges, allAnswered } from "../store/partial-failure.ts";
import type { Records } from "../session/records.ts";
import type { UserRows } from "../session/user-rows.ts";

/** Sessions that end together. */
const TOGETHER = 20;
const MOST_PASSES = 500;

export interface OthersEnded {
  readonly ended: number;
  /** False if the session to keep was not there any more. What was ended until then stays ended. */
  readonly isKept: boolean;
}

/**
 * Ends all sessions of a user but one, each by its id, until a list shows no other. The session to keep may get a new id at any
 * time. That must not end it: as long as its row has the old id, no list that was made before contains the new one.
 * @throws {ConflictError} new sessions kept appearing
 * @throws {StoreError} `changed` counts the sessions that were ended before
 */
export async function endOthers(records: Records, rows: UserRows, kept: Uint8Array): Promise<OthersEnded> {
  let ended = 0;
  try {
    for (let pass = 1; pass <= MOST_PASSES; pass++) {
      const others = (await rows.list(TOGETHER)).filter(({ id }) => !sameBytes(id, kept));
      const row = await rows.find(kept);
      if (row === null || !records.isAlive(row)) return { ended, isKept: false };
      if (others.length === 0) return { ended, isKept: true };
      const { values, failure } = await allAnswered(others.map(({ id }) => rows.delete(id)));
      ended += values.filter(Boolean).length;
      if (failure !== null) throw failure.error;
    }
  } catch (error) {
    throw afterChanges(error, ended, "deleted");
  }
  throw new ConflictError(
    `${ended.toLocaleString("en-US")} sessions of the user were ended, but new ones kept appearing. Disable logins for this user, then retry.`,
  );
}
