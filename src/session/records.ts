/**
 * Longer than 300 lines: one short method for each statement about a session, and for each row that it writes.
 */
import type { Settings } from "./settings.ts";
import { RefusedError } from "../errors.ts";
import {
  channels,
  trace,
  type BatchEvent,
  type DeleteEvent,
  type WriteEvent,
} from "../telemetry/channels.ts";
import type { ChangeResult } from "../store/audit.ts";
import type { ExpireQuery, ExpireResult, RowUpdate, SessionRow } from "../store/row.ts";
import { BatchingStore } from "../batching/batching-store.ts";
import { sameBytes } from "../shared/bytes.ts";
import { randomVersion } from "../sealing/random.ts";
import { emptyContent } from "./content.ts";
import type { BareRow, ClientInfo, StoredClient } from "./format.ts";
import { handleOf } from "./handle.ts";
import { checkBegun, checkTimes, endOf, idleEnd } from "./lifetime.ts";
import { publishRefusal } from "./refusal.ts";
import { afterLogin, limitOf } from "./session-limits.ts";
import type { Stored } from "./stored-state.ts";
import type { Token } from "./token.ts";
import { Touches } from "./touches.ts";
import { tracedWrite } from "./traced-write.ts";
import { Recorder, type Occasion } from "./recorder.ts";
import { trailOf } from "./trail-of.ts";
import type { AuditContent } from "../audit/events.ts";
import type { Entry } from "../audit/writer.ts";

/**
 * Rows with their meaning: live or ended, sealed or open. Every statement about a session goes through here; it is batched
 * with concurrent ones and published.
 */
export class Records {
  readonly settings: Settings;
  readonly store: BatchingStore;
  /** For changes that the audit trail has to have; null if it is off. */
  readonly recorder: Recorder | null;
  readonly touches: Touches = new Touches();
  readonly #touching: Set<Promise<void>> = new Set();

  constructor(settings: Settings) {
    this.settings = settings;
    const trail = trailOf(settings);
    this.store = new BatchingStore(settings.store, {
      ...(trail && { recorder: (entries) => trail.write(entries as readonly Entry[]) }),
      storeTimeout: settings.storeTimeout,
      onBatch(operation, size) {
        if (channels.batch.hasSubscribers) channels.batch.publish({ operation, size } satisfies BatchEvent);
      },
    });
    this.recorder = trail && new Recorder(trail, this.store);
  }

  now(): number {
    return this.settings.clock();
  }

  /** The row; null if it is missing, has ended (promise 5), or its times were tampered with. */
  async read(id: Uint8Array): Promise<SessionRow | null> {
    const row = await (channels.read.hasSubscribers === false ? this.#read(id) : this.#traced(id));
    if (row !== null) return this.isAlive(row) ? row : null;
    this.settings.opened?.drop(id);
    return null;
  }

  #traced(id: Uint8Array): Promise<SessionRow | null> {
    return trace(
      "read",
      () => ({ operation: "read", handle: handleOf(id) }),
      () => this.#read(id),
      (event, found) => (event.found = found !== null),
    );
  }

