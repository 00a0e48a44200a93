import { assertOptions, isBoolean, isFunction, isText } from "../shared/option-checks.ts";
import type { SessionManager } from "../manager.ts";
import type { SessionData } from "../session/data.ts";
import type { Session } from "../session/session.ts";
import type { Duration } from "../shared/duration.ts";
import { fetchRequest, freshGuard, type GuardOptions } from "./fresh.ts";
import { loadedFor, onlySession, remember } from "./loaded.ts";
import { withoutSession } from "./prerendered.ts";
import { plainError, respond } from "./respond.ts";
import {
  kept,
  lazySessions,
  refuseManager,
  shareManager,
  type LazySessions,
  type SharedManager,
} from "./shared-manager.ts";
import { redirectOf, shownBy } from "./sveltekit/responses.ts";
import type { SvelteKitEvent } from "./sveltekit/events.ts";

export { withDeviceBinding } from "./device-handler.ts";
export type { FreshOptions, GuardOptions } from "./fresh.ts";
export type { LazySessions } from "./shared-manager.ts";

export interface SvelteKitSessionsOptions {
  /** `building` of `$app/environment`, in version 3 of `$app/env`. While it is true, no manager is created. */
  building: boolean;
  /** The property of `event.locals`. An application with several managers gives each its own. Default "session". */
  property?: string;
  /**
   * Returns the client address to store with a new session. Default: `event.getClientAddress()`, or none where that throws.
   */
  address?: (event: never) => string | undefined;
  /**
   * Responds when the session could not be loaded or saved. It can throw `error(503)` of SvelteKit. Default: store and
   * conflict errors are logged and answered with their status (503, 409) and a short text. Other errors go to `handleError`.
   */
  onError?: (error: unknown, event: never) => Response | Promise<Response>;
}

/** Sessions of a SvelteKit application. */
export interface SvelteKitSessions<Data = SessionData> extends LazySessions<Data> {
  /**
   * The hook: `export const handle = sessions.handle` in `src/hooks.server.ts`, or the first in `sequence`. Provides
   * `event.locals.session`, which is saved before the response is sent.
   */
  handle<Event extends SvelteKitEvent>(input: {
    event: Event;
    resolve(event: Event): Response | Promise<Response>;
  }): Promise<Response>;
}

/**
 * Sessions for SvelteKit.
 * @param create creates the manager. Called once per process, at the first request, and never by a build
 */
export function svelteKitSessions<Data = SessionData>(
  create: () => SessionManager<Data>,
  options: SvelteKitSessionsOptions,
): SvelteKitSessions<Data> {
  refuseManager("svelteKitSessions", create);
  const { building, property = "session", address, onError } = Object(options) as SvelteKitSessionsOptions;
  if (typeof building !== "boolean") {
    throw new TypeError(
      'svelteKitSessions: the option `building` is missing. Import it: import { building } from "$app/environment" (in SvelteKit 3 "$app/env").',
    );
  }
  assertOptions("svelteKitSessions", options, {
    building: isBoolean,
    property: isText,
    address: isFunction,
    onError: isFunction,
  });
  const key = `sveltekit ${property}`;
  const shared = () => kept(key, () => shareManager(create()));
  const cookies = new WeakMap<Session<Data>, string | null>();

  /** The session of the page's request, for a request that its loads send with `event.fetch`. */
  const shares = ({ running }: SharedManager<Data>, { isSubRequest, request }: SvelteKitEvent) => {
    const around = isSubRequest && request.credentials !== "omit" ? running.getStore() : undefined;
    return around !== undefined && cookies.get(around) === request.headers.get("cookie") ? around : undefined;
  };

  const own: Omit<SvelteKitSessions<Data>, keyof LazySessions> = {
    async handle({ event, resolve }) {
      const { locals, request } = event;
      if (building) {
        withoutSession(locals, property);
        return resolve(event);
      }
      const sharing = shared();
      const put = (session: Session<Data>) => {
        remember(sharing.manager, locals, session);
        (locals as Record<string, unknown>)[property] = session;
      };
      if (loadedFor(sharing.manager, locals) !== undefined) return resolve(event);
      const around = shares(sharing, event);
      if (around !== undefined) {
        put(around);
        return resolve(event);
      }
      const peer = address === undefined ? addressOf(event) : undefined; // asked for now: a connection that was cut has none
      return respond({
        shared: sharing,
        request,
        headers: request.headers,
        load: () =>
          sharing.sessions.load(request, () => ({
            address: address === undefined ? peer : address(event as never),
          })),
        async handler(session) {
          put(session);
          cookies.set(session, request.headers.get("cookie"));
          try {
            return await sharing.running.run(session, () => resolve(event));
          } catch (thrown) {
            return redirectOf(event, thrown);
          }
        },
        onError: (error) =>
          onError === undefined ? shownBy(event, plainError(error)) : onError(error, event as never),
      });
    },
  };
  return Object.assign(lazySessions(key, shared), own);
}

/** Throws while a page is prerendered, without the header that ADDRESS_HEADER names, and on some platforms. */
function addressOf(event: SvelteKitEvent): string | undefined {
  try {
    return event.getClientAddress();
  } catch {
    return undefined;
  }
}

/**
 * A guard for endpoints and hooks: `const denied = fresh(event); if (denied) return denied;`. Returns undefined if the user
 * proved who they are within this time, by `session.login` or `session.elevate`. Otherwise it returns the response: 401, or
 * for pages and forms a redirect to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: GuardOptions = {},
): (event: SvelteKitEvent) => Response | undefined {
  const fresh = freshGuard(within, options);
  return (event) => {
    const { url, request } = event;
    const guarded = fetchRequest({ method: request.method, url: url.href, headers: request.headers });
    const challenge = fresh(onlySession(event.locals, options.sessions), {
      ...guarded,
      // SvelteKit fetches the data of a page, and follows the redirect itself.
      header: (name) =>
        name === "sec-fetch-mode" && event.isDataRequest ? "navigate" : guarded.header(name),
    });
    return challenge === null ? undefined : new Response(challenge.body, challenge);
  };
}
