/**
 * Longer than 300 lines: one short field or method for each thing that happens to a session during a request.
 */
import type { AuditContent } from "../audit/events.ts";
import type { Content } from "../codec/codec.ts";
import { Snapshot } from "../codec/snapshot.ts";
import { RefusedError } from "../errors.ts";
import type { DeviceDuties } from "./device-policy.ts";
import type { ClientInfo, ClientSource } from "./format.ts";
import { userAfter, userOfStored, type UserChange } from "./identity.ts";
import { LostSessionWrites } from "./lost-writes.ts";
import { mintBeside } from "./mint-beside.ts";
import { NextToken } from "./next-token.ts";
import { Pending, type Cut, type Intent } from "./pending.ts";
import { isOfContent, publishRefusal } from "./refusal.ts";
import type { Conforming } from "./schema.ts";
import type { Conflict, Settings } from "./settings.ts";
import { StoredState, unopened, type Stored } from "./stored-state.ts";
import type { Token } from "./token.ts";
import { WorkingCopy } from "./working-copy.ts";
import type { Write, Written } from "./write.ts";

/**
 * The state behind one `Session`: what is stored, the working copy, and the operations that are pending. The manager
 * reads and writes it; the application never sees it. pending.ts has a drawing of how it changes.
 */
export class SessionState {
  readonly settings: Settings;
  readonly startedAt: number;
  /** As last read or written; null for a session that the store does not have. */
  stored: StoredState | null;
  readonly working: WorkingCopy;
  readonly pending: Pending = new Pending();
  readonly lost: LostSessionWrites = new LostSessionWrites();
  readonly nextToken: NextToken;
  /** The row that was opened, but whose content was refused. Only `destroy` deletes it. */
  refused: Stored | null = null;
  /** The row of the cookie did not open. It may be another application's, so this session never deletes it. */
  unopened = false;
  /** The client that is recorded with the next write. Undefined if it is the recorded one. */
  newClient: ClientInfo | undefined;
  /** How the user authenticated, as passed to `login`. */
  proof: AuditContent | undefined;
  /** The loaded session has ended, and this one continues with only what this request set. */
  restarted = false;
  /** Whether the application accessed the session: the response then varies by cookie (R12). */
  accessed = false;
  /** Counts how often the application accessed it: for adapters, which thereby notice late changes. */
  uses = 0;
  /** For adapters: names on the session that refer to values in its data, because another library uses them. */
  lentNames: RegExp | null = null;
  /** For adapters: called at each use of the session after its response. */
  onUse: (() => void) | null = null;
  /** Ended, by this request or another: nothing is written any more. A login or reset starts a new session. */
  ended = false;
  /** The `Set-Cookie` value that the response owes; null for none. */
  setCookie: string | null = null;
  /** Whether the next commit still has to return `setCookie`. */
  cookieDue = false;
  readonly device: DeviceDuties = { headers: [], clear: [], isUnproved: false };
  /** Writes and deletes that the store has confirmed. */
  changes = 0;
  /** The last commit or update of this session object: they run one after another. */
  turn: Promise<unknown> | null = null;
  #client: ClientSource | undefined;

  /** @param defaults what a new session begins with; for a stored one, the result of `Defaults.ahead` */
  constructor(
    settings: Settings,
    stored: Stored | null,
    client: ClientSource | undefined,
    now: number,
    defaults: Uint8Array | null = null,
  ) {
    this.settings = settings;
    this.stored = stored && StoredState.unopened(stored);
    this.#client = client;
    this.startedAt = now;
    this.nextToken = new NextToken(() => mintBeside(settings, this.stored?.row.id ?? null));
    this.working = new WorkingCopy(settings, defaults);
    if (stored === null) this.working.begin(defaults);
  }

  /** What the next step of a commit does. */
  get intent(): Intent {
    return this.pending.intent;
  }

  /** The base of this request's changes: a copy. */
  get base(): Content {
    return this.plaintext === null ? this.working.begun : this.settings.format.decode(this.plaintext);
  }

