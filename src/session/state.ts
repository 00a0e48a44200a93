import type { Content } from "../codec/codec.ts";
import { RefusedError } from "../errors.ts";
import { channels, type RefuseEvent } from "../telemetry/channels.ts";
import type { SessionRow } from "../store/row.ts";
import { emptyContent, isEmpty, refill } from "./content.ts";
import type { ClientInfo, ClientSource } from "./format.ts";
import { handleOf } from "./handle.ts";
import type { Conflict, Settings } from "./settings.ts";
import { ownChanges, userAfter, userOfStored, type UserChange } from "./identity.ts";
import { isUnknown, LostWrites } from "./lost-writes.ts";
import { mergeContent } from "./merge.ts";
import { sameBytes } from "../shared/bytes.ts";
import type { Conforming } from "./schema.ts";
import type { Token } from "./token.ts";
import { withUnknownKeys } from "./unknown-keys.ts";
import type { Intent, Write, Written } from "./write.ts";

/** The session as the store has it, and the token that led there. */
export interface Stored {
  readonly row: SessionRow;
  readonly token: Token;
}

/** What stands behind one `Session`: the manager reads and writes it, the application never sees it. */
export class SessionState {
  readonly settings: Settings;
  readonly startedAt: number;
  /** As last read or written; null for a session that the store does not have. */
  stored: Stored | null;
  /** The row that was stored, opened and could not be used: only `destroy` still cares for it. */
  refused: Stored | null = null;
  /** The row of the cookie did not open. It may be another application's, so nothing of this session deletes it. */
  unopened = false;
  /** What is still to be done, at the next commit. */
  intent: Intent = "save";
  /** Whether the data asks for `intent`, by a change of its user, and not a call of the application's. */
  derived = false;
  /** Whether the session that was loaded ended meanwhile, and only what this request set is left of it. */
  restarted = false;
  /** Counts what was asked for: whoever waited for something sees by it that the intent is another one now. */
  asks = 0;
  /** How much of it was done. */
  #done = 0;
  /** The `asks` of the last that was more than a new id. */
  #decided = 0;
  /** Whether the application looked at the session: its response then varies by cookie (R12). */
  accessed = false;
  /** Names on the session that stand for those of its data: another library's, which an adapter admits. */
  lentNames: RegExp | null = null;
  /** For adapters: told of each use of the session, once its response is over. */
  onUse: (() => void) | null = null;
  /** Ended by this request or by another: nothing is written any more. A login or a reset begins anew. */
  ended = false;
  /** The `Set-Cookie` value that the response owes; null for none. */
  setCookie: string | null = null;
  /** Whether the next commit still has to answer `setCookie`. */
  cookieDue = false;
  readonly lost: LostWrites = new LostWrites();
  /** Writes and deletes that the store has confirmed. */
  changes = 0;
  /** Commits and updates of one session object run one after another. */
  turn: Promise<unknown> | null = null;
  #client: ClientSource | undefined;
  #content: Content | null;
  /** What was written together with other requests' changes, and is yet to be taken into the content. */
  #pending: { readonly base: Uint8Array; readonly plaintext: Uint8Array } | null = null;
  /** Why the content cannot be looked at. */
  #refusal: RefusedError | null = null;
  /** Bytes of the content as stored; null while nothing is stored, or was not looked at. */
  plaintext: Uint8Array | null = null;
  /** What the row holds where that is more than the schema lets the application see; null elsewhere. */
  #under: Uint8Array | null = null;
  /** The bytes that a content without a row began with, where its schema has defaults. */
  #begun: Uint8Array | null = null;
  /** Defaults for starting over, of a schema that answers with a promise. */
  readonly #defaults: Uint8Array | null;
  #token: Token | null = null;
  #underWay: Write | null = null;
  /** How often the content was started from nothing, and at which of these starts what is stored was written. */
  #start = 0;
  #storedStart = 0;

  /** @param defaults what a new session begins with; for a stored one, what `Defaults.ahead` answered */
  constructor(
    settings: Settings,
    stored: Stored | null,
    client: ClientSource | undefined,
    now: number,
    defaults: Uint8Array | null = null,
  ) {
    this.settings = settings;
    this.stored = stored;
    this.#client = client;
    this.startedAt = now;
    this.#defaults = defaults;
    this.#content = stored === null ? this.#begin(defaults) : null;
  }

