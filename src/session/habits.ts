/**
 * Habits from other session libraries that would fail silently on a `Session`: a property that is set and lost, a callback
 * that is never called. Here they become errors that say what to write instead.
 */
import { pathText } from "../codec/path.ts";

const flashRemedy =
  "Flash messages are `session.flash(name, value)` and `session.takeFlash(name)`; connect-flash keeps its messages in the session of express-session and does not work here.";
const saveRemedy =
  "There is no `session.save()`: change `session.data` and respond. The response waits until the session is saved.";
const csrfRemedy =
  "A CSRF library that keeps its secret in the session needs `session.data`: csrf-sync takes `getTokenFromState` and `storeTokenInState`; csurf takes `sessionKey` (docs/frameworks/express.md).";

/** Names that other libraries read. Undefined here would make a login, a check or a page fail later. */
const refusedReads: Readonly<Record<string, string>> = {
  id: "There is no `session.id`: `session.handle` identifies the session and is not a secret.",
  sessionID: "There is no `session.sessionID`: `session.handle` identifies the session and is not a secret.",
  sessionId: "There is no `session.sessionId`: `session.handle` identifies the session and is not a secret.",
  cookie:
    "There is no `session.cookie`: cookie attributes and limits are options of createSessionManager (`cookie`, `idleTimeout`, `absoluteTimeout`), and `session.expiresAt` says when this session ends.",
  save: saveRemedy,
  reload:
    "There is no `session.reload()`: `await sessions.update(session, (data) => …)` reads and writes the stored data in one step.",
  touch:
    "There is no `session.touch()`: using a session keeps it alive automatically (`touchEvery`); `cookie: { rolling: true }` renews the cookie as well.",
  resetMaxAge:
    "There is no `session.resetMaxAge()`: using a session keeps it alive automatically (`touchEvery`).",
  passport:
    "Passport reads `req.session.passport`. Use `session(sessions, { passport })` of stored-session/express, which connects the two, or keep express-session with the store of stored-session/express-session.",
  returnTo:
    "Passport's `successReturnToOrRedirect` and connect-ensure-login keep `req.session.returnTo`: mount `session(sessions, { passport })` of stored-session/express, or keep it in `session.data.returnTo` and redirect in the handler after the login.",
  messages:
    "Passport's `failureMessage` keeps `req.session.messages`: mount `session(sessions, { passport })` of stored-session/express, or use `session.flash(name, value)` in the callback of `passport.authenticate`.",
  csrfSecret: csrfRemedy,
  csrfToken: csrfRemedy,
};

/** Members that code written for another library assigns. */
const assignments: Readonly<Record<string, string>> = {
  user: "`session.user` cannot be assigned: `session.login(userId)` logs in, `session.destroy()` logs out, and `session.data` holds everything else.",
  flash: flashRemedy,
};

/** For adapters: the object that holds a name which another library uses; undefined if the name is not allowed. */
export type Delegation = (session: object, name: string) => Record<string, unknown> | undefined;

/**
 * Makes setting an unknown property of sessions with this prototype an error, and reading a well-known one too. The traps
 * are at the end of the prototype chain, so members of a session never reach them and cost nothing extra.
 * @param dataOf the object that holds a name which an adapter allows for another library; undefined for all others
 */
export function refuseHabits(prototype: object, dataOf: Delegation): void {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (name === "constructor" || descriptor.set !== undefined) continue;
    const { value, get = () => value as unknown } = descriptor;
    const set = () => {
      throw new TypeError(assignments[name] ?? `\`session.${name}\` cannot be assigned.`);
    };
    Object.defineProperty(prototype, name, { get, set, configurable: true, enumerable: false });
  }
  // `await` reads `then` of every object. Found here, it does not reach the traps.
  // eslint-disable-next-line unicorn/no-thenable -- undefined makes nothing thenable
  Object.defineProperty(prototype, "then", { value: undefined });
  Object.setPrototypeOf(
    prototype,
    new Proxy(
      {},
      {
        get(target, name, session: object) {
          if (typeof name === "string") {
            const data = dataOf(session, name);
            if (data !== undefined) return data[name];
            if (Object.hasOwn(refusedReads, name)) throw new TypeError(refusedReads[name]);
          }
          return Reflect.get(target, name, session) as unknown;
        },
        set(target, name, value, session: object) {
          if (typeof name === "symbol") return Reflect.set(target, name, value, session);
          const data = dataOf(session, name);
          if (data === undefined) throw new TypeError(assignmentRemedy(name));
          data[name] = value;
          return true;
        },
      },
    ),
  );
}

/** @throws {TypeError} a method of the session was given a callback, which would never be called */
export function refuseCallback(method: string, given: ArrayLike<unknown>): void {
  if (!Array.prototype.some.call(given, (argument) => typeof argument === "function")) return;
  throw new TypeError(
    `session.${method} takes no callback; it takes effect when the response begins. Call session.${method}(${method === "login" ? "userId" : ""}) and respond in the next line. Libraries that pass callbacks, such as Passport, need \`session(sessions, { passport })\` of stored-session/express, or express-session with the store of stored-session/express-session.`,
  );
}

function assignmentRemedy(name: string): string {
  const remedy = refusedReads[name];
  if (Object.hasOwn(refusedReads, name) && remedy !== undefined) return remedy;
  const written = pathText("session", [name]);
  if (/^(?:oauth2?|openidconnect)(?::|$)/.test(name)) {
    return `\`${written}\` belongs to a Passport strategy: ${refusedReads["passport"]}`;
  }
  return `\`${written}\` would not be stored: write \`${pathText("session.data", [name])} = …\` instead.`;
}