  /** For a session without a row: whether it needs none, because nothing was put into it (promise 1). */
  isUnused(content: Content = this.content): boolean {
    return this.working.isUnused(content, this.intent === "login");
  }

  /** Address and user agent of the request, evaluated when a row needs them. */
  get client(): ClientInfo | undefined {
    if (typeof this.#client === "function") this.#client = this.#client();
    return this.#client;
  }

  /** Whether the row was opened, so that the content can have changed. */
  get opened(): boolean {
    return this.working.isOpen;
  }

  /** The working copy. Opens the row at first use: many requests never access their session. */
  get content(): Content {
    if (!this.working.isOpen) {
      if (this.working.refusal !== null) throw this.working.refusal;
      const error = this.#open();
      if (error !== null && this.settings.onUnreadable === "throw") throw error;
      if (error !== null) this.abandon(error);
    }
    return this.working.content;
  }

  set content(content: Content) {
    this.working.content = content;
  }

  /** Opens the stored row. Returns why it is refused, which is published; null if it is open. */
  #open(): RefusedError | null {
    const { format } = this.settings;
    const { row, token } = this.stored!;
    try {
      const plaintext = format.open(row, token);
      const snapshot = new Snapshot(plaintext);
      this.working.content = format.decode(plaintext, snapshot);
      this.working.snapshot = snapshot;
      this.stored = this.stored!.withContent({ plaintext, under: null });
      return null;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error, this.settings);
      return error;
    }
  }

  /** For `onUnreadable: "throw"`: every access throws this, and the application can still end the session. */
  refuse(error: RefusedError): void {
    this.working.refuse(error);
    this.stored = this.stored!.withContent(unopened);
  }

  /** Uses what the schema made of the stored content, as the content and as the base of changes. */
  show({ content, plaintext, under }: Conforming): void {
    this.working.content = content;
    this.stored = this.stored!.withContent({ plaintext, under });
  }

  /** What to store for the bytes of a content: with the keys that the schema strips, unless the session starts over. */
  written({ epoch }: Write, plaintext: Uint8Array): Written {
    const { stored } = this;
    if (stored === null || stored.epoch !== epoch) return { plaintext, under: null };
    return stored.keepingUnknownKeys(this.settings.format, plaintext);
  }

  /** The bytes of the content as stored; null if nothing is stored, or the row was not opened. */
  get plaintext(): Uint8Array | null {
    return this.stored === null ? null : this.stored.plaintext;
  }

  /** Nothing that is stored may be carried over: the session was reset or destroyed, or another user logs in. */
  get startsOver(): boolean {
    return this.stored !== null && this.stored.epoch !== this.working.epoch;
  }

  /** The stored bytes, for formats that keep what the application did not touch; null if the session starts over. */
  get carriedOver(): Uint8Array | null {
    return this.startsOver ? null : this.plaintext;
  }

  /** The stored row is refused (null: to this request); it continues with a new, anonymous session (R26). */
  abandon(error: RefusedError | null): void {
    if (error !== null && isOfContent(error)) this.refused = this.stored;
    else this.unopened = true;
    this.working.clear();
    this.stored = null;
    this.lost.deleted = false;
  }

  /**
   * The stored session has ended, and this request continues without it because it logs in. What this request set goes
   * on under a new id; what the ended session held does not (promise 3).
   */
  forgetStored(): void {
    if (this.carriedOver !== null) this.restarted = true;
    this.#keepOwnChanges();
    this.stored = null;
    this.lost.deleted = false;
    if (!this.working.isOpen) this.working.clear();
  }

  /** Applies the login rules to a user that changed in the data (decision 4). */
  changeUser(change: UserChange): void {
    if (change === "none") return;
    this.content.authentication = this.content.device = undefined; // of the user before
    if (change !== "login") this.#keepOwnChanges();
    if (change === "sign-out" && this.intent === "reset") return;
    this.pending.derive(change === "sign-out" ? "reset" : "login");
  }

  /** The user who was logged in when the session was last read or written; undefined if it was anonymous. */
  get storedUser(): string | undefined {
    const { carriedOver } = this;
    if (carriedOver === null) return undefined;
    return userOfStored(this.userOf, this.settings.format.decode(carriedOver));
  }

  /** The user who is logged in with this data. Requires a `userOf`. */
  userAfter(data: Content["data"]): string | undefined {
    const { carriedOver } = this;
    return userAfter(this.userOf!, data, carriedOver && this.settings.format.decode(carriedOver));
  }

  /** Finds the user in the data; undefined if only `login` names one. */
  get userOf(): Settings["userOf"] {
    return this.settings.userOf ?? this.settings.format.userOf;
  }

  /** Drops from the content what was stored. */
  #keepOwnChanges(): void {
    const { carriedOver } = this;
    if (carriedOver !== null && this.opened)
      this.working.keepOwnChanges(carriedOver, this.intent === "login");
  }

  /** Nothing that was stored or changed so far is kept. */
  startOver(): void {
    // A row that does not open is neither deleted nor replaced.
    const error = this.opened ? null : (this.working.refusal ?? this.#open());
    if (error !== null && !isOfContent(error)) this.abandon(error);
    this.working.startOver();
  }

  /**
   * Nothing is written for this session any more, and no cookie of an earlier commit is sent (R41).
   * @param cut when the step began that ended it: a login or reset that was requested later comes after the end
   */
  end(cut: Cut): void {
    this.ended = true;
    this.setCookie = null;
    this.cookieDue = false;
    this.device.headers = [];
    if (this.pending.hasGrownSince(cut) && (this.intent === "login" || this.intent === "reset"))
      this.beginAnew();
  }

  /** After the end: a login or reset gets a session of its own. */
  beginAnew(): void {
    if (!this.ended) return;
    this.ended = false;
    this.forgetStored();
  }

  owe(setCookie: string): void {
    this.setCookie = setCookie;
    this.cookieDue = true;
  }

  /** The token that this session will have after its commit. */
  get token(): Token {
    const { intent, stored } = this;
    const inFlight = this.nextToken.inFlight(this.pending);
    if (inFlight !== null) return inFlight;
    const rotates = intent === "login" || intent === "regenerate" || intent === "reset";
    return stored === null || rotates ? this.nextToken.value : stored.token;
  }

  /** A write of what was requested and changed up to now, under a new token or over the stored row. */
  write(token: Token | null, draftOf: Uint8Array | null = null): Write {
    // A draft of what is stored belongs to its epoch, even if the working copy has started over since.
    const epoch = token === null && draftOf !== null ? this.stored!.epoch : this.working.epoch;
    return { intent: this.intent, cut: this.pending.cut(), token, epoch, draftOf, before: null };
  }

  /**
   * Records a confirmed write. What was requested or changed after it is still to be done.
   * @param later merges the changes of other requests only when the content is next used, which is rare after a response
   */
  settle(write: Write, stored: Stored, written: Written, later = false): void {
    const { token, epoch, draftOf } = write;
    const { working } = this;
    this.stored = new StoredState(stored, written, epoch);
    if (token !== null) this.pending.doneUpTo(write.cut, epoch === working.epoch);
    this.nextToken.use(token);
    this.lost.clear();
    if (!later) this.adoptDraft(write, written.plaintext);
    else if (draftOf !== null && epoch === working.epoch) working.defer(draftOf, written.plaintext);
  }

  /** Merges what `sessions.update` made into the working copy, next to the other changes of the request. */
  adoptDraft({ draftOf, epoch }: Write, plaintext: Uint8Array): void {
    if (draftOf === null || epoch !== this.working.epoch) return;
    this.working.adopt(draftOf, this.settings.format.decode(plaintext));
  }

  /** Makes what another request stored the base, with the changes of this one on top. */
  rebase(stored: Stored, theirs: Conforming, onConflict?: (conflict: Conflict) => unknown): void {
    if (!this.startsOver) this.working.adopt(this.plaintext!, theirs.content, onConflict);
    this.stored = new StoredState(stored, theirs, this.stored!.epoch);
    this.lost.clear(); // writes over the previous row, which can no longer be applied
  }
}
