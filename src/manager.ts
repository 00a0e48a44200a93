import type { Content } from "./codec/codec.ts";
import { notOurs } from "./copies.ts";
import { ClosedError, RefusedError } from "./errors.ts";
import { checkExpireOptions, expireRows, type ExpireOptions } from "./jobs/expire.ts";
import { Lease, whileHeld, type LeaseOptions } from "./jobs/lease.ts";
import type { ResealOptions, ResealResult } from "./jobs/reseal.ts";
import { schedule, type Schedule } from "./jobs/schedule.ts";
import { resolveOptions, type SessionManagerOptions } from "./options.ts";
import { type Settings } from "./session/settings.ts";
import { printable } from "./shared/printable.ts";
import { infoOfRow } from "./store/row.ts";
import {
  exportUser,
  exportUserStream,
  statsOf,
  type ExportedSession,
  type SessionStats,
} from "./operator/admin.ts";
import { Committer } from "./session/commit.ts";
import type { DataOf, SchemaData, SessionData } from "./session/data.ts";
import { milliseconds, type Duration } from "./shared/duration.ts";
import type { ClientSource } from "./session/format.ts";
import { idOf } from "./session/handle.ts";
import { Records } from "./session/records.ts";
import { RejectedCookies } from "./session/rejected-cookies.ts";
import { resealRows } from "./operator/reseal.ts";
import { conformStored } from "./session/schema.ts";
import { sessionOver, stateOf, type Session } from "./session/session.ts";
import { publishRefusal, SessionState, type Stored } from "./session/state.ts";
import type { Token } from "./session/token.ts";
import { Updater, type Change } from "./session/update.ts";
import { parseUserId, type UserId } from "./session/user-id.ts";
import { sessionInfo, userSessions, type SessionInfo, type UserSessions } from "./operator/users.ts";
import { ownerOf } from "./session/user-rows.ts";
import type { WalkOptions } from "./session/walk.ts";
import { Writes } from "./session/writes.ts";

const none: readonly Token[] = [];

/** How long the holder of a lease may be silent before another process takes over. */
const leaseDuration = 60_000;

/** For adapters and drop-in stores of this package: what a manager is made of. */
export let settingsOf: (sessions: SessionManager<never>) => Settings;
/** For the command line and other tools of operators. */
export let recordsOf: (sessions: SessionManager<never>) => Records;

/**
 * Loads and commits sessions, and knows those of each user. One per application; made by
 * {@link createSessionManager}.
 */
export class SessionManager<Data = SessionData> {
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #committer: Committer;
  readonly #updater: Updater;
  readonly #rejected: RejectedCookies;
  readonly #schedules: Set<Schedule> = new Set();
  #closed = false;

