import type { Content } from "../codec/codec.ts";
import { ConflictError, RefusedError, SessionEndedError, StoreError } from "../errors.ts";
import { channels, type ConflictEvent, type WriteEvent } from "../instrumentation/channels.ts";
import type { Conflict, Settings } from "../options.ts";
import type { SessionRow } from "../row.ts";
import { addOwn } from "../codec/own.ts";
import type { ClientInfo } from "./format.ts";
import { handleOf } from "./handle.ts";
import { plainAnswer, userIdOf } from "./hooks.ts";
import { endOf } from "./lifetime.ts";
import { mergeContent } from "./merge.ts";
import type { Records } from "./records.ts";
import { conformForSaving, conformStored } from "./schema.ts";
import { isEmpty, publishRefusal, type Intent, type SessionState } from "./state.ts";
import { Turns } from "./turns.ts";

/** A commit that meets other requests' changes is tried again at most this often, and no longer than `storeTimeout`. */
const maxAttempts = 25;

/**
 * What commit does for each state a session can be in: the table of design §3. Nothing here knows of requests; the
 * answer is a `Set-Cookie` value, or null when there is nothing to send.
 */
export class Committer {
  readonly #records: Records;
  readonly #settings: Settings;
  readonly #turns: Turns;

  constructor(records: Records) {
    this.#records = records;
    this.#settings = records.settings;
    // Behind one whose store hangs nobody waits longer than for the store itself.
    this.#turns = new Turns(records.settings.storeTimeout);
  }

  async commit(state: SessionState): Promise<string | null> {
    await this.#commit(state);
    const due = state.cookieDue ? state.setCookie : null;
    state.cookieDue = false;
    return due;
  }

  async #commit(state: SessionState): Promise<void> {
    if (state.settings !== this.#settings) {
      throw new TypeError("This session was loaded by another manager: commit it there.");
    }
    if (state.ended) return;
    if (state.intent === "destroy") return this.#destroy(state);
    if (state.unsure.size > 0) await this.#findLostWrite(state);
    if (state.intent !== "save") void state.content; // opens it, which may show that there is nothing to continue
    if (state.opened) await this.#runHooks(state);
    if (this.#isPastLimit(state) && !(await this.#stillAlive(state))) return end(state);
    if (state.stored !== null) return state.intent === "save" ? this.#save(state) : this.#rotate(state);
    if (!isEmpty(state.content)) await this.#insert(state, state.content);
  }

  /** `sessions.update`: atomic and saved at once, apart from what else this request changed. */
  async update(state: SessionState, change: Change): Promise<void> {
    if (state.ended || state.intent === "destroy") throw hasEnded();
    if (state.unsure.size > 0) await this.#findLostWrite(state);
    void state.content; // opens it: a row that is refused makes this a new session
    if (state.stored === null) return this.#updateNew(state, change);
    // a new id that is due comes first, so that the change is made to the session that goes on
    if (state.intent !== "save") await this.#commit(state);
    else if (this.#isPastLimit(state) && !(await this.#stillAlive(state))) end(state);
    if (!state.ended && !(await this.#updateOnce(state, change))) {
      await this.#inTurn(state, state.stored.row, () => this.#updateOnce(state, change));
    }
    if (state.ended) throw hasEnded();
  }

  async #updateNew(state: SessionState, change: Change): Promise<void> {
    const { format } = this.#settings;
    const draft = await this.#draft(format.encode(state.content, null), change);
    if (!isEmpty(draft)) await this.#insert(state, draft);
    adopt(state, draft);
  }

  async #updateOnce(state: SessionState, change: Change): Promise<boolean> {
    const { format } = this.#settings;
    const loaded = state.plaintext!;
    const draft = await this.#draft(loaded, change);
    const plaintext = format.encode(draft, loaded);
    if (!sameBytes(plaintext, loaded) && !(await this.#write(state, plaintext, draft.user, "save")))
      return false;
    adopt(state, mergeContent(format, format.decode(loaded), state.content, format.decode(plaintext)));
    return true;
  }

  /** A copy of the content with a change of the application's made to it, as it would be saved. */
  async #draft(plaintext: Uint8Array, change: Change): Promise<Content> {
    const { format, schema } = this.#settings;
    const draft = format.decode(plaintext);
    const answer: unknown = plainAnswer("sessions.update", change(draft.data));
    if (answer !== undefined) {
      if (typeof answer !== "object" || answer === null || Array.isArray(answer)) {
        throw new TypeError(
          "sessions.update takes a function that changes the data it is given, or returns an object.",
        );
      }
      draft.data = answer as Record<string, unknown>;
    }
    if (this.#settings.userOf !== undefined) draft.user = this.#userOf(draft.data);
    return schema === undefined ? draft : conformForSaving(schema, draft);
  }

  #userOf(data: Record<string, unknown>): string | undefined {
    const user: unknown = plainAnswer("userOf", this.#settings.userOf!(data));
    return user === undefined || user === null || user === "" ? undefined : userIdOf(user, "userOf");
  }

  /** Runs the application's hooks. One that throws never leaves a session valid that was to end (R43). */
  async #runHooks(state: SessionState): Promise<void> {
    const { userOf, schema, format } = this.#settings;
    try {
      if (userOf !== undefined) {
        const user = this.#userOf(state.content.data);
        if (state.intent === "login" && user !== state.content.user) {
          throw new TypeError(
            "session.login and `userOf` name different users: put the user into the data as `userOf` reads it.",
          );
        }
        state.content.user = user;
      }
      if (schema === undefined) return;
      const unchanged =
        state.plaintext !== null &&
        state.intent === "save" &&
        sameBytes(format.encode(state.content, state.plaintext), state.plaintext);
      if (!unchanged) adopt(state, await conformForSaving(schema, state.content));
    } catch (error) {
      if (state.intent !== "save") await this.#endNow(state);
      throw error;
    }
  }

  #isPastLimit({ stored }: SessionState): boolean {
    return stored !== null && this.#records.now() >= endOf(stored.row, this.#settings);
  }

