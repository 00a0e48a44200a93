import { commitForResponse, type SessionManager } from "../../manager.ts";
import { stateOf, type Session } from "../../session/session.ts";
import { deliverableOf } from "../fetch-response.ts";
import { forbidStoringIn, warn, writeResponseHeaders } from "../fetch.ts";
import type { SessionEffect } from "../headers.ts";
import { isIdle, tellOfLateChanges } from "../state.ts";
import type { H3Config, H3Event, H3Event2 } from "./events.ts";

interface Effect extends SessionEffect {
  readonly failed: boolean;
}

const effects = new WeakMap<H3Event, Effect>();
const followed = new WeakSet<H3Config>();

/**
 * Commits when the handlers have returned or thrown. What they returned becomes a response later, to which h3 adds headers
 * of its own; the headers of the session are written to the response that comes out of that.
 */
export async function respondOfVersion2<Data>(
  sessions: SessionManager<Data>,
  session: Session<Data>,
  event: H3Event2,
  next: () => unknown,
): Promise<unknown> {
  const state = stateOf(session as Session<never>);
  const commit = () => commitForResponse(sessions as SessionManager<never>, session as Session<never>);
  let value: unknown;
  let thrown: { readonly error: unknown } | null = null;
  try {
    value = await next();
  } catch (error) {
    thrown = { error };
  }
  const { uses } = state;
  let setCookie: string | null;
  try {
    if (value instanceof Response && !isIdle(state)) value = deliverableOf(value, state);
    setCookie = await commit();
  } catch (error) {
    if (value instanceof Response) value.body?.cancel().catch(() => {}); // rejects if the stream has a reader
    write(event, { accessed: true, setCookie: null, failed: true });
    throw error;
  }
  tellOfLateChanges(state, uses);
  if (setCookie !== null) warn(setCookie, event.req, event.req.ip);
  const { accessed } = state;
  const also = state.device.headers;
  write(event, { accessed, setCookie, also, failed: false });
  if (thrown !== null) throw thrown.error;
  return value;
}

/** Keeps caches from storing the error response of a session that could not be loaded. */
export function loadFailed(event: H3Event2): void {
  write(event, { accessed: true, setCookie: null, failed: true });
}

function write(event: H3Event2, effect: Effect): void {
  if (!effect.accessed && effect.setCookie === null) return;
  const { app } = event;
  if (app === undefined) {
    for (const headers of [event.res.headers, event.res.errHeaders]) writeTo(headers, effect);
    return;
  }
  follow(app.config);
  effects.set(event, effect);
}

/** Writes to each response of an application before its own hook for that. */
function follow(config: H3Config): void {
  if (followed.has(config)) return;
  followed.add(config);
  const { onResponse } = config;
  config.onResponse = (response, event) => {
    const effect = effects.get(event);
    if (effect !== undefined) writeTo(response.headers, effect);
    return onResponse?.(response, event);
  };
}

function writeTo(headers: Headers, { failed, ...effect }: Effect): void {
  writeResponseHeaders(headers, effect);
  if (failed) forbidStoringIn(headers);
}
