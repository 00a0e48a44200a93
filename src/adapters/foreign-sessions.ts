import type { Content } from "../codec/codec.ts";
import { afterChanges } from "../database/partial.ts";
import { ConflictError, RefusedError } from "../errors.ts";
import { channels, type ConflictEvent } from "../instrumentation/channels.ts";
import type { SessionManagerOptions, Settings } from "../options.ts";
import type { SessionRow } from "../row.ts";
import { handleOf } from "../session/handle.ts";
import { createSessionManager, recordsOf, settingsOf, type SessionManager } from "../session/manager.ts";
import { mergeContent } from "../session/merge.ts";
import type { Records } from "../session/records.ts";
import { publishRefusal } from "../session/state.ts";
import { rowIdOf, type Token } from "../session/token.ts";
import { Turns } from "../session/turns.ts";
import { EndedIds } from "./ended-ids.ts";

type Values = Record<string, unknown>;

/** Options of a drop-in store: those of `createSessionManager`, without what the middleware above decides. */
export type ForeignStoreOptions = Omit<
  SessionManagerOptions<Values>,
  "cookie" | "schema" | "upgrade" | "client" | "format"
>;

/**
 * A session as a request loaded or saved it: what its next save is measured against. It holds the token's bytes, so
 * it shows nothing when it is printed or serialized (R2).
 */
export class Baseline {
  readonly #row: SessionRow;
  readonly #plaintext: Uint8Array;
  readonly #merged: boolean;

  constructor(row: SessionRow, plaintext: Uint8Array, merged: boolean) {
    this.#row = row;
    this.#plaintext = plaintext;
    this.#merged = merged;
  }

  get row(): SessionRow {
    return this.#row;
  }

  /** What the request last knew to be stored. */
  get plaintext(): Uint8Array {
    return this.#plaintext;
  }

  /** Whether the row holds changes of other requests besides, so that it must not be written without merging. */
  get merged(): boolean {
    return this.#merged;
  }

  toJSON(): undefined {
    return undefined;
  }
}

/** A save that meets other requests' changes is tried again at most this often, and no longer than `storeTimeout`. */
const maxAttempts = 25;
const day = 86_400_000;

/**
 * Sessions whose ids and cookies belong to another library. The row id is the hash of the library's id, and `sid`,
 * where sealing needs it, is the id's own bytes (formats.md).
 */
export class ForeignSessions {
  /** For what does not need a cookie: `forUser`, `expire`, `scheduleExpiry`, `count`, `close`. */
  readonly sessions: SessionManager<Values>;
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #turns: Turns;
  readonly #ended: EndedIds = new EndedIds(() => this.now());

  constructor(options: ForeignStoreOptions) {
    // The cookie says how long a session lives, so without limits given here its own are the ones that count; 400
    // days are the most that browsers keep a cookie.
    const { preset, absoluteTimeout = 400 * day, idleTimeout = absoluteTimeout } = options;
    this.sessions = createSessionManager(
      preset === undefined ? { ...options, absoluteTimeout, idleTimeout } : options,
    );
    this.#settings = settingsOf(this.sessions as SessionManager<never>);
    this.#records = recordsOf(this.sessions as SessionManager<never>);
    // Behind one whose store hangs nobody waits longer than for the store itself.
    this.#turns = new Turns(this.#settings.storeTimeout);
  }

  now(): number {
    return this.#records.now();
  }

