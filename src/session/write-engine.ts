import type { SessionRow } from "../store/row.ts";
import { GroupCommit, type Change, type Company, type Entry, type Outcome } from "./group-commit.ts";
import { handleOf } from "./handle.ts";
import { Retries } from "./retries.ts";

/**
 * What a look at the stored row told. merged: somebody else changed it, and this request's changes are on top now;
 * unchanged: nobody did; gone: the session has ended; asked: the application asked for something else meanwhile.
 */
export type Found = "merged" | "unchanged" | "gone" | "asked";

/** One kind of save. What differs between sessions of our own and those of a drop-in store is in here. */
export interface Save<Draft, Done> {
  /** Writes over the row as it was loaded, when nobody else is writing the session. False when it did not match. */
  first(): Promise<boolean>;
  /** Reads the stored row again, and takes it for the base. */
  rebase(): Promise<Found>;
  /** Writes on top of what `rebase` found: a conditional write, which answers "beaten" when it did not match. */
  attempt(company: Company<Draft, Done>): Promise<Outcome>;
  /** For others to take along; null for what must be written by itself. */
  change(): Change<Draft, Done> | null;
}

/** A write that may take along the changes of others that wait. */
export interface JointWrite<Draft, Done, Wanted> {
  readonly row: Pick<SessionRow, "id">;
  /** What the request writes by itself. */
  readonly own: Wanted;
  /** Whose session it is: the changes of another user's stay out. */
  readonly user: string | undefined;
  /** A draft of `own`. */
  draft(): Draft;
  /** What is written for a draft; null, or an error, where these changes do not go together. */
  check(draft: Draft): Promise<Wanted | null> | Wanted | null;
  /** What the store has, where it is what is wanted already; null elsewhere. */
  stored(wanted: Wanted): Done | null;
  /** The conditional write. Settles `others` at once when it is done. */
  write(wanted: Wanted, others: readonly Change<Draft, Done>[]): Promise<boolean>;
}

/** Milliseconds in which changes are applied: then the event loop is somebody else's. */
const MOST_WORK = 10;

/**
 * Optimistic locking, for every save of a session: write if the row is as it was loaded; otherwise read it again, merge,
 * and write once more, with back-off, until it is done or was tried often enough. The saves of one session in this
 * process take turns, and those that wait are written together (decision 23).
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
    // Behind one whose store hangs nobody waits longer than for the store itself.
    this.#group = new GroupCommit(limit);
    this.#limit = limit;
  }

  /**
   * @throws {ConflictError} others were faster each time
   * @throws {SessionBusyError} too many wait
   */
  save(row: Pick<SessionRow, "id">, save: Save<Draft, Done>): Promise<Outcome> {
    return this.#group.run(
      handleOf(row.id),
      () => save.first(),
      (company) => this.#retry(row, save, company),
      () => save.change(),
    );
  }

  /** The same for what is written by itself, after a first attempt that was beaten: a new id, or a session begun anew. */
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

  /** Writes with as many as possible of the changes that wait. False when the conditional write did not match. */
  async writeWith<Wanted>(
    company: Company<Draft, Done>,
    joint: JointWrite<Draft, Done, Wanted>,
  ): Promise<boolean> {
    const taken = company.take(joint.user);
    const { wanted, joined } = await join(joint, taken);
    company.giveBack(taken.filter((entry) => !joined.includes(entry)));
    const stored = joint.stored(wanted);
    if (stored !== null) {
      // By somebody who made the same changes.
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
 * The draft with those of the waiting changes that go together. What makes it invalid is told to none of them: half as
 * many are tried, and in the end it is the one that writes.
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
      // tried with fewer
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
      // told when it is its turn
    }
  }
  return { draft, joined };
}
