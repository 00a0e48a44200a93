import { afterChanges } from "../../store/partial-failure.ts";
import { OptionsError, RefusedError } from "../../errors.ts";
import type { SessionManagerOptions } from "../../options.ts";
import type { Settings } from "../../session/settings.ts";
import type { RowInfo, SessionRow } from "../../store/row.ts";
import { opensAlone } from "../../session/format.ts";
import { createSessionManager, recordsOf, settingsOf, type SessionManager } from "../../manager.ts";
import type { Records } from "../../session/records.ts";
import { publishRefusal } from "../../session/refusal.ts";
import { keyOf, sameBytes } from "../../shared/bytes.ts";
import { ownerOf } from "../../session/user-rows.ts";
import { Baseline } from "./baseline.ts";
import { walk } from "../../session/walk.ts";
import { wholeRows } from "../../session/whole-rows.ts";
import { EndedIds } from "./ended-ids.ts";
import { limitedEnd } from "./rows.ts";
import { contentOf, saveOf } from "./save.ts";
import { DropInSaves } from "./saves.ts";
import { dropInToken } from "./token.ts";

type Values = Record<string, unknown>;

/** Options of a drop-in store: those of `createSessionManager`, except the ones that the middleware determines. */
export type DropInStoreOptions = Omit<
  SessionManagerOptions<Values>,
  "cookie" | "schema" | "upgrade" | "client" | "format" | "onClientChange" | "deviceBinding"
>;

const day = 86_400_000;

/**
 * Sessions whose ids and cookies are managed by another library. The row id is the hash of the library's id, and `sid`,
 * if sealing needs it, consists of the id's own bytes (docs/formats.md).
 */
export class DropInSessions {
  /** For operations that need no cookie: `forUser`, `expire`, `scheduleExpiry`, `count`, `close`. */
  readonly sessions: SessionManager<Values>;
  /** Maximum size of the encoded session. */
  readonly maxBytes: number;
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #saves: DropInSaves;
  readonly #ended: EndedIds = new EndedIds(() => this.now());

  constructor(options: DropInStoreOptions) {
    if ((options as { onClientChange?: unknown } | undefined)?.onClientChange !== undefined) {
      throw new OptionsError([
        "`onClientChange` does not exist for a store of another library's middleware, which does not tell it the client. Move to an adapter to use it.",
      ]);
    }
    if ((options as { deviceBinding?: unknown } | undefined)?.deviceBinding !== undefined) {
      throw new OptionsError([
        "`deviceBinding` does not work with a drop-in store: its middleware sends the cookie. Leave it out, or use the adapter of your framework, such as stored-session/express.",
      ]);
    }
    // The cookie determines the lifetime of a session, so without explicit limits its own apply. Browsers keep a cookie
    // for at most 400 days.
    const {
      preset,
      absoluteTimeout = 400 * day,
      idleTimeout = absoluteTimeout,
    } = (options as DropInStoreOptions | undefined) ?? {};
    this.sessions = createSessionManager(
      preset === undefined ? { ...options, absoluteTimeout, idleTimeout } : options,
    );
    this.maxBytes = options.maxBytes ?? 1_048_576;
    this.#settings = settingsOf(this.sessions as SessionManager<never>);
    this.#records = recordsOf(this.sessions as SessionManager<never>);
    this.#saves = new DropInSaves(this.#settings, this.#records);
  }

  now(): number {
    return this.#records.now();
  }

