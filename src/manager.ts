import type { Census } from "./operator/census.ts";
import { notOurs } from "./copies.ts";
import type { ExpireOptions } from "./jobs/expire.ts";
import type { ResealOptions, ResealResult } from "./jobs/reseal.ts";
import type { Schedule } from "./jobs/schedule.ts";
import type { ExportedSession, SessionStats } from "./operator/admin.ts";
import type { RevokeByLinkOptions } from "./operator/links.ts";
import { Maintenance } from "./operator/maintenance.ts";
import { sessionInfo, type SessionInfo } from "./operator/session-info.ts";
import { userSessions, type UserSessions } from "./operator/users.ts";
import { resolveOptions } from "./resolve-options.ts";
import type { SessionManagerOptions } from "./options.ts";
import type { SessionLinks } from "./session/authentication.ts";
import { Committer } from "./session/commit.ts";
import type { DataOf, SchemaData, SessionData } from "./session/data.ts";
import type { ClientSource } from "./session/format.ts";
import { idOf } from "./session/handle.ts";
import { Loader } from "./session/loader.ts";
import { Records } from "./session/records.ts";
import { stateOf, type Session } from "./session/session.ts";
import type { Settings } from "./session/settings.ts";
import type { SessionState } from "./session/state.ts";
import { Updater, type Change } from "./session/update.ts";
import { parseUserId, type UserId } from "./session/user-id.ts";
import { AuditTrail } from "./operator/audit-trail.ts";
import { ownerOf } from "./session/user-rows.ts";
import type { WalkOptions } from "./session/walk.ts";
import { Writes } from "./session/writes.ts";
import type { Duration } from "./shared/duration.ts";
import { afterChanges } from "./store/partial-failure.ts";
import { infoOfRow } from "./store/row.ts";

/** The settings of a manager, for the adapters and drop-in stores of this package. */
export let settingsOf: (sessions: SessionManager<never>) => Settings;
/** The records of a manager, for the command line and other operator tools. */
export let recordsOf: (sessions: SessionManager<never>) => Records;

/**
 * Loads and commits sessions, and lists and revokes the sessions of a user. Create one per application with
 * {@link createSessionManager}.
 */
export class SessionManager<Data = SessionData> {
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #audit: AuditTrail;
  readonly #committer: Committer;
  readonly #updater: Updater;
  readonly #loader: Loader;
  readonly #maintenance: Maintenance;

