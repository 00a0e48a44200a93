import { settingsOf, type SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import { parseUserId } from "../session/user-id.ts";
import { loadedFor } from "./loaded.ts";

/** The part of a Passport instance that is used: its public `serializeUser(user, req, done)`. */
export interface Passport {
  // Passport's own type has only the overloads that register a serializer.
  serializeUser: (...parameters: never[]) => unknown;
}

/**
 * Names under which Passport and its strategies store session values: messages and return URLs of `authenticate`, and the
 * state of OAuth, OpenID and WebAuthn, usually under a name that contains the provider's host.
 */
const names = /^(?:messages|returnTo|webauthn)$|^(?:oauth2?|openidconnect|oidc|saml)(?:\W|$)|[.:]/;

type Done = (error?: unknown) => void;
interface LogInOptions {
  readonly session?: boolean;
  readonly keepSessionInfo?: boolean;
}
type Serialize = (user: unknown, request: object, done: (error: unknown, kept?: unknown) => void) => void;
type PassportRequest = Record<string, unknown>;
type Kept = Record<string, unknown>;

/**
 * Connects Passport to the sessions of a manager. Returns a function to call with each request after its session is loaded
 * and before Passport's middleware.
 *
 * `req.login` and `req.logout`, which `passport.authenticate` also calls, become `session.login` and `session.reset`, so that
 * the rules for a change of user apply. Passport does not overwrite existing request methods.
 */
export function connectPassport<Data>(
  sessions: SessionManager<Data>,
  passport: Passport,
): (request: object, session: Session<Data>) => void {
  if (typeof (passport as Passport | null)?.serializeUser !== "function") {
    throw new TypeError(
      'session(sessions, { passport }) requires the Passport instance: import passport from "passport".',
    );
  }
  const { userOf } = settingsOf(sessions as SessionManager<never>);
  const serialize = passport.serializeUser.bind(passport) as Serialize;
  const sessionOf = (request: object) => loadedFor(sessions, request) as unknown as Session<Kept>;

  const logInto = (session: Session<Kept>, kept: unknown, keepSessionInfo: boolean) => {
    const entry = { passport: { user: kept } };
    const data = keepSessionInfo ? { ...session.data, ...entry } : entry;
    const user = userOf === undefined ? userIdFrom(kept) : userOf(data);
    if (user === undefined) {
      throw new TypeError(
        "`userOf` found no user in the session data. `data.passport.user` contains the result of passport.serializeUser: return the user id from it.",
      );
    }
    session.login(user); // starts an empty session if another user was logged in
    session.data = keepSessionInfo ? { ...session.data, ...entry } : entry;
    if (keepSessionInfo) useUp(session.data, "returnTo");
  };

  /** The value of `req.session.passport`. Passport deletes its user directly, and other code may set one. */
  const entryOf = (session: Session<Kept>) => {
    const { passport: kept } = session.data;
    if (typeof kept !== "object" || kept === null) return kept;
    return new Proxy(kept as Kept, {
      set(entry, name, value) {
        if (name !== "user") return Reflect.set(entry, name, value);
        if (value === undefined || value === null) session.reset();
        else logInto(session, value, true);
        return true;
      },
      deleteProperty(entry, name) {
        // the user no longer exists or must not be logged in
        if (name === "user" && Object.hasOwn(entry, name)) session.reset();
        return Reflect.deleteProperty(entry, name);
      },
    });
  };

  function logIn(this: PassportRequest, user: unknown, given: LogInOptions | Done, last?: Done): void {
    const { options, done } = parameters(given, last);
    const property = userProperty(this);
    this[property] = user;
    if (options.session === false) {
      done?.();
      return;
    }
    const finish = demanded(done, "req.login(user, callback)");
    const fail = (error: unknown) => {
      this[property] = null;
      finish(error);
    };
    serialize(user, this, (error, kept) => {
      if (error) return fail(error);
      try {
        logInto(sessionOf(this), kept, options.keepSessionInfo === true);
      } catch (failure) {
        return fail(failure);
      }
      finish();
    });
  }

  function logOut(this: PassportRequest, given: LogInOptions | Done, last?: Done): void {
    const { options, done } = parameters(given, last);
    const finish = demanded(done, "req.logout(callback)");
    this[userProperty(this)] = null;
    const session = sessionOf(this);
    if (options.keepSessionInfo === true) {
      const { passport: _, ...others } = session.data;
      session.reset();
      session.data = others;
    } else {
      session.reset();
    }
    finish();
  }

  return (request, session) => {
    stateOf(session as Session<never>).lentNames = names;
    const lent = session as unknown as Session<Kept>;
    Object.defineProperty(session, "passport", {
      configurable: true,
      get: () => entryOf(lent),
      set(entry: unknown) {
        const { user, ...others } = (entry ?? {}) as Kept;
        if (user !== undefined && user !== null) logInto(lent, user, true);
        else if (lent.data["passport"] !== undefined) lent.reset();
        Object.assign((lent.data["passport"] ??= {}) as Kept, others);
      },
    });
    Object.assign(request, { logIn, login: logIn, logOut, logout: logOut });
  };
}

/** Passport would delete `returnTo` from the session instead of its data. Hide it from saving, but keep it readable. */
function useUp(data: Kept, name: string): void {
  if (Object.hasOwn(data, name)) Object.defineProperty(data, name, { enumerable: false });
}

/** The request property of the user, which old versions of Passport's `initialize` can change. */
function userProperty(request: PassportRequest): string {
  return (request["_userProperty"] as string | undefined) ?? "user";
}

function userIdFrom(kept: unknown): string {
  try {
    return parseUserId(kept, "passport.serializeUser");
  } catch (cause) {
    throw new TypeError(
      "passport.serializeUser did not return a user id. Return the id, or pass createSessionManager a `userOf` that derives it: `userOf: (data) => data.passport?.user.id`.",
      { cause },
    );
  }
}

function parameters(given: LogInOptions | Done | undefined, last: Done | undefined) {
  return typeof given === "function" ? { options: {}, done: given } : { options: given ?? {}, done: last };
}

function demanded(done: Done | undefined, call: string): Done {
  if (typeof done === "function") return done;
  throw new TypeError(`Passport's ${call} requires a callback.`);
}