  /**
   * A session that passed its limit since it was loaded is only saved when another request has moved that limit:
   * a save in flight brings nothing back (promise 3). A login goes on without it.
   */
  async #stillAlive(state: SessionState): Promise<boolean> {
    if ((await this.#records.read(state.stored!.row.id)) !== null) return true;
    if (state.intent !== "login") return false;
    state.forgetStored();
    return true;
  }

  async #endNow(state: SessionState): Promise<void> {
    if (state.stored !== null) await this.#records.delete(state.stored.row.id);
    end(state);
  }

  async #destroy(state: SessionState): Promise<void> {
    const doomed = state.stored ?? state.refused;
    if (doomed === null) return end(state);
    let deleted: boolean;
    try {
      deleted = await this.#records.delete(doomed.row.id);
    } catch (error) {
      state.deleteUnsure ||= isUnknown(error);
      throw error;
    }
    end(state);
    if (deleted || state.deleteUnsure) this.#owe(state, this.#settings.cookie.clear());
  }

  async #insert(state: SessionState, content: Content): Promise<void> {
    const token = state.nextToken;
    const plaintext = this.#settings.format.encode(content, null);
    const row = this.#records.begin(token, plaintext, content.user, this.#clientOf(state));
    const reason = reasonOf(state.intent);
    if (await this.#attempt(state, row, () => this.#records.insert(row, reason))) {
      state.settle({ row, token }, plaintext);
      this.#oweCookie(state);
    } else if (await this.#findLostWrite(state)) {
      await this.#commit(state);
    } else {
      throw new StoreError(
        "A row with this session's random id exists already: does another program write this table?",
      );
    }
  }

  async #rotate(state: SessionState): Promise<void> {
    const { intent } = state;
    const { format } = this.#settings;
    const until = performance.now() + this.#settings.storeTimeout;
    let plaintext = format.encode(state.content, carriedOver(state));
    for (let attempt = 1; state.stored !== null; attempt++) {
      const { row: loaded } = state.stored;
      const { content, nextToken: token } = state;
      const client = this.#clientOf(state) ?? this.#clientOfRow(loaded);
      const next =
        intent === "regenerate"
          ? this.#records.continue(token, plaintext, content.user, client, loaded)
          : this.#records.begin(token, plaintext, content.user, client);
      if (await this.#attempt(state, next, () => this.#records.replace(loaded, next, reasonOf(intent)))) {
        state.settle({ row: next, token }, plaintext);
        return this.#oweCookie(state);
      }
      if (await this.#findLostWrite(state)) return this.#commit(state);
      let alive: boolean;
      try {
        alive = await this.#rebase(state);
        if (alive) plaintext = format.encode(state.content, carriedOver(state));
      } catch (error) {
        if (!(error instanceof StoreError)) await this.#endNow(state); // `onConflict` threw or answered junk (R43)
        throw error;
      }
      this.#publishConflict(loaded, alive ? "merged" : "ended", attempt);
      if (!alive) {
        // Who logs in is owed a session although the one before it ended; who only changes the id is not.
        if (intent !== "login") return end(state);
        state.forgetStored();
      } else if (attempt === maxAttempts || performance.now() > until) {
        throw this.#gaveUp(loaded, attempt);
      } else {
        await pause(attempt);
      }
    }
    await this.#insert(state, state.content);
  }

  async #save(state: SessionState): Promise<void> {
    const { format, cookie, touchEvery } = this.#settings;
    const { row, token } = state.stored!;
    const plaintext = state.opened ? format.encode(state.content, state.plaintext) : null;
    if (plaintext === null || sameBytes(plaintext, state.plaintext!)) {
      const due = this.#records.now() - row.updatedAt >= touchEvery;
      if (token.stale || (cookie.rolling && due)) await this.#renew(state);
      else if (due) state.stored = { row: this.#records.touchLater(row), token };
    } else if (!(await this.#write(state, plaintext, state.content.user, "save"))) {
      await this.#inTurn(state, row, async () => {
        const merged = format.encode(state.content, state.plaintext);
        return sameBytes(merged, state.plaintext!) || this.#write(state, merged, state.content.user, "save");
      });
    }
  }

  /**
   * Writes an unchanged session once more, because its cookie must be sent again: its tag is of an older key, or the
   * cookie rolls. It carries row and token to the newest key as well. When it does not match, a parallel request
   * did it, or the session ended.
   */
  async #renew(state: SessionState): Promise<void> {
    try {
      void state.content; // opens the row, which may refuse it
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return; // `onUnreadable: "throw"` is for those who look
    }
    if (state.stored !== null) await this.#write(state, state.plaintext!, state.content.user, "renew");
  }

  /** The conditional write over the stored row. Only one that was confirmed sends the cookie again (R41). */
  async #write(
    state: SessionState,
    plaintext: Uint8Array,
    user: string | undefined,
    reason: WriteEvent["reason"],
  ): Promise<boolean> {
    const { row, token } = state.stored!;
    const next = this.#records.next(token, plaintext, user, row);
    if (!(await this.#attempt(state, next, () => this.#records.update(row, next, reason)))) return false;
    const { format, cookie } = this.#settings;
    state.settle({ row: next, token: token.stale ? format.refresh(token) : token }, plaintext);
    if (token.stale || cookie.rolling) this.#oweCookie(state);
    return true;
  }

  /**
   * Rebases the session on what is stored now and tries again, in turn with the other conflicting commits of this
   * session in this process: so 64 of them need 64 tries, not 2,000. Marks the session when it has ended.
   */
  #inTurn(state: SessionState, loaded: SessionRow, tryAgain: () => Promise<boolean>): Promise<void> {
    return this.#turns.take(handleOf(loaded.id), async () => {
      const until = performance.now() + this.#settings.storeTimeout;
      for (let attempt = 1; ; attempt++) {
        const alive = await this.#rebase(state);
        this.#publishConflict(loaded, alive ? "merged" : "ended", attempt);
        if (!alive) return end(state);
        if (await tryAgain()) return;
        if (attempt === maxAttempts || performance.now() > until) throw this.#gaveUp(loaded, attempt);
        await pause(attempt);
      }
    });
  }

  /** Takes the row as it is now for the base, with this request's changes on top. False when the session has ended. */
  async #rebase(state: SessionState): Promise<boolean> {
    const { format, schema, upgrade, onConflict } = this.#settings;
    const { row: loaded, token } = state.stored!;
    const row = await this.#records.read(loaded.id);
    if (row === null) return false;
    if (state.startsOver) {
      state.stored = { row, token };
      return true;
    }
    let theirs: Content;
    let plaintext: Uint8Array;
    try {
      plaintext = format.open(row, token);
      theirs = format.decode(plaintext);
      if (schema !== undefined) {
        theirs = await conformStored(schema, upgrade, theirs);
        plaintext = format.encode(theirs, plaintext);
      }
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      return false;
    }
    if (!state.unsure.has(row.version)) {
      const ask = onConflict && ((conflict: Conflict) => plainAnswer("onConflict", onConflict(conflict)));
      adopt(state, mergeContent(format, format.decode(state.plaintext!), state.content, theirs, ask));
    }
    state.stored = { row, token };
    state.plaintext = plaintext;
    return true;
  }

  /**
   * After a write whose answer was lost: looks for the row that it would have made under the new id, and goes on from
   * there. What the application wants beyond what arrived is still to be done.
   */
  async #findLostWrite(state: SessionState): Promise<boolean> {
    if (state.unsure.size === 0 || (state.stored !== null && state.intent === "save")) return false; // the version will tell
    const token = state.nextToken;
    const row = await this.#records.read(token.id);
    const arrived = row === null ? undefined : state.unsure.get(row.version);
    if (row === null || arrived === undefined) return false;
    const { format } = this.#settings;
    const { intent, content, startsOver } = state;
    const plaintext = format.open(row, token);
    const wanted = format.encode(content, startsOver ? null : plaintext);
    state.settle({ row, token }, plaintext);
    if (intent !== arrived || !sameBytes(wanted, plaintext)) {
      state.intent = intent;
      state.startsOver = startsOver;
    }
    this.#oweCookie(state);
    return true;
  }

  async #attempt(state: SessionState, row: SessionRow, write: () => Promise<boolean>): Promise<boolean> {
    try {
      return await write();
    } catch (error) {
      if (isUnknown(error)) state.unsure.set(row.version, state.intent);
      throw error;
    }
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
    this.#owe(state, cookie.set(token.text, { now: this.#records.now(), expiresAt }));
  }

  #owe(state: SessionState, setCookie: string): void {
    state.setCookie = setCookie;
    state.cookieDue = true;
  }

  #gaveUp(row: SessionRow, attempt: number): ConflictError {
    this.#publishConflict(row, "failed", attempt);
    return new ConflictError(
      `Other requests changed session ${handleOf(row.id)} each of the ${attempt} times that this one tried to save it. Nothing of this request is stored; try again.`,
    );
  }

  #publishConflict(row: SessionRow, outcome: ConflictEvent["outcome"], attempt: number): void {
    if (!channels.conflict.hasSubscribers) return;
    channels.conflict.publish({ handle: handleOf(row.id), outcome, attempt } satisfies ConflictEvent);
  }
}