  static {
    settingsOf = (sessions) => own(sessions).#settings;
    recordsOf = (sessions) => own(sessions).#records;
    const own = (sessions: SessionManager<never>) => {
      if (typeof sessions === "object" && sessions !== null && #settings in sessions) return sessions;
      throw notOurs(sessions, "SessionManager", "what createSessionManager(…) answered");
    };
  }

  /** @internal Use `createSessionManager`. */
  constructor(settings: Settings) {
    this.#settings = settings;
    this.#records = new Records(settings);
    this.#rejected = new RejectedCookies(settings.clock);
    const writes = new Writes(this.#records);
    this.#committer = new Committer(this.#records, writes);
    this.#updater = new Updater(settings, writes, this.#committer);
  }

  /**
   * The session of a request. Without a cookie that this key ring made, a new one, and no statement (promise 1).
   * @param cookieHeader the request's `Cookie` header
   * @param client address and user agent, kept with the session from its first save; or a function that gives them,
   *   called only then
   * @throws {StoreError} the store is down (promise 8)
   */
  async load(cookieHeader: string | null | undefined, client?: ClientSource): Promise<Session<Data>> {
    if (typeof cookieHeader !== "string" && cookieHeader !== undefined && cookieHeader !== null) {
      throw new TypeError(
        `sessions.load takes the text of the request's Cookie header, such as request.headers.cookie. It was given ${Array.isArray(cookieHeader) ? "an array" : `a value of type ${typeof cookieHeader}`}.`,
      );
    }
    const tokens = cookieHeader ? this.#tokensIn(cookieHeader) : none;
    let stored: Stored | null = null;
    if (tokens.length === 1) {
      const token = tokens[0]!;
      const row = await this.#records.read(token.id);
      if (row !== null) stored = { row, token };
    } else if (tokens.length > 1) {
      stored = await this.#firstOf(tokens);
    }
    const { defaults } = this.#settings;
    const begins = defaults && (await (stored === null ? defaults.evaluate() : defaults.ahead()));
    const state = new SessionState(this.#settings, stored, client, this.#records.now(), begins);
    if (stored !== null && this.#settings.schema !== undefined) await this.#conform(state);
    return sessionOver<Data>(state);
  }

  #tokensIn(cookieHeader: string): readonly Token[] {
    const tokens: Token[] = [];
    for (const value of this.#settings.cookie.read(cookieHeader)) {
      const { format } = this.#settings;
      const token = format.read(value);
      if (token !== null) this.#rejected.accept();
      else if (value !== "") this.#rejected.reject(format.rejection?.(value) ?? "malformed");
      if (token !== null && !tokens.some((other) => other.text === token.text)) tokens.push(token);
    }
    return tokens;
  }

  /** The first that has a row, in the browser's order. */
  async #firstOf(tokens: readonly Token[]): Promise<Stored | null> {
    const rows = await Promise.all(tokens.map((token) => this.#records.read(token.id)));
    const first = rows.findIndex((row) => row !== null);
    return first === -1 ? null : { row: rows[first]!, token: tokens[first]! };
  }

  async #conform(state: SessionState): Promise<void> {
    const { onUnreadable } = this.#settings;
    const { row } = state.stored!;
    let stored: Content;
    try {
      stored = state.content; // opens it; refused, the state is that of a new session
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return state.refuse(error);
    }
    if (state.stored === null) return;
    try {
      // what the schema added or upgraded is what changes are measured against: reading alone never writes
      state.show(await conformStored(this.#settings, state.plaintext!, stored));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      if (onUnreadable === "throw") state.refuse(error);
      else state.abandon(error);
    }
  }

  /**
   * Saves what the request did to its session, before the response's first byte. An unchanged session is not written.
   * Committing again after an error is safe: nothing is applied twice. A login, reset, regenerate or destroy that comes
   * while the commit is under way is done as well, and the next commit answers its cookie again; data that is changed
   * meanwhile is the next commit's to save.
   * @returns the value of a `Set-Cookie` header to send, or null when there is nothing to send
   * @throws {StoreError} the store is down; {ValueError}, {LimitError}, {SchemaError} the data cannot be stored;
   *   {ConflictError} other requests kept changing it. What is stored stays as it was.
   */
  commit(session: Session<Data>): Promise<string | null> {
    const state = stateOf(session as Session<never>);
    return inTurn(state, () => this.#committer.commit(state));
  }

  /**
   * Changes the stored data atomically and at once: for counters and everything else that must read and write
   * without another request in between. Changes made to `session.data` before stay unsaved until commit, unless a
   * login, regenerate or reset is pending: that is committed first. What is done to the session while an update is
   * under way comes after it. After a StoreError whose `outcome` is "unknown" the change may have been made: look
   * before you repeat it.
   * @param change a plain function that changes the data it is given, or returns an object to take its place; called
   *   again with fresher data when another request was faster
   * @throws {SessionEndedError} the session ended meanwhile
   */
  update(session: Session<Data>, change: (data: DataOf<Data>) => void | DataOf<Data>): Promise<void> {
    const state = stateOf(session as Session<never>);
    state.accessed = true;
    return inTurn(state, () => this.#updater.update(state, change as Change));
  }

  /** A live session by its handle, without its data; null when there is none. */
  async find(handle: string): Promise<SessionInfo | null> {
    const id = idOf(handle);
    const row = id === null ? null : await this.#records.read(id);
    const found = row !== null && (await ownerOf(this.#records, infoOfRow(row), row)) !== "another";
    return found ? sessionInfo(this.#records, row) : null;
  }

  /**
   * Lists and ends the sessions of one user.
   * @throws {TypeError} what is no user's id: see {@link UserId}
   */
  forUser(userId: UserId): UserSessions {
    return userSessions(this.#records, parseUserId(userId, "sessions.forUser"));
  }

  /**
   * Everything stored of a user, newest first, with its data where that opens without the cookie: for a request for
   * one's own data (R36). Sessions that have ended and were not yet deleted are included.
   */
  async exportUser(userId: UserId): Promise<ExportedSession[]> {
    return exportUser(this.#records, parseUserId(userId, "sessions.exportUser"));
  }

  /**
   * The same one session after another, for users with many or large sessions: a few MiB are in memory at a time.
   *
   * ```ts
   * for await (const session of sessions.exportUserStream("42")) await write(session);
   * ```
   */
  exportUserStream(userId: UserId): AsyncGenerator<ExportedSession> {
    return exportUserStream(this.#records, parseUserId(userId, "sessions.exportUserStream"));
  }

  /** Erases every stored session of a user, ended or not; answers how many (R36). The same as revoking them all. */
  async eraseUser(userId: UserId): Promise<number> {
    return userSessions(this.#records, parseUserId(userId, "sessions.eraseUser")).revokeAll();
  }

  /** Counts the table by life, age, size and key. Reads every row, in bounded memory: for operators, not for requests. */
  stats(options?: WalkOptions): Promise<SessionStats> {
    return statsOf(this.#records, options);
  }

  /** How many sessions have not reached their stored limits. */
  count(): Promise<number> {
    return this.#records.store.count(this.#records.now());
  }

  /**
   * Deletes sessions that have ended, in bounded and ordered batches; answers how many. Ended sessions are dead
   * without it (promise 5): this frees space.
   */
  async expire(options: ExpireOptions = {}): Promise<number> {
    if (!options.exclusive) return this.#expire(options);
    return (
      (await whileHeld(this.#lease("expire", options), (mayGoOn) => this.#expire(options, mayGoOn))) ?? 0
    );
  }

  /**
   * Carries rows sealed under older keys to the newest, in bounded pages, while requests go on (promise 9, R27). No
   * time moves and nobody is logged out. Rows that are done are passed over, so a run that was stopped or killed can
   * simply be started again, or go on behind its `cursor`. With `sealTo: "cookie"` only address and user agent can
   * be resealed here; the data follows at each user's next request.
   */
  async reseal(options: ResealOptions = {}): Promise<ResealResult> {
    if (!options.exclusive) return resealRows(this.#records, options);
    const result = await whileHeld(this.#lease("reseal", options), (mayGoOn) =>
      resealRows(this.#records, options, mayGoOn),
    );
    return result ?? resealRows(this.#records, options, () => Promise.resolve(false));
  }

  #lease(name: string, options: LeaseOptions): Lease {
    const duration = milliseconds(options.lease ?? leaseDuration);
    if (duration === null || duration < 1) {
      throw new TypeError(`${name}: \`lease\` must be milliseconds (1 or more) or text such as "60 s".`);
    }
    return new Lease(this.#records.store, name, { duration, clock: this.#settings.clock });
  }

  #expire(
    options: ExpireOptions | undefined,
    mayGoOn?: () => Promise<boolean>,
    background = false,
  ): Promise<number> {
    const { idleTimeout, absoluteTimeout } = this.#settings;
    const { store } = this.#records;
    return expireRows(
      {
        deleteExpired: (query) => store.deleteExpired(query),
        deleteFuture: (query) => store.deleteFuture(query),
        now: this.#records.now(),
        idleTimeout,
        absoluteTimeout,
        background,
        ...(mayGoOn && { mayGoOn }),
      },
      options,
    );
  }

  /**
   * Runs `expire` about every so often (each pause between 0.5 and 1.5 of it), in one process of the cluster at a
   * time, until `close()` or `stop()`. Neither its timer nor the rests of a run keep the process alive. A run that fails is reported as a
   * process warning and the next one tries again.
   * @param options.every default "10 min"
   */
  scheduleExpiry(options: ExpireOptions & { every?: Duration } = {}): Schedule {
    const { every = "10 min", ...expireOptions } = options;
    const pause = milliseconds(every);
    if (pause === null || pause < 1 || pause > 2 ** 30) {
      throw new TypeError(
        'scheduleExpiry: `every` must be milliseconds or text such as "10 min", at most 12 days.',
      );
    }
    checkExpireOptions(expireOptions);
    if (this.#closed)
      throw new ClosedError("The session manager was closed: it can schedule nothing any more.");
    const lease = this.#lease("expire", expireOptions);
    const run = (stopped: AbortSignal) => {
      const signal = expireOptions.signal ? AbortSignal.any([stopped, expireOptions.signal]) : stopped;
      return whileHeld(lease, (mayGoOn) => this.#expire({ ...expireOptions, signal }, mayGoOn, true));
    };
    const job = schedule(pause, run, (error) => {
      const reason = printable(error instanceof Error ? error.message : String(error));
      process.emitWarning(`Expired sessions could not be deleted, the next run tries again: ${reason}`, {
        code: "STORED_SESSION_EXPIRY_FAILED",
      });
    });
    this.#schedules.add(job);
    return {
      stop: async () => {
        this.#schedules.delete(job);
        await job.stop();
      },
    };
  }

  /**
   * Stops schedules, waits for what is under way, and closes the store if it opened its own connection. Stop the HTTP
   * server first: a request that comes later gets a ClosedError (503).
   * @throws {StoreTimeoutError} the store has not closed within `storeTimeout`: its database hangs
   */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#schedules].map((job) => job.stop()));
    this.#schedules.clear();
    await this.#records.close();
  }
}

/**
 * For adapters: the commit when the response begins. Answers the `Set-Cookie` value that the response owes, also when
 * the application committed by itself before and did not send it.
 */
export async function commitForResponse(
  sessions: SessionManager<never>,
  session: Session<never>,
): Promise<string | null> {
  await sessions.commit(session);
  return stateOf(session).setCookie;
}

function inTurn<Answer>(state: SessionState, task: () => Promise<Answer>): Promise<Answer> {
  // Never in the caller's own stack: what the application does in the rest of its turn still counts.
  const turn = (state.turn ?? Promise.resolve()).then(task, task);
  state.turn = turn.catch(() => {});
  return turn;
}

/**
 * The one object that an application makes.
 *
 * `createSessionManager<MyData>({ store, keys })`, or the type of `data` from `schema`, or from the augmented
 * {@link SessionData}.
 * @throws {OptionsError} with every problem at once
 */
export function createSessionManager<Data = SessionData, Input = unknown>(
  options: SessionManagerOptions<Data, Input>,
): SessionManager<SchemaData<Data, Input>> {
  return new SessionManager<SchemaData<Data, Input>>(resolveOptions(options));
}
