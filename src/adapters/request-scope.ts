import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { mergeContent } from "../session/merge.ts";
import { commitForResponse, settingsOf, type SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import type { SessionState } from "../session/state.ts";
import { isUnchanged } from "../session/unchanged.ts";

/** What became of one cookie during one request. */
class Lineage {
  /** The `Set-Cookie` value that answers the request so far; null while there is none. */
  setCookie: string | null = null;
  /** Commits of one request's sessions run one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  /** What a browser would send after this: the cookie that came with the request, until another was set or it was cleared. */
  cookieAfter(header: string | null | undefined): string | null | undefined {
    return this.setCookie === null ? header : this.setCookie.split(";", 1)[0];
  }

  inTurn<Answer>(task: () => Promise<Answer>): Promise<Answer> {
    const turn = this.#turn.then(task);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

type Managed = SessionManager<never>;

/**
 * Remembers, within one request, which cookie replaced which: for frameworks that ask for the session several times in a
 * request and have only the `Cookie` header to ask with. Nothing is remembered from one request to the next: an old
 * cookie that comes in another request opens nothing (R17).
 *
 * What runs in a scope may belong to another request: callbacks of a connection or a timer that one request made run in
 * the scope of that request. So a scope ends with its request, and of what it remembers it gives only what must be the
 * asker's: a header with a token is one visitor's own, and without one nobody else may be there to ask.
 */
class RequestScope {
  readonly #lineages = new Map<Managed, Map<string | null | undefined, Lineage>>();
  readonly #isAlone: (header: string | null | undefined) => boolean;
  ended = false;

  /** @param isAlone whether whoever asks with this header must be the request of this scope */
  constructor(isAlone: (header: string | null | undefined) => boolean) {
    this.#isAlone = isAlone;
  }

  /**
   * That of a `Cookie` header: another header in the same request is another visitor. Without any header the visitor is
   * the only one that is known, or the next. Undefined where it could be another request's.
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

/** Begins a scope with each request that a server of `node:http` or `node:https` takes in this process. */
export function followHttpRequests(): void {
  if (following) return;
  following = true;
  const underWay = new Underway();
  // Published before the request's listeners run, in their own stack: all that they start is in the scope.
  subscribe("http.server.request.start", (message) =>
    scopes.enterWith(underWay.begin(message as { request: IncomingMessage; response: ServerResponse })),
  );
}

/** The requests that are being answered, by their `Cookie` header. */
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
    // A response that waits behind another on its connection does not hear that this was cut.
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

/** Runs one request in a scope of its own. */
export async function withinRequest<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  const scope = new RequestScope(() => true);
  try {
    return await scopes.run(scope, work);
  } finally {
    scope.ended = true;
  }
}

interface Membership {
  readonly lineage: Lineage;
  /** Asked for as a new session: it stays one. */
  readonly apart: boolean;
}

const memberships = new WeakMap<Session<never>, Membership>();

/**
 * Loads the session of a cookie, or of the one that replaced it in this request.
 * @param header undefined asks for a new session, as opposed to null for a request without cookies
 */
export async function loadInRequest(
  sessions: Managed,
  header: string | null | undefined,
): Promise<Session<never>> {
  const lineage = scopes.getStore()?.lineage(sessions, header);
  const apart = header === undefined;
  const session = await sessions.load(apart ? undefined : (lineage?.cookieAfter(header) ?? header));
  if (lineage !== undefined) memberships.set(session, { lineage, apart });
  return session;
}

/**
 * Commits a session that {@link loadInRequest} gave. Where the same request saved it under another id meanwhile, or began
 * a session for the same visitor, the changes go there.
 * @returns the session that was committed, and what it owes the response
 */
export async function commitInRequest(
  sessions: Managed,
  session: Session<never>,
): Promise<{ session: Session<never>; setCookie: string | null }> {
  const membership = memberships.get(session);
  if (membership === undefined) return { session, setCookie: await commitForResponse(sessions, session) };
  const { lineage, apart } = membership;
  return lineage.inTurn(async () => {
    const heir = (apart ? null : await heirOf(sessions, session, lineage)) ?? session;
    const own = await commitForResponse(sessions, heir);
    if (own !== null) lineage.setCookie = own;
    // An heir answers the cookie as well: what carried it first may not be what is sent.
    return { session: heir, setCookie: own ?? (heir === session ? null : lineage.setCookie) };
  });
}

/** The session that takes the changes of this one; null where it is committed itself. */
async function heirOf(
  sessions: Managed,
  session: Session<never>,
  lineage: Lineage,
): Promise<Session<never> | null> {
  const state = stateOf(session);
  const { settings, stored } = state;
  if (lineage.setCookie === null || state.setCookie === lineage.setCookie) return null;
  if (state.ended || state.intent !== "save" || state.setCookie !== null) return null;
  if (stored === null ? state.isUnused() : isUnchanged(state)) return null;
  const heir = await sessions.load(lineage.cookieAfter(null), () => state.client);
  const next = stateOf(heir);
  if (next.stored === null || next.stored.token.text === stored?.token.text) return null;
  const { base } = state;
  if (!isSameUser(state, base.user, next)) return null;
  next.content = mergeContent(settings.format, base, state.content, next.content, settings.onConflict);
  memberships.set(heir, { lineage, apart: false });
  return heir;
}

/** Data is never merged from one user to another: who was anonymous may have logged in, and that is all. */
function isSameUser(state: SessionState, before: string | undefined, next: SessionState): boolean {
  const { data, user: loggedIn } = state.content;
  const now = state.userOf === undefined ? loggedIn : state.userAfter(data);
  const { user } = next.content;
  return now === user || (now === undefined && before === undefined);
}
