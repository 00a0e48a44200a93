import { isSameAuthentication } from "../codec/authentication.ts";
import type { Content } from "../codec/codec.ts";
import { RefusedError, StoreError, TooManySessionsError } from "../errors.ts";
import type { WriteEvent } from "../telemetry/channels.ts";
import { hasLinks } from "./authentication.ts";
import type { Settings } from "./settings.ts";
import type { SessionRow } from "../store/row.ts";
import type { ClientInfo } from "./format.ts";
import type { Change, Company } from "./group-commit.ts";
import { mayMerge, userOfStored } from "./identity.ts";
import { endOf } from "./lifetime.ts";
import { isUnknown } from "./lost-writes.ts";
import { oweCookie } from "./owed-cookie.ts";
import type { Records } from "./records.ts";
import { Recovery } from "./recovery.ts";
import { sameBytes } from "../shared/bytes.ts";
import { conformForSaving, conformStored, type Conforming } from "./schema.ts";
import { publishRefusal } from "./refusal.ts";
import { undoLogin } from "./refused-login.ts";
import type { SessionState } from "./state.ts";
import type { Stored } from "./stored-state.ts";
import type { Occasion } from "./recorder.ts";
import type { Token } from "./token.ts";
import { bytesOf, reasonOf, type Write, type Written } from "./write.ts";
import { WriteEngine, type Found } from "./write-engine.ts";

/** A content to write. */
export interface Wanted {
  readonly plaintext: Uint8Array;
  readonly user: string | undefined;
  /** Replaces everything that is stored, including keys that the schema strips. */
  readonly isWhole?: boolean;
}

/** A row that a write stored, and its content. */
interface Done {
  readonly row: SessionRow;
  readonly written: Written;
}

/** The change of a request, for another save to include. */
export type SessionChange = Change<Content, Done>;

/** The saves of a session that wait behind the running one. */
export type Waiting = Company<Content, Done>;

/**
 * The writes of a session. Each is conditional. Only a confirmed one sends a cookie (R41), and one whose answer was lost is
 * found again.
 */
export class Writes {
  readonly #records: Records;
  readonly #settings: Settings;
  /** Of `sessions.commit` and `sessions.update`. */
  readonly engine: WriteEngine<Content, Done>;
  readonly recovery: Recovery;

  constructor(records: Records) {
    this.#records = records;
    this.#settings = records.settings;
    this.engine = new WriteEngine(records.settings.storeTimeout);
    this.recovery = new Recovery(records);
  }

