import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { mergeContent } from "../session/merge.ts";
import { commitForResponse, settingsOf, type SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import type { SessionState } from "../session/state.ts";
import { isUnchanged } from "../session/unchanged.ts";
import { withCookie } from "./with-cookie.ts";

/** What happened to one cookie during one request. */
class Lineage {
  /** The `Set-Cookie` value to send so far. Null if there is none. */
  setCookie: string | null = null;
  /** Commits of one request's sessions run one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * The `Cookie` header that a browser would send after this request: that of the request, with the session cookie that was
   * set or cleared.
   */
  cookieAfter(header: string | null | undefined): string | null | undefined {
    return this.setCookie === null ? header : withCookie(header, this.setCookie);
  }

  inTurn<Answer>(task: () => Promise<Answer>): Promise<Answer> {
    const turn = this.#turn.then(task);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

type Managed = SessionManager<never>;

/**
 * Remembers, within one request, which cookie replaced which, for frameworks that load the session several times in a
 * request with only the `Cookie` header. Nothing is kept between requests: an old cookie in another request opens
 * nothing (R17).
 *
 * Code in a scope may belong to another request: callbacks of a connection or timer that one request created run in
 * that request's scope. Therefore a scope ends with its request and only reveals what must belong to the caller: a
 * header with a token belongs to one visitor, and without a token no other request may be in progress.
 */
class RequestScope {
  readonly #lineages = new Map<Managed, Map<string | null | undefined, Lineage>>();
  readonly #isAlone: (header: string | null | undefined) => boolean;
  /** The sessions that were committed in it. */
  readonly committed = new Set<Session<never>>();
  ended = false;

  /** @param isAlone whether a caller with this header must be the request of this scope */
  constructor(isAlone: (header: string | null | undefined) => boolean) {
    this.#isAlone = isAlone;
  }

  /**
   * The entry of a `Cookie` header. Another header in the same request belongs to another visitor. Without a header,
   * the visitor is the only known one, or the next. Undefined if it could be another request's.
   */
  lineage(sessions: Managed, header: string | null | undefined): Lineage | undefined {
    if (this.ended || !(this.#isAlone(header) || hasToken(sessions, header))) return undefined;
    let lineages = this.#lineages.get(sessions);
    if (lineages === undefined) this.#lineages.set(sessions, (lineages = new Map<string | null, Lineage>()));
    let lineage = lineages.get(header);
    if (lineage !== undefined) return lineage;
    const [only] = lineages.values();
    const isOnly = lineages.size === 1 && (header === undefined || lineages.has(undefined));
    lineage = (isOnly ? only : undefined) ?? new Lineage();
    lineages.set(header, lineage);
    return lineage;
  }
}

function hasToken(sessions: Managed, header: string | null | undefined): boolean {
  if (!header) return false;
  const { cookie, format } = settingsOf(sessions);
  return cookie.read(header).some((value) => format.read(value) !== null);
}

const scopes = new AsyncLocalStorage<RequestScope>();
let following = false;

/** Starts a scope with each request that a `node:http` or `node:https` server receives in this process. */
export function followHttpRequests(): void {
  if (following) return;
  following = true;
  const underWay = new Underway();
  // Published before the request's listeners run, synchronously, so that everything they start is in the scope.
  subscribe("http.server.request.start", (message) =>
    scopes.enterWith(underWay.begin(message as { request: IncomingMessage; response: ServerResponse })),
  );
}

/** Requests in progress, by their `Cookie` header. */
class Underway {
  readonly #counts: Map<string | null, number> = new Map();
  #all = 0;

  begin({ request, response }: { request: IncomingMessage; response: ServerResponse }): RequestScope {
    const own = request.headers.cookie ?? null;
    const scope = new RequestScope((header) =>
      header === undefined ? this.#all === 1 : header === own && this.#counts.get(own) === 1,
    );
    this.#add(own, 1);
    const end = () => {
      if (!scope.ended) this.#add(own, -1);
      scope.ended = true;
    };
    response.once("close", end);
    // A pipelined response that waits behind another gets no event when the connection is cut.
    request.once("close", () => request.socket.destroyed && end());
    return scope;
  }

  #add(header: string | null, by: 1 | -1): void {
    this.#all += by;
    const count = (this.#counts.get(header) ?? 0) + by;
    if (count === 0) this.#counts.delete(header);
    else this.#counts.set(header, count);
  }
}

/**
 * Runs one request in a scope of its own.
 * @param work is given the sessions that it has committed so far
 */
export async function withinRequest<Answer>(
  work: (committed: ReadonlySet<Session<never>>) => Promise<Answer>,
): Promise<Answer> {
  const scope = new RequestScope(() => true);
  try {
    return await scopes.run(scope, () => work(scope.committed));
  } finally {
    scope.ended = true;
  }
}

interface Membership {
  readonly lineage: Lineage;
  /** The `Cookie` header that it was requested with. */
  readonly header: string | null | undefined;
  /** Requested as a new session: it stays one. */
  readonly apart: boolean;
}

const memberships = new WeakMap<Session<never>, Membership>();

/**
 * Loads the session of a cookie, or of the cookie that replaced it in this request.
 * @param header undefined requests a new session; null is a request without cookies
 */
export async function loadInRequest(
  sessions: Managed,
  header: string | null | undefined,
): Promise<Session<never>> {
  const lineage = scopes.getStore()?.lineage(sessions, header);
  const apart = header === undefined;
  const session = await sessions.load(apart ? undefined : (lineage?.cookieAfter(header) ?? header));
  if (lineage !== undefined) memberships.set(session, { lineage, header, apart });
  return session;
}

/**
 * Commits a session that {@link loadInRequest} returned. If the same request has saved it under another id meanwhile,
 * or started a session for the same visitor, the changes go there.
 * @returns the committed session and the headers it requires
 */
export async function commitInRequest(
  sessions: Managed,
  session: Session<never>,
): Promise<{ session: Session<never>; setCookie: string | null }> {
  const membership = memberships.get(session);
  if (membership === undefined) return { session, setCookie: await commitForResponse(sessions, session) };
  const { lineage, header, apart } = membership;
  return lineage.inTurn(async () => {
    const heir = (apart ? null : await heirOf(sessions, session, lineage, header)) ?? session;
    const own = await commitForResponse(sessions, heir);
    scopes.getStore()?.committed.add(heir);
    if (own !== null) lineage.setCookie = own;
    // The replacing session answers the cookie too, because the response with the first one may not be sent.
    return { session: heir, setCookie: own ?? (heir === session ? null : lineage.setCookie) };
  });
}

/** The session that receives the changes of this one. Null if this one is committed itself. */
async function heirOf(
  sessions: Managed,
  session: Session<never>,
  lineage: Lineage,
  header: string | null | undefined,
): Promise<Session<never> | null> {
  const state = stateOf(session);
  const { settings, stored } = state;
  if (lineage.setCookie === null || state.setCookie === lineage.setCookie) return null;
  if (state.ended || state.intent !== "save" || state.setCookie !== null) return null;
  if (stored === null ? state.isUnused() : isUnchanged(state)) return null;
  const heir = await sessions.load(lineage.cookieAfter(header), () => state.client);
  const next = stateOf(heir);
  if (next.stored === null || next.stored.token.text === stored?.token.text) return null;
  const { base } = state;
  if (!isSameUser(state, base.user, next)) return null;
  next.content = mergeContent(settings.format, base, state.content, next.content, settings.onConflict);
  memberships.set(heir, { lineage, header, apart: false });
  return heir;
}

/** Data is never merged between users; the only change of user allowed is the login of an anonymous session. */
function isSameUser(state: SessionState, before: string | undefined, next: SessionState): boolean {
  const { data, user: loggedIn } = state.content;
  const now = state.userOf === undefined ? loggedIn : state.userAfter(data);
  const { user } = next.content;
  return now === user || (now === undefined && before === undefined);
}
