import { channels } from "./channels.ts";

/** The fields common to the events of the five tracing channels. */
export interface Operation {
  readonly operation: string;
  readonly handle?: string;
  readonly previousHandle?: string;
  readonly reason?: string;
  readonly bytes?: number;
  readonly found?: boolean;
  readonly applied?: boolean;
  readonly deleted?: number;
  readonly error?: unknown;
}

/** The result of an operation. */
export type Outcome = "ok" | "miss" | "not_applied" | "error";

export function outcomeOf(operation: Operation): Outcome {
  if (operation.error !== undefined) return "error";
  if (operation.found === false) return "miss";
  return operation.applied === false ? "not_applied" : "ok";
}

/** A stable name for an error: its code, otherwise the name of its class. */
export function errorType(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return typeof code === "string" ? code : typeof name === "string" ? name : "_OTHER";
}

/**
 * Calls `began` when an operation starts and `ended` when it completes, with the return value of `began` and the duration
 * in seconds, until the returned function is called.
 */
export function followOperations<Mark>(follower: {
  began(operation: Operation): Mark;
  ended(operation: Operation, mark: Mark, seconds: number): void;
}): () => void {
  const marks = new WeakMap<object, { mark: Mark; at: number }>();
  const subscribers = {
    start: (event: object) => {
      marks.set(event, { mark: follower.began(event as Operation), at: performance.now() });
    },
    asyncEnd: (event: object) => {
      const open = marks.get(event);
      if (open === undefined) return; // started before the subscription
      marks.delete(event);
      follower.ended(event as Operation, open.mark, (performance.now() - open.at) / 1_000);
    },
    end() {},
    asyncStart() {},
    error() {},
  };
  const all = [channels.read, channels.write, channels.delete, channels.touch, channels.expire];
  for (const channel of all) channel.subscribe(subscribers);
  return () => {
    for (const channel of all) channel.unsubscribe(subscribers);
  };
}

/** Calls `listener` with each message of a plain channel, until the returned function is called. */
export function listen<Message>(
  name: "refuse" | "conflict" | "batch" | "audit" | "device",
  listener: (message: Message) => void,
): () => void {
  const channel = channels[name];
  const onMessage = (message: unknown) => listener(message as Message);
  channel.subscribe(onMessage);
  return () => void channel.unsubscribe(onMessage);
}