  #begin(defaults: Uint8Array | null): Content {
    this.#begun = defaults;
    return defaults === null ? emptyContent() : this.settings.format.decode(defaults);
  }

  /** A content that starts from nothing: from the schema's defaults, where it has some. */
  #fresh(): Content {
    return this.#begin(this.settings.defaults?.now(this.#defaults) ?? null);
  }

  /** A content that keeps only some of what it was, with the schema's defaults for the rest. */
  withDefaults(content: Content): Content {
    const { data } = this.#fresh();
    return this.#begun === null ? content : { ...content, data: { ...data, ...content.data } };
  }

  /** What changes of this request are measured against: a copy. */
  get base(): Content {
    const bytes = this.plaintext ?? this.#begun;
    return bytes === null ? emptyContent() : this.settings.format.decode(bytes);
  }

  /**
   * For a session without a row: whether it is worth none, since nothing was put into it (promise 1). Compared with the
   * defaults that this very session was given: those of later may be another date.
   */
  isUnused(content: Content = this.content): boolean {
    if (isEmpty(content)) return true;
    if (this.#begun === null || Object.keys(content.flash).length > 0) return false;
    // A user whom `userOf` finds in the defaults is nobody who logged in.
    if (content.user !== undefined && (this.userOf === undefined || this.intent === "login")) return false;
    const { format } = this.settings;
    const { data } = format.decode(this.#begun);
    const keys = Object.keys(content.data);
    return (
      keys.length === Object.keys(data).length &&
      keys.every((key) => Object.hasOwn(data, key) && format.same(data[key], content.data[key]))
    );
  }

  /** Who a row is begun by, worked out when it is needed. */
  get client(): ClientInfo | undefined {
    if (typeof this.#client === "function") this.#client = this.#client();
    return this.#client;
  }

  /** Whether the envelope was opened, so that the content can have changed. */
  get opened(): boolean {
    return this.#content !== null;
  }

  /** The working copy. Opens the envelope at first use: most requests of a site never look. */
  get content(): Content {
    if (this.#pending !== null) {
      const { base, plaintext } = this.#pending;
      this.#pending = null;
      this.adopt(base, this.settings.format.decode(plaintext));
    }
    if (this.#content === null) {
      if (this.#refusal !== null) throw this.#refusal;
      const error = this.#open();
      if (error !== null && this.settings.onUnreadable === "throw") throw error;
      if (error !== null) this.abandon(error);
    }
    return this.#content!;
  }

  /** Opens the stored row. Answers why it is refused, which is published; null when it is open. */
  #open(): RefusedError | null {
    const { format } = this.settings;
    const { row, token } = this.stored!;
    try {
      const plaintext = format.open(row, token);
      this.#content = format.decode(plaintext);
      this.plaintext = plaintext;
      return null;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      return error;
    }
  }

  set content(content: Content) {
    this.#content = content;
  }

  /** For `onUnreadable: "throw"`: whoever looks is told, and may still end the session. */
  refuse(error: RefusedError): void {
    this.#content = null;
    this.plaintext = null;
    this.#refusal = error;
  }

  /** Takes what the schema made of the stored content for the content, and for the base of changes. */
  show({ content, plaintext, under }: Conforming): void {
    this.#content = content;
    this.plaintext = plaintext;
    this.#under = under;
  }

  /** The bytes to store for those of a content: with what the schema does not let the application see. */
  written({ start }: Write, plaintext: Uint8Array): Written {
    if (this.#under === null || start !== this.#storedStart) return { plaintext, under: null };
    const { format } = this.settings;
    const mine = format.decode(plaintext);
    const { data: stored } = format.decode(this.#under);
    const { data: seen } = format.decode(this.plaintext!);
    const data = withUnknownKeys(stored, seen, mine.data, (a, b) => format.same(a, b));
    const under = format.encode({ ...mine, data }, this.#under);
    return { plaintext, under: sameBytes(under, plaintext) ? null : under };
  }

  /** What is stored, as it was read or written last. */
  get storedAs(): Written {
    return { plaintext: this.plaintext!, under: this.#under };
  }

  /** Nothing of what is stored may be carried over: reset, destroyed, or another user logs in. */
  get startsOver(): boolean {
    return this.#start !== this.#storedStart;
  }

  /** What was stored, for formats that give back what the application did not touch: nothing for who starts over. */
  get carriedOver(): Uint8Array | null {
    return this.startsOver ? null : this.plaintext;
  }

  /** The stored row is refused: what follows is a fresh anonymous session (R26). */
  abandon(error: RefusedError): void {
    if (isOfContent(error)) this.refused = this.stored;
    else this.unopened = true;
    this.plaintext = null;
    this.#content = this.#fresh();
    this.forgetStored();
  }

  /**
   * The stored session ended, and what this request does goes on without it: a login. What the ended one held does not
   * come back under a new id (promise 3); what this request set does.
   */
  forgetStored(): void {
    if (this.plaintext !== null && !this.startsOver) this.restarted = true;
    this.#keepOwnChanges();
    this.stored = null;
    this.plaintext = null;
    this.#under = null;
    this.lost.deleted = false;
    this.#content ??= this.#fresh();
  }

  /** Login rules for a user that changed by way of the data (decision 4). */
  changeUser(change: UserChange): void {
    if (change === "none") return;
    if (change !== "login") this.#keepOwnChanges();
    if (change === "sign-out" && this.intent === "reset") return;
    this.intent = change === "sign-out" ? "reset" : "login";
    this.derived = true;
  }

  /** Whose session is stored: the user who was logged in when it was read or written; undefined for nobody. */
  get storedUser(): string | undefined {
    if (this.plaintext === null || this.startsOver) return undefined;
    return userOfStored(this.userOf, this.settings.format.decode(this.plaintext));
  }

  /** Who is logged in with this data; needs a `userOf`. */
  userAfter(data: Content["data"]): string | undefined {
    const isKept = this.plaintext !== null && !this.startsOver;
    return userAfter(this.userOf!, data, isKept ? this.settings.format.decode(this.plaintext!) : null);
  }

  /** Finds the user in the data; undefined where only a login names one. */
  get userOf(): Settings["userOf"] {
    return this.settings.userOf ?? this.settings.format.userOf;
  }

  /** Drops from the content what was stored. */
  #keepOwnChanges(): void {
    if (this.plaintext === null || this.#content === null || this.startsOver) return;
    void this.content;
    const { format } = this.settings;
    const { user } = this.#content;
    this.#put(this.withDefaults(ownChanges(format, format.decode(this.plaintext), this.#content)));
    if (this.intent === "login") this.#content.user = user; // who may be the one that was logged in before
    this.#start++;
  }

  /** What the next commit is to do. A new id that is due already is all that `regenerate` wants. */
  ask(intent: Intent): void {
    this.asks++;
    if (intent === "regenerate" && this.intent !== "save") return;
    this.intent = intent;
    this.derived = false;
    if (intent !== "regenerate") this.#decided = this.asks;
  }

  /** Whether something is still to be done that was asked for by the time that `asks` tells. */
  isDue(asks: number): boolean {
    return this.#done < asks;
  }

  /** Nothing that was stored or changed so far is kept. */
  startOver(): void {
    // What does not open is neither deleted nor replaced.
    const error = this.#content === null ? (this.#refusal ?? this.#open()) : null;
    if (error !== null && !isOfContent(error)) this.abandon(error);
    this.#pending = null;
    this.#content = this.#fresh();
    this.#start++;
  }

  /**
   * Nothing is written for this session any more, and no cookie that an earlier commit made is sent (R41).
   * @param asks of when this began: a login or a reset of later comes after the end
   */
  end(asks: number): void {
    this.ended = true;
    this.setCookie = null;
    this.cookieDue = false;
    if (this.asks !== asks && (this.intent === "login" || this.intent === "reset")) this.beginAnew();
  }

  /** What begins after the end: a login or a reset that follows it is owed a session of its own. */
  beginAnew(): void {
    if (!this.ended) return;
    this.ended = false;
    this.forgetStored();
  }

  owe(setCookie: string): void {
    this.setCookie = setCookie;
    this.cookieDue = true;
  }

  /** The token of the next insert or replace. Kept across attempts, so that a repeated commit finds its own row. */
  get nextToken(): Token {
    return (this.#token ??= this.settings.format.mint());
  }

  /** The token that names this session after its commit. */
  get token(): Token {
    const { intent, stored } = this;
    const { token = null, asks } = this.#underWay ?? {};
    if (token !== null && asks === this.asks) return token;
    const rotates = intent === "login" || intent === "regenerate" || intent === "reset";
    return stored === null || rotates ? this.nextToken : stored.token;
  }

  /** A write of what was asked for and changed up to now, under a new token or over the stored row. */
  write(token: Token | null, draftOf: Uint8Array | null = null): Write {
    const { intent, asks } = this;
    // A draft of what is stored belongs to the start of that, also where the working copy was started anew since.
    const start = token === null && draftOf !== null ? this.#storedStart : this.#start;
    return { intent, asks, token, start, draftOf };
  }

  /** Does a write, and takes over what was written. What is asked for meanwhile gets a token of its own. */
  async during(
    write: Write,
    stored: Stored,
    written: Written,
    work: () => Promise<boolean>,
  ): Promise<boolean> {
    this.#underWay = write;
    if (write.token !== null) this.#token = null;
    let done = false;
    try {
      done = await work();
      if (done) {
        this.changes++;
        this.settle(write, stored, written);
      }
      return done;
    } catch (error) {
      if (isUnknown(error)) this.lost.add(stored.row.version, { ...write, written });
      throw error;
    } finally {
      this.#underWay = null;
      if (!done && write.token !== null) this.#token = write.token;
    }
  }

  /**
   * Takes over what was written. What was asked for since is still to be done.
   * @param later takes what others wrote into the working copy when somebody looks, which after a response nobody does
   */
  settle(write: Write, stored: Stored, { plaintext, under }: Written, later = false): void {
    this.stored = stored;
    this.plaintext = plaintext;
    this.#under = under;
    this.#storedStart = write.start;
    if (write.token !== null) this.#done = write.asks;
    if (write.token !== null && write.start === this.#start) this.derived = false;
    if (!this.derived) {
      if (this.#done === this.asks) this.intent = "save";
      // A login that is done is not done again for a new id that is wanted since: it could bring back what ended.
      else if (this.#done >= this.#decided) this.intent = "regenerate";
    }
    if (this.#token === write.token) this.#token = null;
    this.lost.clear();
    if (!later) return this.adoptDraft(write, plaintext);
    if (this.#pending !== null) void this.content;
    const { draftOf, start } = write;
    if (draftOf !== null && start === this.#start) this.#pending = { base: draftOf, plaintext };
  }

  /** Takes what `sessions.update` made into the working copy, beside the other changes of the request. */
  adoptDraft({ draftOf, start }: Write, plaintext: Uint8Array): void {
    if (draftOf === null || start !== this.#start) return;
    this.adopt(draftOf, this.settings.format.decode(plaintext));
  }

  /** Takes what another request stored for the base, with the changes of this one on top. */
  rebase(
    stored: Stored,
    { content: theirs, plaintext, under }: Conforming,
    onConflict?: (conflict: Conflict) => unknown,
  ): void {
    if (!this.startsOver) this.adopt(this.plaintext!, theirs, onConflict);
    this.stored = stored;
    this.plaintext = plaintext;
    this.#under = under;
    this.lost.clear(); // writes over the row of before, which can come no more
  }

  /**
   * Brings into the working copy what others made of `base`, keeping what changed here since.
   * The data object, which the application may hold on to, stays the same.
   */
  adopt(base: Uint8Array, theirs: Content, onConflict?: (conflict: Conflict) => unknown): void {
    const { format } = this.settings;
    const merged = mergeContent(format, format.decode(base), this.content, theirs, onConflict);
    this.#put(merged);
  }

  #put(content: Content): void {
    const { data } = this.content;
    this.content = refill(data, content.data) ? { ...content, data } : content;
  }
}

/** Whether a row was opened, so that it is known to be ours, and refused for what was in it. */
function isOfContent({ reason }: RefusedError): boolean {
  return reason === "schema" || reason === "decode";
}

export function publishRefusal(row: Pick<SessionRow, "id">, error: RefusedError): void {
  if (channels.refuse.hasSubscribers) {
    channels.refuse.publish({ handle: handleOf(row.id), reason: error.reason } satisfies RefuseEvent);
  }
}
