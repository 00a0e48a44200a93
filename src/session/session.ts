import { inspect } from "node:util";
import { notOurs } from "../copies.ts";
import type { DataOf, SessionData } from "./data.ts";
import { refuseCallback, refuseHabits } from "./habits.ts";
import { handleOf } from "./handle.ts";
import { endOf } from "./lifetime.ts";
import type { SessionState } from "./state.ts";
import { parseUserId, type UserId } from "./user-id.ts";

/** For the manager and the adapters: what stands behind a session. */
export let stateOf: (session: Session<never>) => SessionState;
/** For the manager: a session over its state. */
export let sessionOver: <Data>(state: SessionState) => Session<Data>;

/**
 * One visitor's session during one request. Change it freely: nothing reaches the store before
 * `sessions.commit(session)`, which every adapter calls when the response begins.
 *
 * Looking at any property makes the response vary by cookie (R12). Printing a session, or turning it into JSON,
 * shows its handle and times, never its data.
 */
export class Session<Data = SessionData> {
  readonly #state: SessionState;

  static {
    stateOf = (session) => {
      if (typeof session === "object" && session !== null && #state in session) return session.#state;
      throw notOurs(session, "Session", "what `load` of this manager or its adapter answered");
    };
    sessionOver = (state) => new Session(state);
    // Not a method: `isolatedDeclarations` takes no computed name but those of Symbol.
    Object.defineProperty(this.prototype, inspect.custom, {
      value(this: Session<never>): string {
        const { handle, isNew, createdAt } = describe(this.#state); // printing is no use of the session
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
    state.onUse?.();
    return state;
  }

  /** For what would tell of a row that does not open: such a row makes this a new session, or throws. */
  get #opened(): SessionState {
    const state = this.#used;
    if (!state.opened) void state.content;
    return state;
  }

  /**
   * The application's values: in a new session the defaults of `schema`, and without one nothing. Holds what MessagePack and its extensions hold: null, booleans,
   * numbers, strings, bigint, Uint8Array, arrays, plain objects, Date, Map, Set and URL. Anything else fails the
   * commit with a ValueError that names the path. Change it in place, or assign a whole new object.
   */
  get data(): DataOf<Data> {
    return this.#used.content.data as DataOf<Data>;
  }

  set data(data: DataOf<Data>) {
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw new TypeError("session.data takes a plain object.");
    }
    this.#used.content.data = data as Record<string, unknown>;
  }

  /** Who is logged in: the id given to `login`, or what `userOf` found; undefined for nobody. */
  get user(): string | undefined {
    return this.#used.content.user;
  }

  /** True until the session has been saved for the first time. */
  get isNew(): boolean {
    return this.#opened.stored === null;
  }

  /**
   * Names this session in lists, logs and events: the hash of its id, 43 characters of base64url. Opens nothing.
   * Changes with `login`, `regenerate` and `reset`.
   */
  get handle(): string {
    return handleOf(this.#opened.token.id);
  }

  /** When the session began, or its user logged in. */
  get createdAt(): Date {
    const state = this.#opened;
    return new Date(state.stored?.row.createdAt ?? state.startedAt);
  }

  /** When it ends if nobody uses it from now on. */
  get expiresAt(): Date {
    const state = this.#opened;
    const { settings, stored, startedAt } = state;
    return new Date(stored === null ? startedAt + settings.idleTimeout : endOf(stored.row, settings));
  }

  /**
   * Logs a user in: the session gets a new id at commit, the old one ends, both limits start again, and the row
   * names its user (ASVS 7.2.4, R17). Data and flash are kept, unless another user was logged in: then the session
   * starts empty, so that nothing crosses from one user to the next.
   * @param userId the application's id of the user: a non-empty string, a safe integer or a bigint
   * @throws {TypeError} anything else
   */
  login(userId: UserId): void {
    const user = parseUserId(userId, "session.login");
    refuseCallback("login", arguments);
    const state = this.#used;
    state.beginAnew();
    const before = state.content.user;
    if (before !== undefined && before !== user) state.startOver();
    state.content.user = user;
    state.ask("login");
  }

  /**
   * Gives the session a new id and ends the old one, keeping data, user and limits: after a change of rights, or
   * when Passport asks. Where another request ended the session meanwhile it stays ended.
   */
  regenerate(): void {
    refuseCallback("regenerate", arguments);
    this.#opened.ask("regenerate");
  }

  /** Ends this session and begins an empty one under a new id: nobody is logged in, both limits start again. */
  reset(): void {
    refuseCallback("reset", arguments);
    const state = this.#used;
    state.beginAnew();
    state.startOver();
    state.ask("reset");
  }

  /** Ends the session: log-out. At commit the row is deleted and the cookie cleared; later changes are not saved. */
  destroy(): void {
    refuseCallback("destroy", arguments);
    const state = this.#used;
    state.startOver();
    state.ask("destroy");
  }

  /**
   * Keeps a value until it is taken: a message for the next page. Setting a name again replaces its value.
   * @param value anything that `data` can hold
   */
  flash(name: string, value: unknown): void {
    if (typeof name !== "string") throw new TypeError("session.flash takes a name and a value.");
    const { flash } = this.#used.content;
    Object.defineProperty(flash, name, { value, writable: true, enumerable: true, configurable: true });
  }

  /** The value flashed under this name, which it removes; undefined when there is none. */
  takeFlash(name: string): unknown {
    const { flash } = this.#used.content;
    if (!Object.hasOwn(flash, name)) return undefined;
    const value = flash[name];
    delete flash[name];
    return value;
  }

  /** Handle and times; never data, user or token (R2). */
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
