import { AsyncLocalStorage } from "node:async_hooks";
import { recordsOf, settingsOf, type SessionManager } from "../manager.ts";
import type { Outcome } from "../session/group-commit.ts";
import type { Records } from "../session/records.ts";
import { WriteEngine } from "../session/write-engine.ts";
import type { SessionRow } from "../store/row.ts";
import { assertManager } from "./assert-manager.ts";
import { library, type StoredAuthjsSession } from "./authjs-entry.ts";
import { dropInToken } from "./drop-in/token.ts";
import { EntryRow } from "./entries.ts";

/** A session as Auth.js passes it to its adapter. */
export interface AuthjsSession {
  sessionToken: string;
  userId: string;
  expires: Date;
}

/** What is used of the adapter that keeps users and accounts. */
export interface AuthjsAdapter {
  getUser?(id: string): unknown;
  deleteUser?(id: string): unknown;
}

type UserOf<Adapter> = Adapter extends { getUser?: (id: string) => infer User }
  ? NonNullable<Awaited<User>>
  : never;

/** The session methods of an Auth.js adapter. */
export interface AuthjsSessionMethods<User> {
  createSession(session: AuthjsSession): Promise<AuthjsSession>;
  getSessionAndUser(sessionToken: string): Promise<{ session: AuthjsSession; user: User } | null>;
  updateSession(
    session: Partial<AuthjsSession> & Pick<AuthjsSession, "sessionToken">,
  ): Promise<AuthjsSession | null>;
  deleteSession(sessionToken: string): Promise<AuthjsSession | null>;
}

/**
 * An adapter for Auth.js that keeps its sessions encrypted in the session table, and leaves everything else to `adapter`:
 * `Auth(request, { adapter: storedSessionAdapter(sessions, PostgresAdapter(pool)), ... })`.
 *
 * Rows belong to their user, so `sessions.forUser(id)` lists and ends the sessions. An update never revives a session that
 * has ended. `deleteUser` also ends the sessions of the user.
 * @param adapter stores users and accounts; its own session methods are not called
 * @throws {TypeError} the adapter cannot find users, or the manager has `deviceBinding`
 */
export function storedSessionAdapter<Data, Adapter extends AuthjsAdapter>(
  sessions: SessionManager<Data>,
  adapter: Adapter,
): Adapter & AuthjsSessionMethods<UserOf<Adapter>> {
  assertManager(sessions);
  const { device, storeTimeout } = settingsOf(sessions as SessionManager<never>);
  if (device !== null) {
    throw new TypeError(
      "storedSessionAdapter does not work with `deviceBinding`: Auth.js sends the cookie itself. Create a manager without it for Auth.js.",
    );
  }
  if (typeof (adapter as AuthjsAdapter | undefined)?.getUser !== "function") {
    throw new TypeError(
      "storedSessionAdapter requires an adapter with `getUser`, which keeps users and accounts: storedSessionAdapter(sessions, PostgresAdapter(pool)).",
    );
  }
  const rows = new SessionRows(recordsOf(sessions as SessionManager<never>), storeTimeout);
  const methods: AuthjsSessionMethods<UserOf<Adapter>> = {
    createSession: (session) => noted(() => rows.create(session)),
    getSessionAndUser: (token) =>
      noted(async () => {
        const session = await rows.read(token);
        if (session === null) return null;
        const user = (await adapter.getUser!(session.userId)) as UserOf<Adapter> | null;
        return user === null ? null : { session, user };
      }),
    updateSession: (session) => noted(() => rows.update(session)),
    deleteSession: (token) => noted(() => rows.delete(token)),
  };
  const { deleteUser } = adapter;
  const deletion = deleteUser && {
    deleteUser: (id: string) =>
      noted(async () => {
        const answer = await deleteUser.call(adapter, id);
        await sessions.forUser(id).revokeAll();
        return answer;
      }),
  };
  return { ...withMethods(adapter), ...deletion, ...methods };
}