  /** When a session used now ends whose cookie names no time: after the idle timeout, at most 30 days. */
  defaultEnd(): number {
    return this.now() + Math.min(this.#settings.idleTimeout, 30 * day);
  }

  async load(id: string): Promise<{ data: Values; baseline: Baseline; expiresAt: number } | null> {
    const token = tokenOf(id);
    const row = await this.#records.read(token.id);
    if (row === null) {
      this.#ended.gone(handleOf(token.id));
      return null;
    }
    this.#ended.alive(handleOf(token.id));
    try {
      const plaintext = this.#settings.format.open(row, token);
      const { data } = this.#settings.format.decode(plaintext);
      return { data, baseline: new Baseline(row, plaintext, false), expiresAt: row.expiresAt };
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      if (this.#settings.onUnreadable === "throw") throw error;
      return null;
    }
  }

  /**
   * Saves a session.
   * @param baseline as this request loaded it, or saved it last; null for one that it never did
   * @param own keys of `data` that say when the session ends, as one value: this request's where it changed them,
   *   and else those that are stored, with the end that goes with them
   * @returns the baseline of the next save; null when the session had ended, and nothing was saved (promise 3)
   */
  async save(
    id: string,
    data: Values,
    baseline: Baseline | null,
    expiresAt: number,
    own: readonly string[] = [],
  ): Promise<Baseline | null> {
    const token = tokenOf(id);
    const mine: Content = { data, user: this.#userOf(data), flash: {} };
    const plaintext = this.#settings.format.encode(mine, baseline?.plaintext ?? null);
    if (baseline === null || !sameBytes(baseline.row.id, token.id)) {
      if (this.#ended.has(handleOf(token.id))) return null;
      return this.#begin(token, mine, plaintext, expiresAt);
    }
    const { row } = baseline;
    if (sameBytes(plaintext, baseline.plaintext)) return this.#touch(baseline, expiresAt);
    if (!baseline.merged && this.#records.isAlive(row)) {
      const next = this.#limited(this.#records.next(token, plaintext, mine.user, row), expiresAt);
      if (await this.#records.update(row, next, "save")) return new Baseline(next, plaintext, false);
    }
    return this.#turns.take(handleOf(row.id), () =>
      this.#merge(token, mine, plaintext, baseline, expiresAt, own),
    );
  }

  async #begin(token: Token, mine: Content, plaintext: Uint8Array, expiresAt: number): Promise<Baseline> {
    const until = this.#patience();
    let deleted = 0;
    try {
      for (let attempt = 1; ; attempt++) {
        const row = this.#limited(this.#records.begin(token, plaintext, mine.user, undefined), expiresAt);
        if (await this.#records.insert(row, "save")) {
          this.#ended.alive(handleOf(token.id));
          return new Baseline(row, plaintext, false);
        }
        // The id is taken and nobody here knows by what: as with every other store, the last one to set it wins.
        const present = await this.#records.store.read(token.id);
        if (present !== null && this.#records.isAlive(present)) {
          const next = this.#limited(this.#records.next(token, plaintext, mine.user, present), expiresAt);
          if (await this.#records.update(present, next, "save")) return new Baseline(next, plaintext, false);
        } else if (present !== null) {
          if (await this.#records.delete(token.id)) deleted++;
        }
        if (attempt === maxAttempts || performance.now() > until) throw this.#gaveUp(row, attempt);
      }
    } catch (error) {
      throw afterChanges(error, deleted, "deleted");
    }
  }

  async #merge(
    token: Token,
    mine: Content,
    minePlaintext: Uint8Array,
    baseline: Baseline,
    expiresAt: number,
    own: readonly string[],
  ): Promise<Baseline | null> {
    const { format, onConflict } = this.#settings;
    const base = format.decode(baseline.plaintext);
    const until = this.#patience();
    for (let attempt = 1; ; attempt++) {
      const row = await this.#records.read(token.id);
      // A row begun at another time is another session, whose id somebody chose to be the same.
      const sameSession = row !== null && row.createdAt === baseline.row.createdAt;
      const stored = sameSession ? this.#open(row, token) : null;
      if (row === null || stored === null) {
        this.#publishConflict(baseline.row, "ended", attempt);
        return null;
      }
      const theirs = format.decode(stored);
      const merged = mergeContent(format, base, mine, theirs, onConflict);
      const differ = (a: Content, b: Content): boolean =>
        own.some((key) => !format.same(a.data[key], b.data[key]));
      const deciding = differ(base, mine) ? mine : theirs;
      for (const key of own) {
        delete merged.data[key]; // they come last, as they do in what is saved, so that equal data is equal bytes
        if (Object.hasOwn(deciding.data, key)) merged.data[key] = deciding.data[key];
      }
      const end = differ(deciding, mine) ? row.expiresAt : expiresAt;
      merged.user = this.#userOf(merged.data);
      const plaintext = format.encode(merged, stored);
      this.#publishConflict(row, "merged", attempt);
      if (sameBytes(plaintext, stored)) return new Baseline(row, minePlaintext, true);
      const next = this.#limited(this.#records.next(token, plaintext, merged.user, row), end);
      if (await this.#records.update(row, next, "save")) return new Baseline(next, minePlaintext, true);
      if (attempt === maxAttempts || performance.now() > until) throw this.#gaveUp(baseline.row, attempt);
    }
  }

  /** Until when a save tries again. */
  #patience(): number {
    return performance.now() + this.#settings.storeTimeout;
  }

  #open(row: SessionRow, token: Token): Uint8Array | null {
    try {
      return this.#settings.format.open(row, token);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      return null;
    }
  }

  /** Moves the end of a session that was used, when that is due. */
  async touch(id: string, baseline: Baseline | null, expiresAt: number): Promise<Baseline | null> {
    if (baseline !== null && sameBytes(baseline.row.id, tokenOf(id).id))
      return this.#touch(baseline, expiresAt);
    const loaded = await this.load(id);
    return loaded && this.#touch(loaded.baseline, expiresAt);
  }

  /**
   * At most one write every `touchEvery`, or twentieth of the session's own life where that is shorter. It is not
   * waited for: a touch that fails has cost nobody anything, and is published.
   */
  #touch(baseline: Baseline, expiresAt: number): Baseline {
    const { row } = baseline;
    const now = this.now();
    // What this request knows of the cookie may be older than what it merged with, whose end then stands.
    const wanted = baseline.merged ? Math.max(expiresAt, row.expiresAt) : expiresAt;
    const end = this.#limited(row, wanted).expiresAt;
    const every = Math.min(this.#settings.touchEvery, (end - now) / 20);
    if (Math.abs(end - row.expiresAt) < every || !this.#records.isAlive(row)) return baseline;
    const times = { updatedAt: now, expiresAt: end };
    const touched = this.#records.touchOnce(row, times, every, () => this.#touchUnlessSaved(row, times));
    return new Baseline(touched, baseline.plaintext, baseline.merged);
  }

  /** A save by another request gave the session an end of its own, perhaps with another cookie. */
  async #touchUnlessSaved(
    row: SessionRow,
    times: Pick<SessionRow, "updatedAt" | "expiresAt">,
  ): Promise<void> {
    const stored = await this.#records.store.read(row.id);
    if (stored !== null && stored.version === row.version) await this.#records.touch(row.id, times);
  }

  destroy(id: string): Promise<boolean> {
    return this.#records.delete(tokenOf(id).id);
  }

  /** How many sessions have not ended. */
  length(): Promise<number> {
    return this.sessions.count();
  }

  /** Everything that is stored, ended sessions apart. Sessions sealed to their cookies cannot be opened: a TypeError. */
  async all(): Promise<{ data: Values; expiresAt: number }[]> {
    const { format } = this.#settings;
    if (!format.opensWithoutToken)
      throw new TypeError('Sessions sealed to their cookies (sealTo: "cookie") cannot be listed.');
    const found: { data: Values; expiresAt: number }[] = [];
    for await (const row of this.#rows()) {
      if (!this.#records.isAlive(row)) continue;
      try {
        found.push({ data: format.decode(format.open(row, null)).data, expiresAt: row.expiresAt });
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        publishRefusal(row, error);
      }
    }
    return found;
  }

  /**
   * Deletes every session of the table.
   * @throws {StoreError} the store failed; `changed` is how many were deleted by then
   */
  async clear(): Promise<void> {
    let deleted = 0;
    try {
      for await (const row of this.#rows()) if (await this.#records.delete(row.id)) deleted++;
    } catch (error) {
      throw afterChanges(error, deleted, "deleted");
    }
  }

  async *#rows(): AsyncGenerator<SessionRow> {
    let after: Uint8Array | null = null;
    for (;;) {
      const rows: SessionRow[] = await this.#settings.store.scan(after, 100);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.id;
    }
  }

  /** Stops schedules, waits for what is under way, touches included, and closes what the store opened. */
  close(): Promise<void> {
    return this.sessions.close();
  }

  #limited(row: SessionRow, expiresAt: number): SessionRow {
    const { idleTimeout } = this.#settings;
    const latest = Math.min(row.absoluteExpiresAt, this.now() + idleTimeout);
    return { ...row, expiresAt: Math.max(Math.min(expiresAt, latest), row.updatedAt) };
  }

  #userOf(data: Values): string | undefined {
    const user: unknown = this.#settings.userOf?.(data);
    return user === undefined || user === null || user === "" ? undefined : String(user as string);
  }

  #gaveUp(row: SessionRow, attempt: number): ConflictError {
    this.#publishConflict(row, "failed", attempt);
    return new ConflictError(
      `Other requests changed session ${handleOf(row.id)} each of the ${attempt} times that this one tried to save it. Nothing of this request is stored; try again.`,
    );
  }

  #publishConflict(row: SessionRow, outcome: ConflictEvent["outcome"], attempt: number): void {
    if (!channels.conflict.hasSubscribers) return;
    channels.conflict.publish({ handle: handleOf(row.id), outcome, attempt });
  }
}

function tokenOf(id: string): Token {
  if (typeof id !== "string" || id === "") throw new TypeError("A session's id is non-empty text.");
  const sid = new Uint8Array(Buffer.from(id));
  return { text: id, sid, id: rowIdOf(sid), stale: false };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
