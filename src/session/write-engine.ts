import type { SessionRow } from "../store/row.ts";
import { GroupCommit, type Change, type Company, type Entry, type Outcome } from "./group-commit.ts";
import { handleOf } from "./handle.ts";
import { Retries } from "./retries.ts";

/**
 * What a fresh read of the row showed. merged: another request changed it, and this request's changes were merged into
 * that; unchanged: nobody changed it; gone: the session has ended; asked: the application requested another operation
 * meanwhile.
 */
export type Found = "merged" | "unchanged" | "gone" | "asked";

/** One kind of save: the differences between first-party sessions and those of a drop-in store. */
export interface Save<Draft, Done> {
  /** Writes over the loaded row, if no other save of the session is in flight. False if it did not match. */
  first(): Promise<boolean>;
  /** Reads the row again and makes it the base. */
  rebase(): Promise<Found>;
  /** Writes over the row that `rebase` read. The write is conditional; "beaten" if it did not match. */
  attempt(company: Company<Draft, Done>): Promise<Outcome>;
  /** The change, for another save to include in its write; null if it must be written by itself. */
  change(): Change<Draft, Done> | null;
}

/** A write that may include the changes of saves that wait. */
export interface JointWrite<Draft, Done, Wanted> {
  readonly row: Pick<SessionRow, "id">;
  /** What the request writes without other changes. */
  readonly own: Wanted;
  /** The user of the session. Changes of another user are not included. */
  readonly user: string | undefined;
  /** A draft of `own`. */
  draft(): Draft;
  /** What to write for a draft; null, or an error, if these changes cannot be combined. */
  check(draft: Draft): Promise<Wanted | null> | Wanted | null;
  /** The stored state, if it already equals what is wanted; otherwise null. */
  stored(wanted: Wanted): Done | null;
  /** The conditional write. Settles `others` as soon as it is confirmed. */
  write(wanted: Wanted, others: readonly Change<Draft, Done>[]): Promise<boolean>;
}

/** The time for applying changes, in milliseconds, before the event loop gets its turn. */
const MOST_WORK = 10;

/**
 * Optimistic locking for every save of a session: write if the row is as it was loaded; otherwise read it again, merge
 * and retry, with back-off, until the save succeeds or gives up. The saves of one session in this process take turns, and
 * those that wait are written together (decision 23).
 *
 *     first ──done──▶ done
 *       │ did not match, or another save of the session is under way: wait for the turn
 *       ▼
 *     rebase ──▶ gone | asked
 *       │  ▲
 *       ▼  │ back-off; ConflictError after 25 attempts, or `storeTimeout`
 *     attempt ──beaten──┘
 *       └──▶ done, together with the changes that waited
 */
export class WriteEngine<Draft, Done> {
  readonly #group: GroupCommit<Draft, Done>;
  readonly #limit: number;

  /** @param limit milliseconds: `storeTimeout` */
  constructor(limit: number) {
    // Behind a save whose store hangs, others wait no longer than for the store itself.
    this.#group = new GroupCommit(limit);
    this.#limit = limit;
  }

  /**
   * @throws {ConflictError} other requests won every race
   * @throws {SessionBusyError} too many saves wait
   */
  save(row: Pick<SessionRow, "id">, save: Save<Draft, Done>): Promise<Outcome> {
    return this.#group.run(
      handleOf(row.id),
      () => save.first(),
      (company) => this.#retry(row, save, company),
      () => save.change(),
    );
  }

  /** For a write that includes no other changes, after its first attempt was beaten: a new id, or a session that restarts. */
  alone(row: Pick<SessionRow, "id">, save: Pick<Save<Draft, Done>, "rebase" | "attempt">): Promise<Outcome> {
    const first = () => Promise.resolve(false);
    const again = (company: Company<Draft, Done>) => this.#retry(row, save, company);
    return this.#group.run(handleOf(row.id), first, again, () => null);
  }

  async #retry(
    row: Pick<SessionRow, "id">,
    save: Pick<Save<Draft, Done>, "rebase" | "attempt">,
    company: Company<Draft, Done>,
  ): Promise<Outcome> {
    const retries = new Retries(row, this.#limit);
    for (;;) {
      const found = await save.rebase();
      if (found === "asked") return "asked";
      if (found !== "unchanged") retries.publish(found === "merged" ? "merged" : "ended");
      if (found === "gone") return "gone";
      const outcome = await save.attempt(company);
      if (outcome !== "beaten") return outcome;
      await retries.pause();
    }
  }

  /** Writes with as many of the waiting changes as possible. False if the conditional write did not match. */
  async writeWith<Wanted>(
    company: Company<Draft, Done>,
    joint: JointWrite<Draft, Done, Wanted>,
  ): Promise<boolean> {
    const taken = company.take(joint.user);
    const { wanted, joined } = await join(joint, taken);
    company.giveBack(taken.filter((entry) => !joined.includes(entry)));
    const stored = joint.stored(wanted);
    if (stored !== null) {
      // Another request made the same changes.
      for (const { change, resolve } of joined) {
        change!.settle(stored);
        resolve("done");
      }
      return true;
    }
    const others = joined.map(({ change }) => change!);
    try {
      if (!(await joint.write(wanted, others))) {
        company.giveBack(joined);
        return false;
      }
    } catch (error) {
      for (const { reject } of joined) reject(error);
      throw error;
    }
    for (const { resolve } of joined) {
      new Retries(joint.row, 0).publish("merged");
      resolve("done");
    }
    return true;
  }
}

/**
 * The draft with those waiting changes that can be combined. An invalid combination fails none of them: half as many are
 * tried, down to the writer's own change.
 */
async function join<Draft, Done, Wanted>(
  joint: JointWrite<Draft, Done, Wanted>,
  taken: readonly Entry<Draft, Done>[],
): Promise<{ wanted: Wanted; joined: readonly Entry<Draft, Done>[] }> {
  for (let most = taken.length; most > 0; most = Math.floor(most / 2)) {
    const { draft, joined } = applied(joint.draft(), taken.slice(0, most));
    if (joined.length === 0) break;
    try {
      const wanted = await joint.check(draft);
      if (wanted !== null) return { wanted, joined };
    } catch {
      // try fewer
    }
  }
  return { wanted: joint.own, joined: [] };
}

function applied<Draft, Done>(
  draft: Draft,
  entries: readonly Entry<Draft, Done>[],
): { draft: Draft; joined: readonly Entry<Draft, Done>[] } {
  const joined: Entry<Draft, Done>[] = [];
  const until = performance.now() + MOST_WORK;
  for (const entry of entries) {
    if (joined.length > 0 && performance.now() > until) break;
    try {
      draft = entry.change!.apply(draft);
      joined.push(entry);
    } catch {
      // fails when its own turn comes
    }
  }
  return { draft, joined };
}