  /** Sends what is known of the row, so that the store need not transfer it again. */
  #read(id: Uint8Array): Promise<SessionRow | null> {
    return this.store.read(id, this.settings.opened?.known(id) ?? null);
  }

  isAlive(row: Omit<SessionRow, "data">): boolean {
    const now = this.now();
    try {
      checkTimes(row);
      checkBegun(row, now);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error, this.settings);
      return false;
    }
    return now < endOf(row, this.settings);
  }

  /** A sealed row for a session that starts now. */
  begin(
    token: Token,
    plaintext: Uint8Array,
    user: string | undefined,
    client: ClientInfo | undefined,
  ): SessionRow {
    const now = this.now();
    const limits = { createdAt: now, absoluteExpiresAt: now + this.settings.absoluteTimeout };
    return this.#seal(token, plaintext, client, this.#bare(token.id, user, now, limits));
  }

  /** A sealed row that continues another one under a new id, with the same limits. */
  continue(
    token: Token,
    plaintext: Uint8Array,
    user: string | undefined,
    client: ClientInfo | undefined,
    loaded: SessionRow,
  ): SessionRow {
    const isBound = loaded.client !== null && this.storedClientOf(loaded)?.bound === true;
    const noted: StoredClient | undefined = isBound ? { ...client, bound: true } : client;
    return this.#seal(token, plaintext, noted, this.#bare(token.id, user, this.now(), loaded));
  }

  /** A sealed row that replaces the loaded one under the same id, with its client unless there is another. */
  next(
    token: Token,
    plaintext: Uint8Array,
    user: string | undefined,
    loaded: SessionRow,
    present?: ClientInfo,
  ): SessionRow {
    const { format } = this.settings;
    const row = this.#bare(loaded.id, user, this.now(), loaded);
    const client = this.#nextClient(loaded, row, present);
    const next = { ...row, data: format.seal(plaintext, row, token), client };
    return format.isCurrent(loaded) ? next : { ...next, links: format.linksOf?.(plaintext) };
  }

  #bare(
    id: Uint8Array,
    user: string | undefined,
    now: number,
    limits: Pick<SessionRow, "createdAt" | "absoluteExpiresAt">,
  ): BareRow {
    return {
      id,
      version: randomVersion(),
      userRef: this.settings.format.userRef(user),
      createdAt: limits.createdAt,
      updatedAt: now,
      absoluteExpiresAt: limits.absoluteExpiresAt,
      expiresAt: idleEnd(limits, this.settings, now),
    };
  }

  #seal(token: Token, plaintext: Uint8Array, client: StoredClient | undefined, row: BareRow): SessionRow {
    const { format } = this.settings;
    return {
      ...row,
      data: format.seal(plaintext, row, token),
      client: client === undefined ? null : format.sealClient(client, row),
      links: format.linksOf?.(plaintext),
    };
  }

  /** What the `client` column holds after a write: what it held, or the client of this request, and the binding. */
  #nextClient(loaded: SessionRow, row: BareRow, present: ClientInfo | undefined): Uint8Array | null {
    const { client, format } = this.settings;
    if (loaded.client === null && present === undefined) return null;
    if (present === undefined && client && format.isCurrent(loaded)) return loaded.client;
    const { bound, ...before } = (loaded.client === null ? null : this.storedClientOf(loaded)) ?? {};
    return format.sealClient({ ...(client && (present ?? before)), ...(bound && { bound }) }, row);
  }

  /** The row with a note for lists that it is bound to a device. */
  markedAsBound(row: SessionRow): SessionRow {
    const { format } = this.settings;
    return { ...row, client: format.sealClient({ ...this.storedClientOf(row), bound: true }, row) };
  }

  /** Address and user agent; null if there are none, or they do not open. */
  clientOf(row: Omit<SessionRow, "data">): ClientInfo | null {
    const { bound: _, ...client } = this.storedClientOf(row) ?? {};
    return Object.keys(client).length === 0 ? null : client;
  }

  /** What is noted beside the data of a row; null if nothing is, or it does not open. */
  storedClientOf(row: Omit<SessionRow, "data">): StoredClient | null {
    try {
      return this.settings.format.openClient(row);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error, this.settings);
      return null;
    }
  }

  insert(row: SessionRow, reason: WriteEvent["reason"], occasion: Occasion = {}): Promise<boolean> {
    return this.#add(null, row, reason, occasion);
  }

  update(loaded: SessionRow, next: SessionRow, reason: WriteEvent["reason"]): Promise<boolean> {
    return tracedWrite("update", reason, next, undefined, () => this.store.update(loaded, next));
  }

  replace(
    loaded: SessionRow,
    next: SessionRow,
    reason: WriteEvent["reason"],
    occasion: Occasion = {},
  ): Promise<boolean> {
    if (!sameBytes(loaded.id, next.id)) this.settings.opened?.drop(loaded.id);
    return this.#add(loaded, next, reason, occasion);
  }

  /** @throws {TooManySessionsError} the row would be one too many of its user */
  async #add(
    loaded: SessionRow | null,
    next: SessionRow,
    reason: WriteEvent["reason"],
    occasion: Occasion,
  ): Promise<boolean> {
    const { recorder, store, settings } = this;
    const limit = reason === "regenerate" ? undefined : limitOf(settings, occasion.user);
    const work = (): Promise<boolean | ChangeResult> => {
      if (recorder !== null) return recorder.add(loaded, next, reason, this.#inContext(occasion), limit);
      if (limit !== undefined) return store.login({ loaded, next, limit });
      return loaded === null ? store.insert(next) : store.replace(loaded, next);
    };
    const result = await tracedWrite(loaded ? "replace" : "insert", reason, next, loaded ?? undefined, work);
    return typeof result === "boolean" ? result : afterLogin(settings, result);
  }

  /** @param emptied is written in place of the deletion */
  delete(
    id: Uint8Array,
    operation: DeleteEvent["operation"] = "destroy",
    occasion: Occasion = {},
    emptied?: RowUpdate,
  ): Promise<boolean> {
    const { recorder } = this;
    this.settings.opened?.drop(id);
    return trace(
      "delete",
      () => ({ operation, handle: handleOf(id) }),
      () => {
        if (recorder !== null) return recorder.delete(id, operation, this.#inContext(occasion), emptied);
        return emptied ? this.store.update(emptied.loaded, emptied.next) : this.store.delete(id);
      },
      (event, deleted) => (event.deleted = deleted ? 1 : 0),
    );
  }

  /**
   * Deletes a row unless another request changed it since it was read. Stores delete by id alone, so a conditional write
   * first takes everything out of the row and lets it expire.
   */
  async deleteUnchanged({ row, token }: Stored, content: AuditContent): Promise<boolean> {
    const nothing = this.settings.format.encode(emptyContent(), null);
    const next = this.next(token, nothing, undefined, row);
    const emptied = { loaded: row, next: { ...next, expiresAt: next.updatedAt } };
    if (!(await this.delete(row.id, "destroy", { userRef: row.userRef, content }, emptied))) return false;
    await this.store.delete(row.id).catch(() => {}); // expiry removes it
    return true;
  }

  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
    user: string,
    content: AuditContent,
  ): Promise<number> {
    const { recorder } = this;
    if (recorder === null) return this.store.deleteByUser(userRefs, filter);
    return recorder.deleteByUser(userRefs, filter, user, this.#inContext({ content }).content!);
  }

  deleteExpired(query: ExpireQuery): Promise<ExpireResult> {
    return this.recorder === null ? this.store.deleteExpired(query) : this.recorder.deleteExpired(query);
  }

  /**
   * Moves the idle limit in the background. A failed touch harms no request, so it is published (the error event of the
   * tracing channel) and not thrown. Of several requests that loaded the same row, only the first sends one.
   */
  touchLater(row: SessionRow): SessionRow {
    const updatedAt = this.now();
    const times = { updatedAt, expiresAt: idleEnd(row, this.settings, updatedAt) };
    return this.touchOnce(row, times, this.settings.touchEvery, () => this.touch(row.id, times));
  }

  /** The same with the caller's times, and a touch that may read before it writes. */
  touchOnce(
    row: SessionRow,
    times: Pick<SessionRow, "updatedAt" | "expiresAt">,
    every: number,
    touch: () => Promise<void>,
  ): SessionRow {
    const touched = this.touches.once(row, times, every, () => {
      const touching = touch();
      this.#inBackground(touching);
      return touching;
    });
    return { ...row, ...touched };
  }

  /** Tracks a touch that only `settled` and `close` wait for. */
  #inBackground(touch: Promise<void>): void {
    const touching = touch.catch(() => {});
    this.#touching.add(touching);
    void touching.then(() => this.#touching.delete(touching));
  }

  touch(id: Uint8Array, times: Pick<SessionRow, "updatedAt" | "expiresAt">): Promise<void> {
    return trace(
      "touch",
      () => ({ operation: "touch", handle: handleOf(id) }),
      () => this.store.touch({ id, updatedAt: times.updatedAt, expiresAt: times.expiresAt }),
    );
  }

  /** Waits for all touches in flight. */
  async settled(): Promise<void> {
    await Promise.all(this.#touching);
  }

  /** Adds the result of the application's `audit.context`. */
  #inContext(occasion: Occasion): Occasion {
    const context = this.settings.audit?.options.context?.();
    return { ...occasion, content: { ...context, ...occasion.content } };
  }

  async close(): Promise<void> {
    await this.settled();
    await this.recorder?.trail.close();
    try {
      await this.store.close();
    } finally {
      this.settings.opened?.clear();
    }
  }
}
