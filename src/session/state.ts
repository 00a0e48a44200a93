import type { Content } from "../codec/codec.ts";
import { RefusedError } from "../errors.ts";
import { channels, type RefuseEvent } from "../instrumentation/channels.ts";
import type { SessionRow } from "../row.ts";
import type { ClientInfo } from "./format.ts";
import { handleOf } from "./handle.ts";
import type { Settings } from "../options.ts";
import type { Token } from "./token.ts";

/** What the application asked of the session; decides what commit does. */
export type Intent = "save" | "login" | "regenerate" | "reset" | "destroy";

/** The session as the store has it, and the token that led there. */
export interface Stored {
  readonly row: SessionRow;
  readonly token: Token;
}

/** What stands behind one `Session`: the manager reads and writes it, the application never sees it. */
export class SessionState {
  readonly settings: Settings;
  readonly client: ClientInfo | undefined;
  readonly startedAt: number;
  /** As last read or written; null for a session that the store does not have. */
  stored: Stored | null;
  /** The row that was stored and did not open: only `destroy` still cares for it. */
  refused: Stored | null = null;
  intent: Intent = "save";
  /** Nothing of the stored content may be carried over: reset, destroyed, or another user logs in. */
  startsOver = false;
  /** Whether the application looked at the session: its response then varies by cookie (R12). */
  accessed = false;
  /** For adapters: told of each use of the session, once its response is over. */
  onUse: (() => void) | null = null;
  /** Ended by this request or by another: nothing is written any more. A login or a reset begins anew. */
  ended = false;
  /** The `Set-Cookie` value that the response owes; null for none. */
  setCookie: string | null = null;
  /** Whether the next commit still has to answer `setCookie`. */
  cookieDue = false;
  /** Versions of writes whose answer was lost, and what they were for. Finding one means that it was done. */
  readonly unsure: Map<number, Intent> = new Map();
  /** A delete's answer was lost: finding the row gone then means that it was ours. */
  deleteUnsure = false;
  /** Commits and updates of one session object run one after another. */
  turn: Promise<unknown> | null = null;
  #content: Content | null;
  /** Bytes of the content as stored; null while nothing is stored, or was not looked at. */
  plaintext: Uint8Array | null = null;
  #token: Token | null = null;

  constructor(settings: Settings, stored: Stored | null, client: ClientInfo | undefined, now: number) {
    this.settings = settings;
    this.stored = stored;
    this.client = client;
    this.startedAt = now;
    this.#content = stored === null ? emptyContent() : null;
  }

  /** Whether the envelope was opened, so that the content can have changed. */
  get opened(): boolean {
    return this.#content !== null;
  }

  /** The working copy. Opens the envelope at first use: most requests of a site never look. */
  get content(): Content {
    if (this.#content === null) {
      const { format, onUnreadable } = this.settings;
      const { row, token } = this.stored!;
      try {
        const plaintext = format.open(row, token);
        this.#content = format.decode(plaintext);
        this.plaintext = plaintext;
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        publishRefusal(row, error);
        if (onUnreadable === "throw") throw error;
        this.abandon();
      }
    }
    return this.#content!;
  }

  set content(content: Content) {
    this.#content = content;
  }

  /** The stored row is refused: what follows is a fresh anonymous session (R26). */
  abandon(): void {
    this.refused = this.stored;
    this.#content = emptyContent();
    this.forgetStored();
  }

  /** The stored session ended, but what this request does goes on without it: a login. */
  forgetStored(): void {
    this.stored = null;
    this.plaintext = null;
    this.#content ??= emptyContent();
  }

  /** Nothing that was stored or changed so far is kept. */
  startOver(intent: Intent): void {
    this.#content = emptyContent();
    this.startsOver = true;
    this.intent = intent;
  }

  /** What begins after the end: a login or a reset that follows it is owed a session of its own. */
  beginAnew(): void {
    if (!this.ended) return;
    this.ended = false;
    this.forgetStored();
  }

  /** The token of the next insert or replace. Kept across attempts, so that a repeated commit finds its own row. */
  get nextToken(): Token {
    return (this.#token ??= this.settings.format.mint());
  }

  /** The token that names this session after its commit. */
  get token(): Token {
    const rotates = this.intent === "login" || this.intent === "regenerate" || this.intent === "reset";
    return this.stored === null || rotates ? this.nextToken : this.stored.token;
  }

  /** Takes over what was written. */
  settle(stored: Stored, plaintext: Uint8Array): void {
    this.stored = stored;
    this.plaintext = plaintext;
    this.intent = "save";
    this.startsOver = false;
    this.#token = null;
    this.unsure.clear();
  }
}

export function emptyContent(): Content {
  return { data: {}, user: undefined, flash: {} };
}

export function isEmpty(content: Content): boolean {
  return (
    content.user === undefined &&
    Object.keys(content.data).length === 0 &&
    Object.keys(content.flash).length === 0
  );
}

export function publishRefusal(row: SessionRow, error: RefusedError): void {
  if (channels.refuse.hasSubscribers) {
    channels.refuse.publish({ handle: handleOf(row.id), reason: error.reason } satisfies RefuseEvent);
  }
}
