import { printable } from "../printable.ts";
import { channels, type ConflictEvent, type RefuseEvent } from "./channels.ts";

/** What console, pino and winston have in common. */
export interface SessionLogger {
  debug(message: string): unknown;
  warn(message: string): unknown;
}

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
 * Writes a debug line for each operation (what, how long, on which hashed id) and a warning for each row that was
 * refused, until the returned function is called. Lines hold no token, user id or value.
 *
 * ```text
 * Session update (1.3ms) 0f3a…
 * ```
 */
export function logSessions(logger: SessionLogger): () => void {
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
  const refused = (message: unknown) => {
    const { handle, reason } = message as RefuseEvent;
    logger.warn(`Session refused (${reason}) ${handle}`);
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
