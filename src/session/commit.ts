import type { Content } from "../codec/codec.ts";
import { ConflictError, RefusedError, SessionEndedError, StoreError } from "../errors.ts";
import { channels, type ConflictEvent, type WriteEvent } from "../instrumentation/channels.ts";
import type { Settings } from "../options.ts";
import type { SessionRow } from "../row.ts";
import type { ClientInfo } from "./format.ts";
import { handleOf } from "./handle.ts";
import { endOf } from "./lifetime.ts";
import { mergeContent } from "./merge.ts";
import type { Records } from "./records.ts";
import { conformForSaving, conformStored } from "./schema.ts";
import { isEmpty, publishRefusal, type SessionState, type Stored } from "./state.ts";
import { Turns } from "./turns.ts";

/** A commit that meets other requests' changes is tried again at most this often. */
const maxAttempts = 25;

/**
 * What commit does for each state a session can be in: the table of design §3. Nothing here knows of requests; the
 * answer is a `Set-Cookie` value, or null when there is nothing to send.
 */
export class Committer {
  readonly #records: Records;
  readonly #settings: Settings;
  readonly #turns: Turns = new Turns();

  constructor(records: Records) {
    this.#records = records;
    this.#settings = records.settings;
  }

  async commit(state: SessionState): Promise<string | null> {
    if (state.ended) return null;
    if (state.intent === "destroy") return this.#destroy(state);
    if (state.unsure.size > 0) await this.#findLostWrite(state);
    if (state.intent !== "save") void state.content; // opens it, which may show that there is nothing to continue
    if (state.opened) await this.#runHooks(state);
    if (!(await this.#stillAlive(state))) return this.#end(state);
    if (state.stored === null) return isEmpty(state.content) ? null : this.#insert(state, reasonOf(state));
    return state.intent === "save" ? this.#save(state) : this.#rotate(state);
  }

  /** `sessions.update`: atomic and saved at once, apart from what else this request changed. */
  async update(state: SessionState, change: Change): Promise<void> {
    if (state.ended || state.intent === "destroy") throw hasEnded();
    if (state.unsure.size > 0) await this.#findLostWrite(state);
    void state.content; // opens it: a row that is refused makes this a new session
    if (!(await this.#stillAlive(state))) {
      this.#end(state);
      throw hasEnded();
    }
    if (state.stored !== null && state.intent !== "save") {
      // a new id is due: it comes first, so that the change is made to the session that goes on
      state.cookieDue = (await this.commit(state)) !== null;
      if (state.ended || state.stored === null) throw hasEnded();
    }
    if (state.stored === null) {
      applyChange(state.content, change);
      await this.#runHooks(state);
      await this.#insert(state, "save");
      state.cookieDue = true;
      return;
    }
    if (await this.#updateOnce(state, change)) return;
    const { row } = state.stored;
    await this.#inTurn(state, row, () => this.#updateOnce(state, change));
    if (state.ended) throw hasEnded();
  }

  async #updateOnce(state: SessionState, change: Change): Promise<boolean> {
    const { format, userOf, schema } = this.#settings;
    const { row, token } = state.stored!;
    const base = format.decode(state.plaintext!);
    let draft = format.decode(state.plaintext!);
    applyChange(draft, change);
    if (userOf !== undefined) draft.user = userOf(draft.data) || undefined;
    if (schema !== undefined) draft = await conformForSaving(schema, draft);
    const plaintext = format.encode(draft, state.plaintext);
    if (!sameBytes(plaintext, state.plaintext!)) {
      const next = this.#records.next(token, plaintext, draft.user, row);
      if (!(await this.#attempt(state, next, () => this.#records.update(row, next, "save")))) return false;
      state.restore({ row: next, token }, plaintext);
    }
    adopt(state, mergeContent(format, base, state.content, format.decode(plaintext)));
    return true;
  }

  /** Runs the application's hooks. One that throws never leaves a session valid that was to end (R43). */
  async #runHooks(state: SessionState): Promise<void> {
    const { userOf, schema, format } = this.#settings;
    try {
      if (userOf !== undefined && state.intent !== "login") {
        state.content.user = userOf(state.content.data) || undefined;
      }
      if (schema === undefined || isEmpty(state.content)) return;
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

  /**
   * A session that passed its limit since it was loaded is only saved when another request has moved that limit:
   * a save in flight brings nothing back (promise 3). A login goes on without it.
   */
  async #stillAlive(state: SessionState): Promise<boolean> {
    if (state.stored === null || this.#records.now() < endOf(state.stored.row, this.#settings)) return true;
    if ((await this.#records.read(state.stored.row.id)) !== null) return true;
    if (state.intent !== "login") return false;
    state.forgetStored();
    return true;
  }

  async #endNow(state: SessionState): Promise<void> {
    state.ended = true;
    if (state.stored !== null) await this.#records.delete(state.stored.row.id);
  }

  async #destroy(state: SessionState): Promise<string | null> {
    if (state.stored === null) {
      state.ended = true;
      return null;
    }
    let deleted: boolean;
    try {
      deleted = await this.#records.delete(state.stored.row.id);
    } catch (error) {
      state.deleteUnsure ||= error instanceof StoreError && error.outcome === "unknown";
      throw error;
    }
    state.ended = true;
    return deleted || state.deleteUnsure ? this.#settings.cookie.clear() : null;
  }

  async #insert(state: SessionState, reason: WriteEvent["reason"]): Promise<string | null> {
    const token = state.nextToken;
    const plaintext = this.#settings.format.encode(state.content, null);
    const row = this.#records.begin(token, plaintext, state.content.user, this.#clientOf(state));
    if (!(await this.#attempt(state, row, () => this.#records.insert(row, reason)))) {
      throw new StoreError(
        "A row with this session's random id exists already: does another program write this table?",
      );
    }
    state.settle({ row, token }, plaintext);
    return this.#setCookie(state);
  }

  async #rotate(state: SessionState): Promise<string | null> {
    const { intent } = state;
    const { format } = this.#settings;
    for (let attempt = 1; state.stored !== null; attempt++) {
      const { row: loaded } = state.stored;
      const { content, nextToken: token } = state;
      const plaintext = format.encode(content, state.plaintext);
      const client = this.#clientOf(state) ?? this.#records.clientOf(loaded) ?? undefined;
      const next =
        intent === "regenerate"
          ? this.#records.continue(token, plaintext, content.user, client, loaded)
          : this.#records.begin(token, plaintext, content.user, client);
      if (await this.#attempt(state, next, () => this.#records.replace(loaded, next, reasonOf(state)))) {
        state.settle({ row: next, token }, plaintext);
        return this.#setCookie(state);
      }
      let alive: boolean;
      try {
        alive = await this.#rebase(state);
      } catch (error) {
        if (!(error instanceof StoreError)) await this.#endNow(state); // `onConflict` threw (R43)
        throw error;
      }
      this.#publishConflict(loaded, alive ? "merged" : "ended", attempt);
      if (!alive) {
        // Who logs in is owed a session although the one before it ended; who only changes the id is not.
        if (intent !== "login") return this.#end(state);
        state.forgetStored();
      } else if (attempt === maxAttempts) {
        throw this.#gaveUp(loaded, attempt);
      } else {
        await pause(attempt);
      }
    }
    return this.#insert(state, "login");
  }

  async #save(state: SessionState): Promise<string | null> {
    const { format, cookie, touchEvery } = this.#settings;
    const { row, token } = state.stored!;
    const plaintext = state.opened ? format.encode(state.content, state.plaintext) : null;
    if (plaintext === null || sameBytes(plaintext, state.plaintext!)) {
      const due = this.#records.now() - row.updatedAt >= touchEvery;
      if (token.stale || (cookie.rolling && due)) return this.#renew(state);
      if (due) state.stored = { row: this.#records.touchLater(row), token };
      return state.cookieDue ? this.#setCookie(state) : null;
    }
    const sendCookie = cookie.rolling || token.stale || state.cookieDue;
    if (!(await this.#write(state, plaintext))) {
      await this.#inTurn(state, row, async () => {
        const merged = format.encode(state.content, state.plaintext);
        return sameBytes(merged, state.plaintext!) || (await this.#write(state, merged));
      });
    }
    return sendCookie && !state.ended ? this.#setCookie(state) : null;
  }

  async #write(state: SessionState, plaintext: Uint8Array): Promise<boolean> {
    const { row, token } = state.stored!;
    const next = this.#records.next(token, plaintext, state.content.user, row);
    const written = await this.#attempt(state, next, () => this.#records.update(row, next, "save"));
    if (written) state.settle({ row: next, token: this.#freshly(token) }, plaintext);
    return written;
  }

  /**
   * Writes an unchanged session once more, because its cookie must be sent again: its tag is of an older key, or the
   * cookie rolls. Only a write that was confirmed may send a cookie (R41), and it carries row and token to the
   * newest key as well.
   */
  async #renew(state: SessionState): Promise<string | null> {
    const { content } = state; // opens the row, which may refuse it
    if (state.stored === null) return null;
    const { row, token } = state.stored;
    const plaintext = state.plaintext!;
    const next = this.#records.next(token, plaintext, content.user, row);
    const written = await this.#attempt(state, next, () => this.#records.update(row, next, "renew"));
    if (!written) return null; // a parallel request did it, or the session ended
    state.settle({ row: next, token: this.#freshly(token) }, plaintext);
    return this.#setCookie(state);
  }

  #freshly(token: Stored["token"]): Stored["token"] {
    return token.stale ? this.#settings.format.refresh(token) : token;
  }

  /**
   * Rebases the session on what is stored now and tries again, in turn with the other conflicting commits of this
   * session in this process: so 64 of them need 64 tries, not 2,000. Marks the session when it has ended.
   */
  #inTurn(state: SessionState, loaded: SessionRow, tryAgain: () => Promise<boolean>): Promise<void> {
    return this.#turns.take(handleOf(loaded.id), async () => {
      for (let attempt = 1; ; attempt++) {
        const alive = await this.#rebase(state);
        this.#publishConflict(loaded, alive ? "merged" : "ended", attempt);
        if (!alive) {
          this.#end(state);
          return;
        }
        if (await tryAgain()) return;
        if (attempt === maxAttempts) throw this.#gaveUp(loaded, attempt);
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
    if (state.plaintext === null || state.switchedUser) {
      state.stored = { row, token }; // nothing of the old content is carried over
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
      const base = format.decode(state.plaintext);
      adopt(state, mergeContent(format, base, state.content, theirs, onConflict));
    }
    state.stored = { row, token };
    state.plaintext = plaintext;
    return true;
  }

  /** After a write whose answer was lost: looks for the row that it would have made under the new id. */
  async #findLostWrite(state: SessionState): Promise<void> {
    if (state.stored !== null && state.intent === "save") return; // an update: the version will tell
    const token = state.nextToken;
    const row = await this.#records.read(token.id);
    if (row === null || !state.unsure.has(row.version)) return;
    const { content } = state;
    state.settle({ row, token }, this.#settings.format.open(row, token));
    state.content = content;
    state.cookieDue = true;
  }

  async #attempt(state: SessionState, row: SessionRow, write: () => Promise<boolean>): Promise<boolean> {
    try {
      return await write();
    } catch (error) {
      if (error instanceof StoreError && error.outcome === "unknown") state.unsure.add(row.version);
      throw error;
    }
  }

  #clientOf(state: SessionState): ClientInfo | undefined {
    return this.#settings.client ? state.client : undefined;
  }

  #setCookie(state: SessionState): string {
    const { row, token } = state.stored!;
    const { cookie } = this.#settings;
    state.cookieDue = false;
    const expiresAt = cookie.rolling ? row.expiresAt : row.absoluteExpiresAt;
    return cookie.set(token.text, { now: this.#records.now(), expiresAt });
  }

  #end(state: SessionState): null {
    state.ended = true;
    return null;
  }

  #gaveUp(row: SessionRow, attempt: number): ConflictError {
    this.#publishConflict(row, "failed", attempt);
    return new ConflictError(
      `Other requests changed session ${handleOf(row.id)} each of ${attempt} times that this one tried to save it. Nothing of this request is stored; try again.`,
    );
  }

  #publishConflict(row: SessionRow, outcome: ConflictEvent["outcome"], attempt: number): void {
    if (!channels.conflict.hasSubscribers) return;
    channels.conflict.publish({ handle: handleOf(row.id), outcome, attempt } satisfies ConflictEvent);
  }
}

/** What `sessions.update` is given: changes the draft, or returns another. */
export type Change = (data: Record<string, unknown>) => void | Record<string, unknown>;

function applyChange(content: Content, change: Change): void {
  const answer: unknown = change(content.data);
  if (answer === undefined) return;
  if (typeof answer !== "object" || answer === null || Array.isArray(answer) || "then" in answer) {
    throw new TypeError(
      "sessions.update takes a plain function: it changes the data it is given, or returns an object.",
    );
  }
  content.data = answer as Record<string, unknown>;
}

/** Puts new content into the working copy, keeping the data object that the application may hold on to. */
function adopt(state: SessionState, content: Content): void {
  const { data } = state.content;
  for (const key of Object.keys(data)) delete data[key];
  Object.assign(data, content.data);
  state.content = { ...content, data };
}

function reasonOf(state: SessionState): WriteEvent["reason"] {
  return state.intent === "destroy" ? "save" : state.intent;
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
