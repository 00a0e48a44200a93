import { inspectCustom } from "../shared/inspect-custom.ts";
import { notOurs } from "../copies.ts";
import type { Duration } from "../shared/duration.ts";
import {
  assertKept,
  authenticatedAt,
  authenticationOf,
  isFresh,
  linksOf,
  proofOf,
  type FreshRequirement,
  type LoginOptions,
  type LoginProof,
} from "./authentication.ts";
import type { DataOf, SessionData } from "./data.ts";
import { refuseCallback, refuseHabits } from "./habits.ts";
import { handleOf } from "./handle.ts";
import { endOf } from "./lifetime.ts";
import type { SessionState } from "./state.ts";
import { parseUserId, type UserId } from "./user-id.ts";

/** The state behind a session, for the manager and the adapters. */
export let stateOf: (session: Session<never>) => SessionState;
/** Creates a session over a state, for the manager. */
export let sessionOver: <Data>(state: SessionState) => Session<Data>;

/**
 * A visitor's session during one request. Mutate it directly; there is no `save()`. Changes are written by
 * `sessions.commit(session)`, which every adapter calls when the response starts.
 *
 * Accessing any property adds `Vary: Cookie` to the response (R12). Printing a session or serializing it to JSON shows
 * its handle and creation time, never its data.
 */
export class Session<Data = SessionData> {
  readonly #state: SessionState;