  /** Inserts a new session. False if an earlier insert whose answer was lost is found to have done so. */
  async insert(state: SessionState, { plaintext, user }: Wanted, write: Write): Promise<boolean> {
    const token = write.token!;
    const written = state.written(write, plaintext);
    const row = this.#records.begin(token, bytesOf(written), user, this.#clientOf(state));
    const insert = () => this.#records.insert(row, reasonOf(write), this.#occasion(state, user));
    if (await this.#during(state, write, { row, token }, written, insert)) {
      oweCookie(this.#records, state, true);
      return true;
    }
    if (await this.recovery.findLost(state)) return false;
    throw new StoreError(
      "A row with this session's random id already exists. Check whether another program writes to this table.",
    );
  }

  /** Replaces the stored row by one with a new id. */
  async replace(state: SessionState, { plaintext, user, isWhole }: Wanted, write: Write): Promise<boolean> {
    const { row: loaded } = state.stored!;
    const token = write.token!;
    const client = this.#clientOf(state) ?? this.#clientOfRow(loaded);
    const written = isWhole ? { plaintext, under: null } : state.written(write, plaintext);
    const sealed =
      write.intent === "regenerate"
        ? this.#records.continue(token, bytesOf(written), user, client, loaded)
        : this.#records.begin(token, bytesOf(written), user, client);
    const row = { ...sealed, links: sealed.links ?? (hasLinks(state) ? [] : undefined) };
    const isElevation = write.intent === "regenerate" && this.#isElevation(state, plaintext);
    const occasion = { ...this.#occasion(state, user), isElevation };
    const replace = () => this.#records.replace(loaded, row, reasonOf(write), occasion);
    if (!(await this.#during(state, write, { row, token }, written, replace))) return false;
    oweCookie(this.#records, state, write.intent === "login" || isElevation);
    return true;
  }

  /** Writes over the stored row. */
  async update(
    state: SessionState,
    { plaintext, user }: Wanted,
    write: Write,
    reason: WriteEvent["reason"] = "save",
    others: readonly SessionChange[] = [],
  ): Promise<boolean> {
    const { row: loaded, token } = state.stored!;
    const written = state.written(write, plaintext);
    const row = this.#records.next(token, bytesOf(written), user, loaded, state.newClient);
    const update = () => this.#records.update(loaded, row, reason);
    try {
      if (!(await this.#during(state, write, this.#renewed(row, token), written, update))) return false;
    } catch (error) {
      if (isUnknown(error)) {
        for (const other of others) other.lost({ row, written });
      }
      throw error;
    }
    this.#oweCookieFor(state, token);
    for (const other of others) other.settle({ row, written });
    return true;
  }

  /** A change to the data, for another save to include. */
  changeOf(state: SessionState, write: Write, apply: (content: Content) => Content): SessionChange {
    return {
      user: state.storedUser,
      isOpen: () =>
        !state.ended &&
        !state.pending.hasGrownSince(write.cut) &&
        state.intent === "save" &&
        state.lost.isEmpty,
      apply,
      settle: ({ row, written }) => {
        const { token } = state.stored!;
        state.changes++;
        state.settle(write, this.#renewed(row, token), written, true);
        this.#oweCookieFor(state, token);
      },
      lost: ({ row, written }) => void state.lost.add(row.version, { ...write, written }),
    };
  }

  /** Performs a write, and records its result. */
  async #during(
    state: SessionState,
    write: Write,
    stored: Stored,
    written: Written,
    work: () => Promise<boolean>,
  ): Promise<boolean> {
    state.nextToken.begin(write);
    let done = false;
    try {
      done = await state.lost.during(stored.row.version, { ...write, written }, work);
      if (done) {
        state.changes++;
        state.settle(write, stored, written);
      }
      return done;
    } catch (error) {
      if (error instanceof TooManySessionsError) undoLogin(state, write);
      throw error;
    } finally {
      state.nextToken.end(write, done);
    }
  }

  #renewed(row: SessionRow, token: Token): Stored {
    return { row, token: token.stale ? this.#settings.format.refresh(token) : token };
  }

  #oweCookieFor(state: SessionState, before: Token): void {
    if (before.stale || this.#settings.cookie.rolling) oweCookie(this.#records, state);
  }

  /** Writes over the stored row, with as many of the waiting changes as possible. */
  updateWith(company: Waiting, state: SessionState, own: Wanted, write: Write): Promise<boolean> {
    const { format } = this.#settings;
    return this.engine.writeWith(company, {
      row: state.stored!.row,
      own,
      user: state.storedUser,
      draft: () => format.decode(own.plaintext),
      check: (content) => this.#check(state, own, content),
      stored: ({ plaintext }) => {
        const isStored = sameBytes(plaintext, state.plaintext!);
        return isStored ? { row: state.stored!.row, written: state.stored!.written } : null;
      },
      write: (wanted, others) => {
        if (others.length === 0) return this.update(state, own, write);
        const draft = { ...write, draftOf: write.draftOf ?? own.plaintext };
        return this.update(state, wanted, draft, "save", others);
      },
    });
  }

  /** What to write for a content with the changes of others; null if it would belong to another user. */
  async #check(state: SessionState, own: Wanted, content: Content): Promise<Wanted | null> {
    const conforming = await conformForSaving(this.#settings, content);
    const user = state.userOf === undefined ? own.user : state.userAfter(conforming.data);
    if (user !== own.user) return null;
    const plaintext = this.#settings.format.encode({ ...conforming, user }, state.carriedOver);
    bytesOf(state.written(state.write(null), plaintext)); // may be too large
    return { plaintext, user };
  }

  isPastLimit({ stored }: SessionState): boolean {
    return stored !== null && this.#records.now() >= endOf(stored.row, this.#settings);
  }

  /**
   * A session that passed its limit since it was loaded is saved only if another request has moved that limit: a save in
   * flight does not revive it (promise 3).
   */
  async isAlive({ stored }: SessionState): Promise<boolean> {
    return (await this.#records.read(stored!.row.id)) !== null;
  }

  /** Reads the row, makes it the base, and merges this request's changes into it. */
  async rebase(state: SessionState): Promise<Found> {
    const { format, onConflict, cookie } = this.#settings;
    const { row: loaded, token } = state.stored!;
    const row = await this.#records.read(loaded.id);
    if (row === null) return "gone";
    let theirs: Conforming;
    try {
      const plaintext = format.open(row, token);
      theirs = await conformStored(this.#settings, plaintext, format.decode(plaintext));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error, this.#settings);
      return "gone";
    }
    const own = state.lost.find(row.version);
    if (own === undefined) {
      // Another user logged in under this id, in another version of the application: it is their session now.
      const theirUser = userOfStored(state.userOf, theirs.content);
      if (!state.startsOver && !mayMerge(state.storedUser, state.content.user, theirUser)) return "gone";
      state.rebase({ row, token }, theirs, onConflict);
      return "merged";
    }
    state.settle(own, { row, token: token.stale ? format.refresh(token) : token }, own.written);
    if (token.stale || cookie.rolling) oweCookie(this.#records, state);
    return "merged";
  }

  /** The same for a session that starts over: the content of the row, and whether it opens, do not matter. */
  async reread(state: SessionState): Promise<Found> {
    const { row: loaded } = state.stored!;
    const row = await this.#records.read(loaded.id);
    if (row === null) return "gone";
    state.stored = state.stored!.withRow(row);
    state.lost.clear(); // writes over the previous row, which can no longer be applied
    return "merged";
  }

  /** Deletes the session's row, and the one that a lost write may have stored. */
  async delete(state: SessionState): Promise<void> {
    const doomed = state.stored ?? state.refused;
    // In this order: once the row is gone that a lost write would replace, that write can no longer be applied.
    for (const id of [doomed?.row.id, state.lost.token?.id]) {
      if (id === undefined) continue;
      try {
        const userRef = doomed?.row.id === id ? doomed.row.userRef : undefined;
        if (await this.#records.delete(id, "destroy", { userRef, client: this.#clientOf(state) })) {
          state.lost.deleted = "confirmed";
          state.changes++;
        }
        // The row is gone: what is left of its links leads nowhere, and the expiry job removes it.
        if (hasLinks(state)) await this.#settings.store.links!.forget([id]).catch(() => {});
      } catch (error) {
        if (isUnknown(error)) state.lost.deleted ||= "possible";
        throw error;
      }
    }
  }

  #occasion(state: SessionState, user: string | undefined): Occasion {
    return { user, client: this.#clientOf(state), content: user === undefined ? undefined : state.proof };
  }

  /** Only the audit trail and device-bound sessions ask. */
  #isElevation({ plaintext: before }: SessionState, after: Uint8Array): boolean {
    const { format, device } = this.#settings;
    if ((this.#records.recorder === null && device === null) || before === null) return false;
    return !isSameAuthentication(format.decode(before).authentication, format.decode(after).authentication);
  }

  #clientOf(state: SessionState): ClientInfo | undefined {
    return this.#settings.client ? state.client : undefined;
  }

  #clientOfRow(row: SessionRow): ClientInfo | undefined {
    return (this.#settings.client ? this.#records.clientOf(row) : null) ?? undefined;
  }
}