/** What `sessions.update` is given: changes the draft, or returns another. */
export type Change = (data: Record<string, unknown>) => void | Record<string, unknown>;

/** Nothing is written for this session any more, and no cookie that an earlier commit made is sent (R41). */
function end(state: SessionState): void {
  state.ended = true;
  state.setCookie = null;
  state.cookieDue = false;
}

/** What was stored, for formats that give back what the application did not touch: nothing for who starts over. */
function carriedOver(state: SessionState): Uint8Array | null {
  return state.startsOver ? null : state.plaintext;
}

/** Puts new content into the working copy, keeping the data object that the application may hold on to. */
function adopt(state: SessionState, content: Content): void {
  const { data } = state.content;
  const kept = content.data === data || refill(data, content.data);
  state.content = kept ? { ...content, data } : content;
}

/** False when the object cannot be changed, because the application froze it. */
function refill(target: Record<string, unknown>, source: Record<string, unknown>): boolean {
  if (!Object.isExtensible(target)) return false;
  for (const key of Object.keys(target)) if (!Reflect.deleteProperty(target, key)) return false;
  for (const key of Object.keys(source)) addOwn(target, key, source[key]);
  return true;
}

function reasonOf(intent: Intent): WriteEvent["reason"] {
  return intent === "destroy" ? "save" : intent;
}

function isUnknown(error: unknown): boolean {
  return error instanceof StoreError && error.outcome === "unknown";
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function hasEnded(): SessionEndedError {
  return new SessionEndedError(
    "The session has ended: it was destroyed, revoked, expired or given a new id meanwhile.",
  );
}

/** The first tries follow at once; after that others get a growing, random chance to finish. */
function pause(attempt: number): Promise<void> {
  if (attempt < 3) return Promise.resolve();
  return new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(2 ** attempt, 50)));
}
