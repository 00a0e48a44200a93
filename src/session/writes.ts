import type { Content } from "../codec/codec.ts";
import { RefusedError, StoreError } from "../errors.ts";
import type { WriteEvent } from "../telemetry/channels.ts";
import type { Settings } from "./settings.ts";
import type { SessionRow } from "../store/row.ts";
import type { ClientInfo } from "./format.ts";
import { GroupCommit, type Change, type Company, type Entry, type Outcome } from "./group-commit.ts";
import { handleOf } from "./handle.ts";
import { mayMerge, userOfStored } from "./identity.ts";
import { endOf } from "./lifetime.ts";
import type { Records } from "./records.ts";
import { Retries } from "./retries.ts";
import { sameBytes } from "../shared/bytes.ts";
import { conformForSaving, conformStored, type Conforming } from "./schema.ts";
import {
  isUnknown,
  publishRefusal,
  type SessionState,
  type Stored,
  type Write,
  type Written,
} from "./state.ts";
import type { Token } from "./token.ts";
import { UserRows } from "./user-rows.ts";

/** A content as it is to be written. */
export interface Wanted {
  readonly plaintext: Uint8Array;
  readonly user: string | undefined;
  /** All there is to write: nothing stays of what was stored, also not what the schema hides. */
  readonly isWhole?: boolean;
}

/**
 * The writes of a session: each is conditional, only one that was confirmed sends a cookie (R41), and one whose
 * answer was lost is found again.
 */
export class Writes {
  readonly #records: Records;
  readonly #settings: Settings;
  readonly #group: GroupCommit;

  constructor(records: Records) {
    this.#records = records;
    this.#settings = records.settings;
    // Behind one whose store hangs nobody waits longer than for the store itself.
    this.#group = new GroupCommit(records.settings.storeTimeout);
  }

  /** Makes a new session. False when one that was lost is found to have made it, with what it carried. */
  async insert(state: SessionState, { plaintext, user }: Wanted, write: Write): Promise<boolean> {
    const token = write.token!;
    const written = state.written(write, plaintext);
    const row = this.#records.begin(token, bytesOf(written), user, this.#clientOf(state));
    const insert = () => this.#records.insert(row, reasonOf(write));
    if (await state.during(write, { row, token }, written, insert)) {
      this.#oweCookie(state);
      return true;
    }
    if (await this.findLost(state)) return false;
    throw new StoreError(
      "A row with this session's random id exists already: does another program write this table?",
    );
  }

  /** Puts a row under a new id in the place of the stored one. */
  async replace(state: SessionState, { plaintext, user, isWhole }: Wanted, write: Write): Promise<boolean> {
    const { row: loaded } = state.stored!;
    const token = write.token!;
    const client = this.#clientOf(state) ?? this.#clientOfRow(loaded);
    const written = isWhole ? { plaintext, under: null } : state.written(write, plaintext);
    const row =
      write.intent === "regenerate"
        ? this.#records.continue(token, bytesOf(written), user, client, loaded)
        : this.#records.begin(token, bytesOf(written), user, client);
    const replace = () => this.#records.replace(loaded, row, reasonOf(write));
    if (!(await state.during(write, { row, token }, written, replace))) return false;
    this.#oweCookie(state);
    return true;
  }

