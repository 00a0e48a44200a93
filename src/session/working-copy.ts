import type { Content } from "../codec/codec.ts";
import type { Snapshot } from "../codec/snapshot.ts";
import type { RefusedError } from "../errors.ts";
import { emptyContent, isEmpty, refill } from "./content.ts";
import { ownAuthentication, ownChanges } from "./identity.ts";
import { mergeContent } from "./merge.ts";
import type { Conflict, Settings } from "./settings.ts";

/** The content that the application reads and changes. */
export class WorkingCopy {
  readonly #settings: Settings;
  #content: Content | null = null;
  /** Of the content as it was opened; null for one that was not decoded, or decoded by a format that takes none. */
  snapshot: Snapshot | null = null;
  /** The bytes of the schema's defaults that a content without a row began with; null if it began empty. */
  #begun: Uint8Array | null = null;
  /** What was written together with the changes of other requests: merged when the content is next used. */
  #deferred: { readonly base: Uint8Array; readonly plaintext: Uint8Array } | null = null;
  #refusal: RefusedError | null = null;
  #epoch = 0;
  /** Defaults for starting over, of a schema that returns a promise. */
  readonly #defaults: Uint8Array | null;

  /** @param defaults the bytes of the schema's defaults; null for none, or if they can be evaluated at any time */
  constructor(settings: Settings, defaults: Uint8Array | null) {
    this.#settings = settings;
    this.#defaults = defaults;
  }

  /** Counts how often the content was started from nothing. What was stored in another epoch is not carried over. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Whether there is a content: false until the stored row is opened, so that nothing can have changed. */
  get isOpen(): boolean {
    return this.#content !== null;
  }

  /** Why the content cannot be used; null if it can. */
  get refusal(): RefusedError | null {
    return this.#refusal;
  }

  /** The content. Open the row first. */
  get content(): Content {
    if (this.#deferred !== null) {
      const { base, plaintext } = this.#deferred;
      this.#deferred = null;
      this.adopt(base, this.#settings.format.decode(plaintext));
    }
    return this.#content!;
  }

  set content(content: Content) {
    this.#content = content;
  }

  /** Starts with a new session's content: empty, or the schema's defaults. */
  begin(defaults: Uint8Array | null): void {
    this.#content = this.#beginning(defaults);
  }

  /** Every further use of the content throws this. */
  refuse(error: RefusedError): void {
    this.#content = null;
    this.#refusal = error;
  }

  /** The base of this request's changes while nothing is stored. */
  get begun(): Content {
    return this.#begun === null ? emptyContent() : this.#settings.format.decode(this.#begun);
  }

  #beginning(defaults: Uint8Array | null): Content {
    this.#begun = defaults;
    return defaults === null ? emptyContent() : this.#settings.format.decode(defaults);
  }

  #fresh(): Content {
    return this.#beginning(this.#settings.defaults?.now(this.#defaults) ?? null);
  }

  /** Adds the schema's defaults to a content that keeps only a part of what it was. */
  withDefaults(content: Content): Content {
    const { data } = this.#fresh();
    return this.#begun === null ? content : { ...content, data: { ...data, ...content.data } };
  }

  /** Replaces the content by an empty one, or by the schema's defaults. */
  clear(): void {
    this.#content = this.#fresh();
  }

  /** The same, in a new epoch: nothing that was stored or changed so far is kept. */
  startOver(): void {
    this.#deferred = null;
    this.clear();
    this.#epoch++;
  }

  /**
   * Drops everything that was stored, and keeps what this request changed, in a new epoch.
   * @param base the stored bytes
   * @param keepsUser whether the user stays: a login may name the user who was logged in before
   */
  keepOwnChanges(base: Uint8Array, keepsUser: boolean): void {
    const { format } = this.#settings;
    const { content } = this;
    const { user } = content;
    const loaded = format.decode(base);
    const authentication = ownAuthentication(loaded, content);
    this.#put(this.withDefaults(ownChanges(format, loaded, content)));
    if (keepsUser) Object.assign(this.#content!, { user, authentication });
    this.#epoch++;
  }

  /**
   * For a session without a row: whether it needs none, because nothing was put into it (promise 1). The base is the
   * defaults that this session was given, because later ones may differ: a date, for example.
   * @param isLogin whether its user logged in, and was not found in the data
   */
  isUnused(content: Content, isLogin: boolean): boolean {
    if (isEmpty(content)) return true;
    if (this.#begun === null || Object.keys(content.flash).length > 0) return false;
    const { format, userOf = format.userOf } = this.#settings;
    // A user whom `userOf` finds in the defaults did not log in.
    if (content.user !== undefined && (userOf === undefined || isLogin)) return false;
    const { data } = format.decode(this.#begun);
    const keys = Object.keys(content.data);
    return (
      keys.length === Object.keys(data).length &&
      keys.every((key) => Object.hasOwn(data, key) && format.same(data[key], content.data[key]))
    );
  }

  /** Merges what was written for several requests, but not before the content is used: after a response nobody does. */
  defer(base: Uint8Array, plaintext: Uint8Array): void {
    void this.content; // what was deferred before
    this.#deferred = { base, plaintext };
  }

  /**
   * Merges what others made of `base`, and keeps what changed here since. The data object, which the application may hold
   * on to, stays the same.
   */
  adopt(base: Uint8Array, theirs: Content, onConflict?: (conflict: Conflict) => unknown): void {
    const { format } = this.#settings;
    this.#put(mergeContent(format, format.decode(base), this.content, theirs, onConflict));
  }

  /** Undoes every change since these bytes were made. The data object stays the same. */
  restore(bytes: Uint8Array): void {
    this.#put(this.#settings.format.decode(bytes));
  }

  #put(content: Content): void {
    const { data } = this.content;
    this.#content = refill(data, content.data) ? { ...content, data } : content;
  }
}
