/**
 * Habits from other session libraries. Each of them would fail silently on a `Session`: a property is set and lost, a
 * callback is never called. Here they become errors that say what to write instead.
 */
import { pathText } from "../codec/path.ts";

const flashRemedy =
  "Flash messages are `session.flash(name, value)` and `session.takeFlash(name)`; connect-flash keeps its messages in the session of express-session and does not work here.";
const saveRemedy =
  "There is no `session.save()`: change `session.data` and answer. The response waits until the session is saved.";
const csrfRemedy =
  "A CSRF library that keeps its secret in the session needs `session.data`: csrf-sync takes `getTokenFromState` and `storeTokenInState`; csurf takes `sessionKey` (docs/frameworks/express.md).";

/** Names that other libraries read. Reading them here would give undefined, and a login, a check or a page would fail later. */
const refusedReads: Readonly<Record<string, string>> = {
  id: "There is no `session.id`: `session.handle` names the session and is no secret.",
  sessionID: "There is no `session.sessionID`: `session.handle` names the session and is no secret.",
  sessionId: "There is no `session.sessionId`: `session.handle` names the session and is no secret.",
  cookie:
    "There is no `session.cookie`: cookie attributes and limits are options of createSessionManager (`cookie`, `idleTimeout`, `absoluteTimeout`), and `session.expiresAt` says when this session ends.",
  save: saveRemedy,
  reload:
    "There is no `session.reload()`: `await sessions.update(session, (data) => …)` reads and writes the stored data in one step.",
  touch:
    "There is no `session.touch()`: a session that is used stays alive by itself (`touchEvery`); `cookie: { rolling: true }` renews the cookie as well.",
  resetMaxAge:
    "There is no `session.resetMaxAge()`: a session that is used stays alive by itself (`touchEvery`).",
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

/** For adapters: makes a name that another library uses refer to a value in `session.data`, while `allowed` says so. */
export type Delegation = (session: object, name: string) => Record<string, unknown> | undefined;

/**
 * Makes every unknown property of the sessions with this prototype an error to set, and the well-known ones an error to
 * read. The traps sit at the end of the prototype chain: members of a session never reach them, and cost nothing more.
 * @param dataOf where a name belongs that an adapter admits for another library; undefined for all others
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
  // `await` asks every object for `then`: found here, it does not reach the traps.
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

/** @throws {TypeError} a method of the session was given a callback, which nothing would call */
export function refuseCallback(method: string, given: ArrayLike<unknown>): void {
  if (!Array.prototype.some.call(given, (argument) => typeof argument === "function")) return;
  throw new TypeError(
    `session.${method} takes no callback and does its work when the response begins: call session.${method}(${method === "login" ? "userId" : ""}) and answer in the next line. Libraries that pass callbacks, such as Passport, need \`session(sessions, { passport })\` of stored-session/express, or express-session with the store of stored-session/express-session.`,
  );
}

function assignmentRemedy(name: string): string {
  const remedy = refusedReads[name];
  if (Object.hasOwn(refusedReads, name) && remedy !== undefined) return remedy;
  const written = pathText("session", [name]);
  if (/^(?:oauth2?|openidconnect)(?::|$)/.test(name)) {
    return `\`${written}\` belongs to a strategy of Passport: ${refusedReads["passport"]}`;
  }
  return `\`${written}\` would not be stored: write \`${pathText("session.data", [name])} = …\` instead.`;
}
