import { parseSetCookie } from "cookie";
import type { DataOf, SessionData } from "../session/data.ts";
import type { ClientSource } from "../session/format.ts";
import { commitForResponse, type SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import { assertManager } from "./assert-manager.ts";
import { deliverableOf, withMutableHeaders } from "./fetch-response.ts";
import { bounceResponse, deviceResponse } from "./device.ts";
import { fetchRequest, freshGuard, type FetchRequest, type FreshOptions } from "./fresh.ts";
import { forbidStoring, writeSessionHeaders, type HeaderTarget, type SessionEffect } from "./headers.ts";
import { warnOfInsecureRequest } from "./insecure-request.ts";
import { isIdle, tellOfLateChanges } from "./state.ts";
import type { Duration } from "../shared/duration.ts";
import { touchIfDue } from "./touch.ts";

export type { FreshOptions } from "./fresh.ts";

/** A `Request`, its headers, or its `Cookie` header. */
export type CookieSource = Request | Pick<Headers, "get"> | string | null | undefined;

/** A cookie in the form that `cookies().set(…)` of Next.js, SvelteKit and others accept. */
export interface CookieToSet {
  readonly name: string;
  readonly value: string;
  readonly maxAge?: number | undefined;
  readonly expires?: Date | undefined;
  readonly path: string;
  readonly domain?: string | undefined;
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly sameSite: "lax" | "strict" | "none";
  readonly partitioned?: boolean | undefined;
  readonly priority?: "low" | "medium" | "high" | undefined;
}

/** A read-only view of a session. Changes to it are not saved. */
export interface SessionView<Data = SessionData> {
  readonly data: Readonly<Partial<DataOf<Data>>>;
  readonly user: string | undefined;
  readonly isNew: boolean;
  /** The error if the session could not be loaded, otherwise null. With an error, `user` and `data` are empty. */
  readonly error: unknown;
}

/**
 * Sessions for platforms based on `Request` and `Response`. Also exposes the most common methods of the manager; `manager`
 * has the others.
 */
export interface FetchSessions<Data = SessionData> extends Pick<
  SessionManager<Data>,
  "update" | "forUser" | "scheduleExpiry" | "close"
> {
  /** The manager that `fetchSessions` was given. */
  readonly manager: SessionManager<Data>;
  /**
   * Loads the session of a request.
   * @param client address and user agent, or a function that returns them, called when a session is created. The user
   *   agent defaults to that of the request
   * @throws {StoreError} the store is unavailable
   */
  load(source: CookieSource, client?: ClientSource): Promise<Session<Data>>;
  /**
   * Saves the session and returns the response to send: `response` itself, or a copy if its headers are immutable. Send
   * nothing before the promise resolves. Committing again writes the same cookie again. If it fails, the body of
   * `response` is cancelled.
   * @throws {TypeError} the response cannot be sent (`Response.error()`, or its body was read). Nothing is saved
   * @throws {StoreError} the store is unavailable
   */
  commit(session: Session<Data>, response: Response): Promise<Response>;
  /** Loads the session, runs the handler and commits. If the handler throws, the error is rethrown and nothing is saved. */
  handle(
    request: Request,
    handler: (session: Session<Data>) => Response | Promise<Response>,
    client?: ClientSource,
  ): Promise<Response>;
  /**
   * Answers the endpoint of device-bound sessions (option `deviceBinding`), for applications that call `load` and `commit`;
   * `handle` does it by itself. Null for every other request.
   * @throws {StoreError} the store is unavailable
   */
  deviceBinding(request: Pick<Request, "method" | "url" | "headers">): Promise<Response | null>;
  /**
   * Answers a link on another site whose session's device cookie has expired: the page loads itself again. Call it between
   * `load` and the handler, which would use up a link that counts once; `handle` does it by itself. Null for every other
   * request, and for a session that was not loaded with its `Request`.
   */
  deviceReload(session: Session<Data>): Response | null;
  /** Saves the session if there is no response to add headers to. Returns the cookie to set, or null if none is needed. */
  save(session: Session<Data>): Promise<CookieToSet | null>;
  /**
   * Reads a session where it cannot be saved, such as in server components. Extends its idle timeout. Never throws: see
   * `error`.
   */
  view(source: CookieSource): Promise<SessionView<Data>>;
}

/** Sessions for `Request` and `Response`: Bun, Deno, Next.js, SvelteKit, h3, Elysia and others. */
export function fetchSessions<Data>(sessions: SessionManager<Data>): FetchSessions<Data> {
  assertManager(sessions);
  const requests = new WeakMap<Session<Data>, Request>();
  const owedBy = (session: Session<Data>) =>
    commitForResponse(sessions as SessionManager<never>, session as Session<never>);

  const load: FetchSessions<Data>["load"] = async (source, client) => {
    const userAgent = headerOf(source, "user-agent");
    const session = await sessions.load(headerOf(source, "cookie"), () => {
      const given = typeof client === "function" ? client() : client;
      return { address: given?.address, userAgent: given?.userAgent ?? userAgent };
    });
    if (isRequest(source)) requests.set(session, source);
    return session;
  };

  const deviceReload: FetchSessions<Data>["deviceReload"] = (session) => {
    const request = requests.get(session);
    return request === undefined ? null : bounceResponse(session, request);
  };

  const commit: FetchSessions<Data>["commit"] = async (session, response) => {
    const state = stateOf(session as Session<never>);
    const { uses } = state;
    const request = requests.get(session);
    const bounced = deviceReload(session); // if the application did not call it
    if (bounced !== null) {
      response.body?.cancel().catch(() => {}); // rejects if the stream has a reader
      return bounced;
    }
    const deliverable = isIdle(state) ? response : deliverableOf(response, state);
    const setCookie = await owedBy(session).catch((error: unknown) => {
      deliverable.body?.cancel().catch(() => {}); // rejects if the stream has a reader
      throw error;
    });
    const { accessed } = state;
    const also = state.device.headers;
    tellOfLateChanges(state, uses);
    if (setCookie === null && !accessed) return deliverable;
    if (setCookie !== null) warn(setCookie, request);
    const answer = withMutableHeaders(deliverable);
    writeResponseHeaders(answer.headers, { accessed, setCookie, also });
    return answer;
  };

  return {
    manager: sessions,
    update: sessions.update.bind(sessions),
    forUser: sessions.forUser.bind(sessions),
    scheduleExpiry: sessions.scheduleExpiry.bind(sessions),
    close: sessions.close.bind(sessions),
    load,
    commit,
    deviceBinding: async (request) => deviceResponse(sessions, request),
    deviceReload,
    async handle(request, handler, client) {
      const answering = deviceResponse(sessions, request);
      if (answering !== null) return answering;
      const session = await load(request, client);
      return deviceReload(session) ?? commit(session, await handler(session));
    },
    async save(session) {
      const state = stateOf(session as Session<never>);
      const { uses } = state;
      const setCookie = await owedBy(session);
      tellOfLateChanges(state, uses);
      if (setCookie === null) return null;
      const { name, value, ...attributes } = parseSetCookie(setCookie);
      return {
        name,
        value: value ?? "",
        path: "/",
        httpOnly: false,
        secure: false,
        sameSite: "lax",
        ...attributes,
      } as CookieToSet;
    },
    async view(source): Promise<SessionView<Data>> {
      try {
        const session = await sessions.load(headerOf(source, "cookie"));
        touchIfDue(sessions, session);
        const { data, user, isNew } = session;
        return { data, user, isNew, error: null };
      } catch (error) {
        return { data: {} as Partial<DataOf<Data>>, user: undefined, isNew: true, error };
      }
    },
  };
}

/**
 * A guard for handlers: `const denied = guard(session, request); if (denied !== null) return denied;`. Returns null if the
 * user proved who they are within this time, by `session.login` or `session.elevate`. Otherwise it returns the response: 401,
 * or for pages and forms a redirect to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: FreshOptions = {},
): <Data>(session: Session<Data>, request: FetchRequest) => Response | null {
  const fresh = freshGuard(within, options);
  return (session, request) => {
    const challenge = fresh(session as Session<never>, fetchRequest(request));
    return challenge === null ? null : new Response(challenge.body, challenge);
  };
}

/** Writes the headers that a session requires to fetch headers, which must be mutable. */
export function writeResponseHeaders(headers: Headers, effect: SessionEffect): void {
  writeSessionHeaders(targetOf(headers), effect);
}

/** Keeps every cache from storing a response with these headers, which must be mutable. */
export function forbidStoringIn(headers: Headers): void {
  forbidStoring(targetOf(headers));
}

function targetOf(headers: Headers): HeaderTarget {
  return {
    get: (name) => headers.get(name) ?? undefined,
    names: () => [...headers.keys()],
    set: (name, value) => headers.set(name, value),
    append: (name, value) => headers.append(name, value),
  };
}

/** Warns once if a browser will reject the Secure cookie set in response to this request. */
export function warn(setCookie: string, request: Request | undefined, peer?: string): void {
  if (request === undefined) return;
  warnOfInsecureRequest(setCookie, () => {
    const { protocol, host } = new URL(request.url);
    return {
      secure: protocol === "https:" || request.headers.get("x-forwarded-proto") === "https",
      host,
      peer,
      header: (name) => request.headers.get(name) ?? undefined,
    };
  });
}

function headerOf(source: CookieSource, name: string): string | undefined {
  if (typeof source === "string") return name === "cookie" ? source : undefined;
  const headers = isRequest(source) ? source.headers : source;
  if (headers !== null && headers !== undefined && typeof headers.get !== "function") {
    throw new TypeError(
      "fetchSessions requires a Request, its headers, or the text of its Cookie header. For node:http requests, use stored-session/node.",
    );
  }
  return headers?.get(name) ?? undefined;
}

/** An object with a `get` method is headers, even if it has a field `headers`, as those of Next.js do. */
function isRequest(source: CookieSource): source is Request {
  if (typeof source !== "object" || source === null) return false;
  return typeof (source as { get?: unknown }).get !== "function" && "headers" in source;
}