  /** Writes over the stored row. */
  async update(
    state: SessionState,
    { plaintext, user }: Wanted,
    write: Write,
    reason: WriteEvent["reason"] = "save",
    others: readonly Change[] = [],
  ): Promise<boolean> {
    const { row: loaded, token } = state.stored!;
    const written = state.written(write, plaintext);
    const row = this.#records.next(token, bytesOf(written), user, loaded);
    const update = () => this.#records.update(loaded, row, reason);
    try {
      if (!(await state.during(write, this.#renewed(row, token), written, update))) return false;
    } catch (error) {
      if (isUnknown(error)) {
        for (const other of others) other.state.unsure.set(row.version, { ...other.write, written });
      }
      throw error;
    }
    this.#oweCookieFor(state, token);
    for (const other of others) this.#settleOther(other, row, written);
    return true;
  }

  #settleOther({ state, write }: Change, row: SessionRow, written: Written): void {
    const { token } = state.stored!;
    state.changes++;
    state.settle(write, this.#renewed(row, token), written, true);
    this.#oweCookieFor(state, token);
  }

  #renewed(row: SessionRow, token: Token): Stored {
    return { row, token: token.stale ? this.#settings.format.refresh(token) : token };
  }

  #oweCookieFor(state: SessionState, before: Token): void {
    if (before.stale || this.#settings.cookie.rolling) this.#oweCookie(state);
  }

  /** Writes over the stored row, with as many as possible of the changes that wait for it. */
  async updateWith(company: Company, state: SessionState, own: Wanted, write: Write): Promise<boolean> {
    const taken = company.take(state.storedUser);
    const { wanted, joined } = await this.#join(state, own, taken);
    company.giveBack(taken.filter((entry) => !joined.includes(entry)));
    if (sameBytes(wanted.plaintext, state.plaintext!)) {
      // It is stored already, by somebody who made the same changes.
      for (const { change, resolve } of joined) {
        this.#settleOther(change!, state.stored!.row, state.storedAs);
        resolve("done");
      }
      return true;
    }
    if (joined.length === 0) return this.update(state, own, write);
    const draft = { ...write, draftOf: write.draftOf ?? own.plaintext };
    const changes = joined.map(({ change }) => change!);
    try {
      if (!(await this.update(state, wanted, draft, "save", changes))) {
        company.giveBack(joined);
        return false;
      }
    } catch (error) {
      for (const { reject } of joined) reject(error);
      throw error;
    }
    for (const { change, resolve } of joined) {
      new Retries(change!.state.stored!.row, 0).publish("merged");
      resolve("done");
    }
    return true;
  }

  /**
   * The content with those of the waiting changes that go together. What makes it invalid is told to none of them:
   * half as many are tried, and in the end it is the one that writes.
   */
  async #join(
    state: SessionState,
    own: Wanted,
    taken: readonly Entry[],
  ): Promise<{ wanted: Wanted; joined: readonly Entry[] }> {
    const { format } = this.#settings;
    for (let most = taken.length; most > 0; most = Math.floor(most / 2)) {
      const { content, joined } = applied(format.decode(own.plaintext), taken.slice(0, most));
      if (joined.length === 0) break;
      try {
        const conforming = await conformForSaving(this.#settings, content);
        const user = state.userOf === undefined ? own.user : state.userAfter(conforming.data);
        if (user !== own.user) continue;
        const plaintext = format.encode({ ...conforming, user }, state.carriedOver);
        bytesOf(state.written(state.write(null), plaintext)); // may be too large
        return { wanted: { plaintext, user }, joined };
      } catch {
        // tried with fewer
      }
    }
    return { wanted: own, joined: [] };
  }

  /**
   * After a write under a new id whose answer was lost: looks for the row that it would have made, and goes on from
   * there. What the application wants beyond what arrived is still to be done. Of a write over the stored row the
   * version will tell.
   */
  async findLost(state: SessionState): Promise<boolean> {
    const token = lostToken(state);
    if (token === null) return false;
    const row = await this.#records.read(token.id);
    const write = row === null ? undefined : state.unsure.get(row.version);
    if (row === null || write === undefined) return false;
    state.settle(write, { row, token }, write.written);
    this.#oweCookie(state);
    return true;
  }

  isPastLimit({ stored }: SessionState): boolean {
    return stored !== null && this.#records.now() >= endOf(stored.row, this.#settings);
  }

  /**
   * A session that passed its limit since it was loaded is only saved when another request has moved that limit: a
   * save in flight brings nothing back (promise 3).
   */
  async isAlive({ stored }: SessionState): Promise<boolean> {
    return (await this.#records.read(stored!.row.id)) !== null;
  }

  /**
   * Tries to write, and while somebody else was faster, rebases the session on what is stored then and tries again. The
   * changes of one session in this process take turns, and those that wait are written together.
   */
  inTurn(
    state: SessionState,
    first: () => Promise<boolean>,
    tryAgain: (company: Company) => Promise<Outcome>,
    change: () => Change | null,
  ): Promise<Outcome> {
    const { row } = state.stored!;
    const again = async (company: Company): Promise<Outcome> => {
      const retries = new Retries(row, this.#settings.storeTimeout);
      for (;;) {
        const alive = await this.rebase(state);
        retries.publish(alive ? "merged" : "ended");
        if (!alive) return "gone";
        const outcome = await tryAgain(company);
        if (outcome !== "beaten") return outcome;
        await retries.pause();
      }
    };
    return this.#group.run(handleOf(row.id), first, again, change);
  }

  /** Does what writes a session by itself, in turn with the changes of it that wait in this process. */
  async alone(row: SessionRow, work: () => Promise<boolean>): Promise<boolean> {
    let answer = false;
    const run = async () => {
      answer = await work();
    };
    const first = async () => (await run(), true);
    const again = async (): Promise<Outcome> => (await run(), "done");
    await this.#group.run(handleOf(row.id), first, again, () => null);
    return answer;
  }

  /** Takes the row as it is now for the base, with this request's changes on top. False when the session has ended. */
  async rebase(state: SessionState): Promise<boolean> {
    const { format, onConflict, cookie } = this.#settings;
    const { row: loaded, token } = state.stored!;
    const row = await this.#records.read(loaded.id);
    if (row === null) return false;
    let theirs: Conforming;
    try {
      const plaintext = format.open(row, token);
      theirs = await conformStored(this.#settings, plaintext, format.decode(plaintext));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      return false;
    }
    const own = state.unsure.get(row.version);
    if (own === undefined) {
      // Somebody else logged in under this id, in another version of the application: it is their session now.
      const theirUser = userOfStored(state.userOf, theirs.content);
      if (!state.startsOver && !mayMerge(state.storedUser, state.content.user, theirUser)) return false;
      state.rebase({ row, token }, theirs, onConflict);
      return true;
    }
    state.settle(own, { row, token: token.stale ? format.refresh(token) : token }, own.written);
    if (token.stale || cookie.rolling) this.#oweCookie(state);
    return true;
  }

  /** The same for a session that starts over: what is in the row, and whether it opens, does not matter. */
  async reread(state: SessionState): Promise<boolean> {
    const { row: loaded, token } = state.stored!;
    const row = await this.#records.read(loaded.id);
    if (row === null) return false;
    state.stored = { row, token };
    state.unsure.clear(); // writes over the row of before, which can come no more
    return true;
  }

  /** Deletes the session's row, and the one that a lost write may have made. */
  async delete(state: SessionState): Promise<void> {
    const doomed = state.stored ?? state.refused;
    // In this order: once the row is gone that a lost write would have replaced, that write can come no more.
    for (const id of [doomed?.row.id, lostToken(state)?.id]) {
      if (id === undefined) continue;
      try {
        if (await this.#records.delete(id)) {
          state.deleted = "confirmed";
          state.changes++;
        }
      } catch (error) {
        if (isUnknown(error)) state.deleted ||= "possible";
        throw error;
      }
    }
  }

  /**
   * For a row that is gone after a delete whose answer was lost: whether another request may have given the session a
   * new id before, and sent its cookie (R41). One that stays in the browser and opens nothing does no harm, so where it
   * cannot be told the answer is yes.
   */
  async mayGoOn(state: SessionState): Promise<boolean> {
    const { format } = this.#settings;
    if (state.stored === null) return state.refused !== null;
    const { row, token } = state.stored;
    let user: string | undefined;
    try {
      ({ user } = format.decode(format.open(row, token)));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
    if (user === undefined) return true;
    const rows = await new UserRows(this.#records, user).list(1_000);
    return rows.some(({ createdAt }) => createdAt === row.createdAt || createdAt >= state.startedAt);
  }

  #clientOf(state: SessionState): ClientInfo | undefined {
    return this.#settings.client ? state.client : undefined;
  }

  #clientOfRow(row: SessionRow): ClientInfo | undefined {
    return (this.#settings.client ? this.#records.clientOf(row) : null) ?? undefined;
  }

  #oweCookie(state: SessionState): void {
    const { row, token } = state.stored!;
    const { cookie } = this.#settings;
    const expiresAt = cookie.rolling ? row.expiresAt : row.absoluteExpiresAt;
    state.owe(cookie.set(token.text, { now: this.#records.now(), expiresAt }));
  }
}

function lostToken(state: SessionState): Write["token"] {
  for (const { token } of state.unsure.values()) if (token !== null) return token;
  return null;
}

/** Milliseconds in which changes are applied: then the event loop is somebody else's. */
const MOST_WORK = 10;

function applied(
  content: Content,
  entries: readonly Entry[],
): { content: Content; joined: readonly Entry[] } {
  const joined: Entry[] = [];
  const until = performance.now() + MOST_WORK;
  for (const entry of entries) {
    if (joined.length > 0 && performance.now() > until) break;
    try {
      content = entry.change!.apply(content);
      joined.push(entry);
    } catch {
      // told when it is its turn
    }
  }
  return { content, joined };
}

function bytesOf({ plaintext, under }: Written): Uint8Array {
  return under ?? plaintext;
}

function reasonOf({ intent }: Write): WriteEvent["reason"] {
  return intent === "destroy" ? "save" : intent;
}