  static {
    settingsOf = (sessions) => own(sessions).#settings;
    recordsOf = (sessions) => own(sessions).#records;
    const own = (sessions: SessionManager<never>) => {
      if (typeof sessions === "object" && sessions !== null && #settings in sessions) return sessions;
      throw notOurs(sessions, "SessionManager", "what createSessionManager(…) returned");
    };
  }

  /** @internal Use `createSessionManager`. */
  constructor(settings: Settings) {
    this.#settings = settings;
    this.#records = new Records(settings);
    this.#audit = new AuditTrail(this.#records.recorder?.trail ?? null);
    this.#loader = new Loader(this.#records);
    this.#maintenance = new Maintenance(this.#records);
    const writes = new Writes(this.#records);
    this.#committer = new Committer(this.#records, writes);
    this.#updater = new Updater(settings, writes, this.#committer);
  }

  /**
   * Loads the session of a request. Without a cookie that this key ring issued, returns a new session and sends no
   * statement to the database (promise 1).
   * @param cookieHeader the request's `Cookie` header
   * @param client address and user agent, stored with the session from its first save; or a function that returns them,
   *   called only when they are needed
   * @throws {StoreError} the store is unavailable (promise 8)
   */
  load(cookieHeader: string | null | undefined, client?: ClientSource): Promise<Session<Data>> {
    return this.#loader.load<Data>(cookieHeader, client);
  }

  /**
   * Saves the request's changes to its session. Call it before the first byte of the response. An unchanged session is
   * not written. Retrying after an error is safe: no change is applied twice. A login, reset, regenerate or destroy
   * requested while a commit is in flight is carried out too, and the next commit returns its cookie again. Data changed
   * while a commit is in flight is saved by the next one.
   * @returns the value of the `Set-Cookie` header to send, or null if none is needed
   * @throws {StoreError} the store is unavailable; {ValueError}, {LimitError}, {SchemaError} the data cannot be stored;
   *   {ConflictError} other requests kept changing the session. The stored session is unchanged, unless a StoreError has
   *   `outcome: "unknown"`.
   */
  commit(session: Session<Data>): Promise<string | null> {
    const state = stateOf(session as Session<never>);
    return inTurn(state, () => this.#committer.commit(state));
  }

  /**
   * Applies an atomic read-modify-write to the stored data immediately, using optimistic locking: for counters and other
   * values that concurrent requests must not overwrite. Earlier changes to `session.data` stay unsaved until commit,
   * unless a login, regenerate or reset is pending; that is committed first. Changes made to the session during an update
   * apply after it. After a StoreError with `outcome: "unknown"` the change may have been applied: check before
   * retrying.
   * @param change a synchronous function that mutates the data it receives, or returns an object that replaces it. Called
   *   again with newer data if another request wrote first
   * @throws {SessionEndedError} the session has ended
   * @throws {StoreError} the store is unavailable
   */
  update(session: Session<Data>, change: (data: DataOf<Data>) => void | DataOf<Data>): Promise<void> {
    const state = stateOf(session as Session<never>);
    state.accessed = true;
    return inTurn(state, () => this.#updater.update(state, change as Change));
  }

  /** The audit trail. Its methods throw an AuditError unless the option `audit` is set. */
  get audit(): AuditTrail {
    return this.#audit;
  }

  /** Finds a live session by its handle. Returns its metadata without its data, or null if there is none. */
  async find(handle: string): Promise<SessionInfo | null> {
    const id = idOf(handle);
    const row = id === null ? null : await this.#records.read(id);
    const found = row !== null && (await ownerOf(this.#records, infoOfRow(row), row)) !== "another";
    return found ? sessionInfo(this.#records, row) : null;
  }

  /**
   * Lists and revokes the sessions of one user.
   * @throws {TypeError} `userId` is not a valid {@link UserId}
   */
  forUser(userId: UserId): UserSessions {
    return userSessions(this.#records, parseUserId(userId, "sessions.forUser"), this.#audit);
  }

  /**
   * Ends the sessions that logged in with one of these links, whoever their user is, and returns how many. Takes effect in
   * every process at its next request. A login that completes meanwhile is either ended too or counts as later.
   *
   * ```ts
   * session.login("42", { links: { idp: `${iss}|${sid}` } });
   * await sessions.revokeByLink({ idp: `${iss}|${sid}` });
   * ```
   * @throws {TypeError} the links are not valid, or the store or format keeps none
   * @throws {NotMigratedError} the table of links is missing: run `stored-session migrate`
   * @throws {StoreError} the store failed; `changed` counts the sessions ended before. Retrying is safe
   */
  async revokeByLink(links: SessionLinks, options?: RevokeByLinkOptions): Promise<number> {
    const { revokeByLink } = await import("./operator/later.ts");
    return revokeByLink(this.#records, links, options);
  }

  /**
   * Exports all stored sessions of a user, newest first, for data subject access requests (R36). Includes expired
   * sessions that are not deleted yet. Data is included if it can be decrypted without the user's cookie.
   */
  async exportUser(userId: UserId): Promise<ExportedSession[]> {
    const user = parseUserId(userId, "sessions.exportUser");
    const { exportUser } = await import("./operator/later.ts");
    return await exportUser(this.#records, user);
  }

  /**
   * Like {@link exportUser}, but yields one session at a time and holds only a few MiB in memory: for users with many or
   * large sessions.
   *
   * ```ts
   * for await (const session of sessions.exportUserStream("42")) await write(session);
   * ```
   */
  exportUserStream(userId: UserId): AsyncGenerator<ExportedSession> {
    return this.#exportStream(parseUserId(userId, "sessions.exportUserStream"));
  }

  async *#exportStream(user: string): AsyncGenerator<ExportedSession> {
    const { exportUserStream } = await import("./operator/later.ts");
    yield* exportUserStream(this.#records, user);
  }

  /** Deletes all stored sessions of a user, including expired ones, and returns how many (R36). Equivalent to `revokeAll`. */
  async eraseUser(userId: UserId): Promise<number> {
    const user = parseUserId(userId, "sessions.eraseUser");
    const erased = await userSessions(this.#records, user, this.#audit).revokeAll();
    try {
      if (erased > 0) await this.#settings.store.links?.sweep();
    } catch (error) {
      throw afterChanges(error, erased, "deleted");
    }
    return erased;
  }

  /** Statistics of the table by liveness, age, size and key. Scans every row in bounded memory: do not call it per request. */
  async stats(options?: WalkOptions): Promise<SessionStats> {
    const { statsOf } = await import("./operator/later.ts");
    return await statsOf(this.#records, options);
  }

  /** The number of sessions that have not reached their stored expiry time. */
  count(): Promise<number> {
    return this.#records.store.count(this.#records.now());
  }

  /**
   * Counts stored sessions: live, ended and not yet deleted, and rows by key, in one pass over the table. Null if the store
   * cannot count by key (`railsStore`, stores of your own without `census`).
   */
  async census(): Promise<Census | null> {
    const { censusOf } = await import("./operator/later.ts");
    return await censusOf(this.#records);
  }

  /**
   * Deletes expired sessions in bounded, ordered batches and returns how many. An expired session is rejected whether or
   * not it has been deleted (promise 5); this only frees space.
   */
  expire(options: ExpireOptions = {}): Promise<number> {
    return this.#maintenance.expire(options);
  }

  /**
   * Re-encrypts rows from older keys to the newest key, in bounded pages, while the application serves requests
   * (promise 9, R27). Timestamps do not change and no user is logged out. Rows under the newest key are skipped, so an
   * interrupted run can be restarted, or resumed from its `cursor`. With `sealTo: "cookie"`, only the address and user
   * agent can be resealed here; the data is resealed at each user's next request.
   */
  reseal(options: ResealOptions = {}): Promise<ResealResult> {
    return this.#maintenance.reseal(options);
  }

  /**
   * Runs `expire` periodically, in one process of the cluster at a time, until `close()` or `stop()`. Does not keep the
   * process alive. A failed run emits the process warning STORED_SESSION_EXPIRY_FAILED, and the next run tries again.
   * @param options.every average interval between runs; each pause is a random 0.5 to 1.5 times this. Default "10 min"
   */
  scheduleExpiry(options: ExpireOptions & { every?: Duration } = {}): Schedule {
    return this.#maintenance.schedule(options);
  }

  /**
   * Stops scheduled jobs, waits for pending operations, and closes the store if it opened its own connection. Stop the
   * HTTP server first: later requests fail with a ClosedError (503).
   * @throws {StoreTimeoutError} the store did not close within `storeTimeout`, because the database does not respond
   */
  async close(): Promise<void> {
    await this.#maintenance.close();
    await this.#records.close();
  }
}

/**
 * For adapters: commits when the response starts, and returns the `Set-Cookie` value to send. Includes the cookie of an
 * earlier commit by the application whose value has not been sent.
 */
export async function commitForResponse(
  sessions: SessionManager<never>,
  session: Session<never>,
): Promise<string | null> {
  await sessions.commit(session);
  return stateOf(session).setCookie;
}

function inTurn<Answer>(state: SessionState, task: () => Promise<Answer>): Promise<Answer> {
  // Start asynchronously, so that changes made in the rest of the caller's turn are still included.
  const turn = (state.turn ?? Promise.resolve()).then(task, task);
  state.turn = turn.catch(() => {});
  return turn;
}

/**
 * Creates the session manager of an application.
 *
 * The type of `session.data` comes from `schema`, from the type argument (`createSessionManager<MyData>({ store, keys })`)
 * or from the augmented {@link SessionData}.
 * @throws {OptionsError} listing every problem with the options
 */
export function createSessionManager<Data = SessionData, Input = unknown>(
  options: SessionManagerOptions<Data, Input>,
): SessionManager<SchemaData<Data, Input>> {
  return new SessionManager<SchemaData<Data, Input>>(resolveOptions(options));
}
