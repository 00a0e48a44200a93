import { assertOptions, isFunction } from "../shared/option-checks.ts";
import { printable } from "../shared/printable.ts";
import { channels, isOfCookie, type ConflictEvent, type RefuseEvent } from "./channels.ts";
import { isOfDevice } from "./device-refusals.ts";

/** A logger such as console, pino or winston. */
export interface SessionLogger {
  debug(message: string): unknown;
  warn(message: string): unknown;
}

export interface LogOptions {
  /** A monotonic clock in milliseconds, for tests. Default `performance.now`. */
  readonly now?: () => number;
}

/** Minimum interval in milliseconds between log lines about rejected cookies, per reason: clients can send any number. */
const everyRejection = 60_000;

interface Timed {
  operation: string;
  reason?: string;
  handle?: string;
  deleted?: number;
  found?: boolean;
  applied?: boolean;
  error?: unknown;
}

/**
 * Logs each operation at debug level (operation, duration, handle) and each refused row as a warning, until the returned
 * function is called. Rejected cookies and devices that were not proved are logged at most once a minute per reason. Log lines contain no token, user id
 * or value.
 *
 * ```text
 * Session update (1.3ms) 0f3a…
 * ```
 */
export function logSessions(logger: SessionLogger, options: LogOptions = {}): () => void {
  assertOptions("logSessions", options, { now: isFunction });
  const { now = () => performance.now() } = options;
  const began = new WeakMap<object, number>();
  const start = (event: object) => void began.set(event, performance.now());
  const asyncEnd = (message: object) => {
    const event = message as Timed;
    const elapsed = performance.now() - (began.get(event) ?? performance.now());
    logger.debug(
      `Session ${describe(event)} (${elapsed.toFixed(1)}ms)${event.handle ? ` ${event.handle}` : ""}`,
    );
  };
  const traced = [channels.read, channels.write, channels.delete, channels.touch, channels.expire];
  const subscribers = { start, asyncEnd, end() {}, asyncStart() {}, error() {} };
  const cookies = new Map<string, { since: number; count: number }>();
  const rejected = (what: string, reason: string) => {
    const at = now();
    const last = cookies.get(reason);
    if (last !== undefined && at - last.since < everyRejection) {
      last.count++;
      return;
    }
    cookies.set(reason, { since: at, count: 0 });
    const more =
      last === undefined || last.count === 0 ? "" : `, and ${last.count} more since the previous line`;
    logger.warn(`${what} (${reason})${more}`);
  };
  const refused = (message: unknown) => {
    const event = message as RefuseEvent;
    if (isOfDevice(event)) rejected("Session device not proved", event.reason);
    else if (isOfCookie(event)) rejected("Session cookie rejected", event.reason);
    else logger.warn(`Session refused (${event.reason}) ${event.handle}`);
  };
  const conflicted = (message: unknown) => {
    const { handle, outcome, attempt } = message as ConflictEvent;
    logger.debug(`Session conflict (${outcome}, attempt ${attempt}) ${handle}`);
  };
  for (const channel of traced) channel.subscribe(subscribers);
  channels.refuse.subscribe(refused);
  channels.conflict.subscribe(conflicted);
  return () => {
    for (const channel of traced) channel.unsubscribe(subscribers);
    channels.refuse.unsubscribe(refused);
    channels.conflict.unsubscribe(conflicted);
  };
}

function describe({ operation, reason, deleted, found, applied, error }: Timed): string {
  const words = [operation];
  if (reason !== undefined && reason !== "save" && reason !== operation) words.push(`for ${reason}`);
  if (error !== undefined) words.push(`failed: ${error instanceof Error ? printable(error.name) : "error"}`);
  else if (found === false) words.push("miss");
  else if (applied === false) words.push("not applied");
  else if (deleted !== undefined) words.push(`deleted ${deleted}`);
  return words.join(" ");
}