  static {
    stateOf = (session) => {
      if (typeof session === "object" && session !== null && #state in session) return session.#state;
      throw notOurs(session, "Session", "a session returned by `load` of a session manager or its adapter");
    };
    sessionOver = (state) => new Session(state);
    // Not a method: `isolatedDeclarations` allows only well-known symbols as computed names.
    Object.defineProperty(this.prototype, inspectCustom, {
      value(this: Session<never>): string {
        const { handle, isNew, createdAt } = describe(this.#state); // printing does not count as access
        return `Session { handle: '${handle}', isNew: ${isNew}, createdAt: ${createdAt.toISOString()} }`;
      },
    });
    refuseHabits(this.prototype, (session, name) => {
      if (!(#state in session) || session.#state.lentNames?.test(name) !== true) return undefined;
      return (session as Session<Record<string, unknown>>).data;
    });
  }

  private constructor(state: SessionState) {
    this.#state = state;
  }

  get #used(): SessionState {
    const state = this.#state;
    state.accessed = true;
    state.uses++;
    state.onUse?.();
    return state;
  }

  /** Opens the row first, for properties that depend on it: an unreadable row yields a new session, or throws. */
  get #opened(): SessionState {
    const state = this.#used;
    if (!state.opened) void state.content;
    return state;
  }

  /**
   * The application's data. In a new session: the defaults of `schema`, or an empty object. Values may be null, booleans,
   * numbers, strings, bigints, Uint8Arrays, arrays, plain objects, Dates, Maps, Sets and URLs. Any other value fails the
   * commit with a ValueError that names its path. Mutate it in place or assign a new object.
   */
  get data(): DataOf<Data> {
    return this.#used.content.data as DataOf<Data>;
  }

  set data(data: DataOf<Data>) {
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw new TypeError("session.data must be a plain object.");
    }
    this.#used.content.data = data as Record<string, unknown>;
  }

  /** The id of the logged-in user, from `login` or `userOf`. Undefined if the session is anonymous. */
  get user(): string | undefined {
    return this.#used.content.user;
  }

  /** True until the session has been saved for the first time. */
  get isNew(): boolean {
    return this.#opened.stored === null;
  }

  /**
   * Identifies this session in lists, logs and events: the hash of its id, 43 characters of base64url. It is not a
   * credential. Changes with `login`, `regenerate` and `reset`.
   */
  get handle(): string {
    return handleOf(this.#opened.token.id);
  }

  /** When the session was created, or its user last logged in. */
  get createdAt(): Date {
    const state = this.#opened;
    return new Date(state.stored?.row.createdAt ?? state.startedAt);
  }

  /** When the session expires if it receives no further requests. */
  get expiresAt(): Date {
    const state = this.#opened;
    const { settings, stored, startedAt } = state;
    return new Date(stored === null ? startedAt + settings.idleTimeout : endOf(stored.row, settings));
  }

  /**
   * Logs a user in. At commit the session gets a new id, which prevents session fixation (ASVS 7.2.4, R17); the old id
   * ends, both timeouts restart, and the row is indexed by user. Data and flash messages are kept, unless another user
   * was logged in: then the session starts empty, so that no data passes from one user to another.
   * @param userId the application's id of the user: a non-empty string, a safe integer or a bigint
   * @param proof how the user proved who they are: its level is {@link level} from then on. Also for the audit trail.
   *   Its `links` are what `sessions.revokeByLink` finds the session by, such as the session at an identity provider
   * @throws {TypeError} `userId` is none of these
   */
  login(userId: UserId, proof?: LoginOptions): void {
    const user = parseUserId(userId, "session.login");
    refuseCallback("login", arguments);
    const state = this.#used;
    const given = proofOf("session.login", proof);
    const links = proof?.links && linksOf("session.login", proof.links, state.settings);
    state.proof = given;
    state.beginAnew();
    const before = state.content.user;
    if (before !== undefined && before !== user) state.startOver();
    state.content.user = user;
    const { clock, format } = state.settings;
    // Without a level the row's creation time says it all.
    const isKept = (given.level ?? links) !== undefined && format.keepsAuthentication === true;
    state.content.authentication = isKept ? authenticationOf(given, clock(), links) : undefined;
    state.content.device = undefined; // the browser binds the new session
    state.pending.add("login");
  }

  /**
   * Records that the user has proved again who they are (step-up authentication), after the application has verified it.
   * At commit the session gets a new id. Keeps data, user and both timeouts; the level lasts until the next `elevate` or
   * `login`. If another request has ended the session, it stays ended.
   * @throws {TypeError} nobody is logged in; Rails mode
   */
  elevate(proof: LoginProof = {}): void {
    refuseCallback("elevate", arguments);
    const state = this.#opened;
    const { content, settings } = state;
    assertKept(state, "session.elevate");
    const given = proofOf("session.elevate", proof);
    if (content.user === undefined) {
      throw new TypeError(
        "session.elevate requires a logged-in user, and this session is anonymous. Call session.login(userId) for a visitor who logs in.",
      );
    }
    state.proof = { ...state.proof, ...given };
    content.authentication = authenticationOf(given, settings.clock(), content.authentication?.links);
    state.pending.add("regenerate");
  }

  /** Whether the session is bound to the device of its user (option `deviceBinding`). */
  get deviceBound(): boolean {
    return this.#used.content.device !== undefined;
  }

  /** The assurance level that `login` or `elevate` was given last. Undefined if none was. */
  get level(): string | undefined {
    return this.#used.content.authentication?.level;
  }

  /**
   * When the user last proved who they are: the last `login` or `elevate`. Undefined if the session is anonymous, or
   * `onClientChange` has answered "elevate" since.
   */
  get authenticatedAt(): Date | undefined {
    const at = authenticatedAt(this.#opened);
    return at === undefined ? undefined : new Date(at);
  }

  /**
   * Whether the user proved who they are within this time, by `login` or `elevate`. False if the session is anonymous.
   * @param within for example "5 min"
   * @param requirement the level that it takes
   * @throws {TypeError} `within` is not a duration; Rails mode
   */
  isFresh(within: Duration, requirement?: FreshRequirement): boolean {
    const state = this.#opened;
    assertKept(state, "session.isFresh");
    return isFresh(state, within, requirement);
  }

  /**
   * Gives the session a new id at commit and ends the old one. Keeps data, user and timeouts. Call it after a change of
   * privileges. If another request has ended the session, it stays ended.
   */
  regenerate(): void {
    refuseCallback("regenerate", arguments);
    this.#opened.pending.add("regenerate");
  }

  /** Ends this session and starts an empty, anonymous one under a new id. Both timeouts restart. */
  reset(): void {
    refuseCallback("reset", arguments);
    const state = this.#used;
    state.beginAnew();
    state.startOver();
    state.pending.add("reset");
  }

  /** Ends the session (logout). At commit the row is deleted and the cookie cleared; later changes are not saved. */
  destroy(): void {
    refuseCallback("destroy", arguments);
    const state = this.#used;
    state.startOver();
    state.pending.add("destroy");
  }

  /**
   * Stores a flash message: a value that is kept until `takeFlash` reads it, usually in the next request. Flashing the
   * same name again replaces the value.
   * @param value any value that `data` can hold
   */
  flash(name: string, value: unknown): void {
    if (typeof name !== "string")
      throw new TypeError("session.flash(name, value) requires a string as name.");
    const { flash } = this.#used.content;
    Object.defineProperty(flash, name, { value, writable: true, enumerable: true, configurable: true });
  }

  /** Returns and removes the value flashed under this name. Undefined if there is none. */
  takeFlash(name: string): unknown {
    const { flash } = this.#used.content;
    if (!Object.hasOwn(flash, name)) return undefined;
    const value = flash[name];
    delete flash[name];
    return value;
  }

  /** Handle and creation time only; never data, user or token (R2). */
  toJSON(): { handle: string; isNew: boolean; createdAt: Date } {
    return describe(this.#used);
  }
}

function describe({ stored, token, startedAt }: SessionState): {
  handle: string;
  isNew: boolean;
  createdAt: Date;
} {
  return {
    handle: handleOf(token.id),
    isNew: stored === null,
    createdAt: new Date(stored?.row.createdAt ?? startedAt),
  };
}