/** The properties of an adapter and the methods of its class, which a spread leaves out. */
function withMethods<Adapter extends object>(adapter: Adapter): Adapter {
  const all = { ...adapter } as Record<string, unknown>;
  let from = Object.getPrototypeOf(adapter) as object | null;
  for (; from !== null && from !== Object.prototype; from = Object.getPrototypeOf(from) as object | null) {
    for (const name of Object.getOwnPropertyNames(from)) {
      const value = (adapter as Record<string, unknown>)[name];
      if (name !== "constructor" && typeof value === "function") all[name] ??= value.bind(adapter);
    }
  }
  return all as Adapter;
}

interface Failures {
  first?: { readonly error: unknown };
}

const failures = new AsyncLocalStorage<Failures>();

/** Remembers an error for {@link withStoreErrors}: Auth.js logs it and goes on. */
async function noted<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    const scope = failures.getStore();
    if (scope !== undefined) scope.first ??= { error };
    throw error;
  }
}

/**
 * Runs `Auth(request, config)`, or any function of Auth.js that looks up a session, and throws if the adapter failed
 * meanwhile. Auth.js itself logs such an error and answers as if nobody were logged in: `withStoreErrors(() => auth())`.
 * @throws {StoredSessionError} what the store threw: `StoreUnavailableError`, status 503, if it is down
 */
export async function withStoreErrors<Answer>(work: () => Answer): Promise<Awaited<Answer>> {
  const scope: Failures = {};
  const answer = await failures.run(scope, async () => await work());
  if (scope.first !== undefined) throw scope.first.error;
  return answer;
}

class SessionRows {
  readonly #records: Records;
  readonly #engine: WriteEngine<never, never>;

  constructor(records: Records, storeTimeout: number) {
    this.#records = records;
    this.#engine = new WriteEngine(storeTimeout);
  }

  async create(session: AuthjsSession): Promise<AuthjsSession> {
    await this.#change(session.sessionToken, (row, present) => {
      if (present !== null && this.#records.isAlive(present)) {
        throw new TypeError(
          "Auth.js created a session with the token of another one. Let `session.generateSessionToken` return a random token.",
        );
      }
      return this.#write(row, present, session);
    });
    return session;
  }

  async read(token: string): Promise<AuthjsSession | null> {
    if (token === "") return null;
    const entry = await this.#rowOf(token).read();
    return entry && { ...entry.value, sessionToken: token };
  }

  /** Null if the session has ended. */
  async update(
    changes: Partial<AuthjsSession> & Pick<AuthjsSession, "sessionToken">,
  ): Promise<AuthjsSession | null> {
    let updated: AuthjsSession | null = null;
    await this.#change(changes.sessionToken, (row, present) => {
      const entry = present && row.open(present);
      updated = entry && { ...entry.value, ...changes };
      if (updated === null) return true;
      return this.#write(row, present, updated);
    });
    return updated;
  }

  async delete(token: string): Promise<AuthjsSession | null> {
    const session = await this.read(token);
    // One that does not open is deleted as well.
    if (token !== "") await this.#rowOf(token).delete();
    return session;
  }

  #write(
    row: EntryRow<StoredAuthjsSession>,
    present: SessionRow | null,
    session: AuthjsSession,
  ): Promise<boolean> {
    const { sessionToken: _token, ...value } = session;
    // Some adapters number their users.
    return row.write(present, value, { user: String(value.userId), end: value.expires.getTime() });
  }

  #rowOf(token: string): EntryRow<StoredAuthjsSession> {
    return new EntryRow(this.#records, library, token, dropInToken(token));
  }

  /** Reads the row of a token and changes it, until the change matches. */
  async #change(
    token: string,
    change: (row: EntryRow<StoredAuthjsSession>, present: SessionRow | null) => Promise<boolean> | boolean,
  ): Promise<void> {
    const row = this.#rowOf(token);
    await this.#engine.alone(row.token, {
      rebase: () => Promise.resolve("unchanged"),
      attempt: async (): Promise<Outcome> => ((await change(row, await row.present())) ? "done" : "beaten"),
    });
  }
}
