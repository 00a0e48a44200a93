import type {
  AuthCredentials,
  UserCredentials,
  Request,
  ResponseToolkit,
  Server,
  ServerAuthSchemeObject,
} from "@hapi/hapi";
import type { SessionManager } from "../../manager.ts";
import type { Session } from "../../session/session.ts";
import { sitePath } from "../../shared/return-path.ts";
import { isNavigation, redirection } from "../fresh.ts";
import { onlySession } from "../loaded.ts";
import { boomOf } from "./boom.ts";
import { hapiRequest, sendHapi } from "./challenge.ts";

/**
 * Options of a strategy: `server.auth.strategy("login", "stored-session", { redirectTo: "/login" })`. A request whose session
 * has a user is authenticated; the others get 401.
 */
export interface SessionStrategyOptions {
  /**
   * The path of this site where users log in. Page views and forms are redirected there, with the path to return to as
   * `return_to`. Default: every request is answered with 401.
   */
  readonly redirectTo?: string;
  /**
   * Returns the credentials of a user; null if the user may no longer log in. Default: `{ user: { id } }`. What it throws is
   * the response.
   */
  readonly validate?: (
    session: Session<any>,
    request: Request,
  ) => AuthCredentials | null | Promise<AuthCredentials | null>;
  /** The manager whose session is meant, if a request has the sessions of several. */
  readonly sessions?: SessionManager<any>;
}

/** The authentication scheme `stored-session`. */
export function sessionScheme(_server: Server, options: SessionStrategyOptions = {}): ServerAuthSchemeObject {
  const { redirectTo, sessions, validate = userOf } = options;
  if (redirectTo !== undefined && sitePath(redirectTo) === null) {
    throw new TypeError(
      `server.auth.strategy(…, "stored-session", …): \`redirectTo\` must be a path of this site, such as "/login". It is ${JSON.stringify(redirectTo)}.`,
    );
  }
  return {
    async authenticate(request: Request, h: ResponseToolkit) {
      const session = onlySession(request, sessions);
      const credentials = session.user === undefined ? null : await validate(session, request);
      if (credentials !== null) return h.authenticated({ credentials, artifacts: {} });
      const checked = hapiRequest(request);
      if (redirectTo !== undefined && request.auth.mode === "required" && isNavigation(checked))
        return sendHapi(h, redirection(redirectTo, checked));
      return h.unauthenticated(boomOf(new Error("Log in first."), 401));
    },
  };
}

function userOf({ user }: Session<any>): AuthCredentials {
  return { user: { id: user } as UserCredentials };
}