  /** The end of a session used now whose cookie has no expiry: after the idle timeout, at most 30 days. */
  defaultEnd(): number {
    return this.now() + Math.min(this.#settings.idleTimeout, 30 * day);
  }

  async load(id: string): Promise<{ data: Values; baseline: Baseline; expiresAt: number } | null> {
    const token = dropInToken(id);
    const row = await this.#records.read(token.id);
    if (row === null) {
      this.#ended.gone(keyOf(token.id));
      return null;
    }
    this.#ended.alive(keyOf(token.id));
    try {
      const plaintext = this.#settings.format.open(row, token);
      const { data, user } = this.#settings.format.decode(plaintext);
      return { data, baseline: Baseline.loaded(id, row, plaintext, user), expiresAt: row.expiresAt };
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error, this.#records.settings);
      if (this.#settings.onUnreadable === "throw") throw error;
      return null;
    }
  }

  /**
   * Saves a session. If it did not change, this is a touch.
   * @param baseline as this request loaded or last saved it. Null if it did neither
   * @param expiresAt the end of the session. Null keeps the stored one, if the request does not know better
   * @param own keys of `data` that determine the session's end, merged as one value: this request's if it changed them,
   *   otherwise the stored ones, with the end that belongs to them
   * @returns the baseline of the next save. Null if the session has ended and nothing was saved (promise 3)
   */
  async save(
    id: string,
    data: Values,
    baseline: Baseline | null,
    expiresAt: number | null,
    own: readonly string[] = [],
  ): Promise<Baseline | null> {
    const token = dropInToken(id);
    const known = baseline?.isOf(id) === true ? baseline : null;
    if (known === null) {
      const { mine, plaintext } = contentOf(this.#settings, data, null);
      const name = keyOf(token.id);
      if (this.#ended.has(name)) return null;
      const begun = await this.#saves.begin(token, mine, plaintext, expiresAt ?? this.defaultEnd());
      this.#ended.alive(name);
      return begun;
    }
    const save = saveOf(this.#settings, data, known, { expiresAt, own });
    // After a save with an unknown outcome, the stored state is unknown. Saving again resolves it.
    if (!sameBytes(save.plaintext, known.plaintext) || !known.lost.isEmpty)
      return this.#saves.change(token, save);
    return expiresAt === null ? known : this.#touch(known, expiresAt);
  }

  /** Whether this request set an end in the past. Otherwise it is only late, and saves after the end that it loaded. */
  isToEnd(data: Values, baseline: Baseline, expiresAt: number, own: readonly string[]): boolean {
    if (baseline.isShortenedTo(expiresAt)) return true;
    const { format } = this.#settings;
    const base = format.decode(baseline.plaintext).data;
    return own.some((key) => !format.same(base[key], data[key]));
  }

  /** Extends a used session, if that is due. */
  async touch(id: string, baseline: Baseline | null, expiresAt: number): Promise<Baseline | null> {
    if (baseline?.isOf(id) === true) return this.#touch(baseline, expiresAt);
    // The age of this session is unknown, so its end may be outdated.
    const loaded = await this.load(id);
    return loaded && this.#touch(loaded.baseline, Math.max(expiresAt, loaded.expiresAt));
  }

  /**
   * Extends a session that did not change, if that is due. Null if it may have changed, or if only a save can tell: then
   * nothing was done.
   * @param data not copied
   */
  touchUnchanged(id: string, data: Values, baseline: Baseline, expiresAt: number): Baseline | null {
    const { format, userOf } = this.#settings;
    const { user } = baseline;
    if (user === null || !baseline.isOf(id) || !baseline.lost.isEmpty || expiresAt <= this.now()) return null;
    try {
      if (userOf !== undefined && userOf(data) !== user) return null;
      if (format.encodesTo?.({ data, user, flash: {} }, baseline.plaintext) !== true) return null;
    } catch {
      return null; // a value that JSON would convert, or that cannot be stored
    }
    return this.#touch(baseline, expiresAt);
  }

  /**
   * At most one write per `touchEvery`, or per twentieth of the session's own lifetime if that is shorter. The response
   * does not wait for it. A failed touch has no effect on the request and is published.
   */
  #touch(baseline: Baseline, expiresAt: number): Baseline {
    const { row } = baseline;
    const now = this.now();
    // This request's knowledge of the cookie may be older than the session it merged with; then the stored end applies.
    const wanted = baseline.merged ? Math.max(expiresAt, row.expiresAt) : expiresAt;
    const end = limitedEnd(this.#records, row, wanted);
    const every = Math.min(this.#settings.touchEvery, (end - now) / 20);
    if (Math.abs(end - row.expiresAt) < every || !this.#records.isAlive(row)) return baseline;
    const times = { updatedAt: now, expiresAt: end };
    const touched = this.#records.touchOnce(row, times, every, () => this.#touchUnlessSaved(baseline, times));
    return baseline.touched(touched);
  }

  /** Another request's save gave the session its own end, perhaps with another cookie. */
  async #touchUnlessSaved(
    baseline: Baseline,
    { updatedAt, expiresAt }: Pick<SessionRow, "updatedAt" | "expiresAt">,
  ): Promise<void> {
    const { row } = baseline;
    const stored = await this.#records.store.read(row.id);
    if (stored === null || stored.version !== row.version) return;
    // A later touch may have been applied first.
    await this.#records.touch(row.id, {
      updatedAt: Math.max(updatedAt, stored.updatedAt),
      expiresAt: baseline.isShortenedTo(expiresAt) ? expiresAt : Math.max(expiresAt, stored.expiresAt),
    });
  }

  /** If `app` is set, delete only sessions that can be decrypted: other applications may share the table. */
  async destroy(id: string): Promise<boolean> {
    const token = dropInToken(id);
    const { format } = this.#settings;
    const row = format.formerUserRefs && (await this.#records.store.read(token.id));
    if (row) {
      try {
        format.open(row, token);
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        publishRefusal(row, error, this.#records.settings);
        return false;
      }
    }
    return this.#records.delete(token.id);
  }

  /** Returns the number of live sessions. */
  length(): Promise<number> {
    return this.sessions.count();
  }

  /**
   * Returns the data of all live sessions. Throws a TypeError for sessions sealed to their cookies, which cannot be
   * decrypted.
   */
  async all(): Promise<{ data: Values; expiresAt: number }[]> {
    const { format } = this.#settings;
    const sealed = () =>
      new TypeError('Sessions sealed to their cookies (sealTo: "cookie") cannot be listed.');
    if (!format.opensWithoutToken && format.needsToken === undefined) throw sealed();
    const found: { data: Values; expiresAt: number }[] = [];
    for await (const row of wholeRows(this.#records, this.#rows())) {
      if (!this.#records.isAlive(row)) continue;
      if (!opensAlone(format, row)) throw sealed();
      try {
        found.push({ data: format.decode(format.open(row, null)).data, expiresAt: row.expiresAt });
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        publishRefusal(row, error, this.#records.settings);
      }
    }
    return found;
  }

  /**
   * Deletes every session in the table; if `app` is set, only the application's own.
   * @throws {StoreError} the store failed; `changed` is the number deleted before
   */
  async clear(): Promise<void> {
    const { format } = this.#settings;
    const isNamed = format.formerUserRefs !== undefined;
    if (isNamed && !format.opensWithoutToken) {
      throw new TypeError(
        'Sessions sealed to their cookies (sealTo: "cookie") do not show which `app` they belong to, so the sessions of one `app` cannot be cleared. "stored-session revoke --all" ends every session in the table.',
      );
    }
    let deleted = 0;
    try {
      for await (const row of this.#rows()) {
        if (isNamed && (await ownerOf(this.#records, row)) !== "this") continue;
        if (await this.#records.delete(row.id)) deleted++;
      }
    } catch (error) {
      throw afterChanges(error, deleted, "deleted");
    }
  }

  #rows(): AsyncGenerator<RowInfo> {
    return walk(this.#records, { batchSize: 100 });
  }

  /** Stops schedules, waits for running operations including touches, and closes what the store opened. */
  close(): Promise<void> {
    return this.sessions.close();
  }
}
