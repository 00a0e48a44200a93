import { channel, tracingChannel, type Channel, type TracingChannel } from "node:diagnostics_channel";

/**
 * What this package tells about itself, through `node:diagnostics_channel`. The core publishes and never logs;
 * log lines, OpenTelemetry and Prometheus subscribe. A channel nobody subscribed to costs next to nothing.
 *
 * Payloads name a session by its `handle` (the hashed id, base64url) and hold no token, key, user id or value.
 */
export interface ReadEvent {
  operation: "read";
  handle: string;
  /** Set when the answer is there: whether a row was found. Whether it had expired is the manager's to say. */
  found?: boolean;
}

export interface WriteEvent {
  operation: "insert" | "update" | "replace";
  /** Why it was written. */
  reason: "save" | "login" | "regenerate" | "reset" | "renew" | "reseal";
  handle: string;
  /** The id that ended, for a replace. */
  previousHandle?: string;
  /** Length of the sealed session. */
  bytes: number;
  /** Set when the answer is there: false when the row had changed or was gone. */
  applied?: boolean;
}

export interface DeleteEvent {
  operation: "destroy" | "revoke" | "revoke-all";
  /** Absent for revoke-all. */
  handle?: string;
  /** Set when the answer is there: how many rows went. */
  deleted?: number;
}

export interface TouchEvent {
  operation: "touch";
  handle: string;
}

export interface ExpireEvent {
  operation: "expire";
  /** Set when the answer is there: rows deleted by this step. */
  deleted?: number;
}

/** A row that did not open (R26), or a cookie that is no token. */
export interface RefuseEvent {
  /** Of the row; absent for a cookie, which names no session. */
  handle?: string;
  /** For a cookie "malformed", or "unknown_key": the right shape, and a tag that no key of the ring made. */
  reason: string;
}

/** Whether an event is about a cookie, which anybody can send in any number. */
export function isOfCookie({ handle }: RefuseEvent): boolean {
  return handle === undefined;
}

/** A commit met a row that another request had changed. */
export interface ConflictEvent {
  handle: string;
  /** `merged`: the changes were applied on top; `ended`: the session had ended; `failed`: given up. */
  outcome: "merged" | "ended" | "failed";
  attempt: number;
}

/** A statement left for the store. */
export interface BatchEvent {
  operation: "read" | "insert" | "update" | "replace" | "touch" | "delete";
  /** Operations that left together. */
  size: number;
}

// Node types 26 have the two parameters of TracingChannel the other way round than 24: both are the event.
export const channels: {
  readonly read: TracingChannel<ReadEvent, ReadEvent>;
  readonly write: TracingChannel<WriteEvent, WriteEvent>;
  readonly delete: TracingChannel<DeleteEvent, DeleteEvent>;
  readonly touch: TracingChannel<TouchEvent, TouchEvent>;
  readonly expire: TracingChannel<ExpireEvent, ExpireEvent>;
  /** {@link RefuseEvent} */
  readonly refuse: Channel;
  /** {@link ConflictEvent} */
  readonly conflict: Channel;
  /** {@link BatchEvent} */
  readonly batch: Channel;
} = {
  read: tracingChannel("stored-session.read"),
  write: tracingChannel("stored-session.write"),
  delete: tracingChannel("stored-session.delete"),
  touch: tracingChannel("stored-session.touch"),
  expire: tracingChannel("stored-session.expire"),
  refuse: channel("stored-session.refuse"),
  conflict: channel("stored-session.conflict"),
  batch: channel("stored-session.batch"),
};

interface Traced {
  read: ReadEvent;
  write: WriteEvent;
  delete: DeleteEvent;
  touch: TouchEvent;
  expire: ExpireEvent;
}

/**
 * Runs `work` inside a tracing channel. `event` makes the payload, and is called only when somebody listens;
 * `note` adds to it what the answer told.
 */
export function trace<Name extends keyof Traced, Answer>(
  name: Name,
  event: () => Traced[Name],
  work: () => Promise<Answer>,
  note?: (event: Traced[Name], answer: Answer) => void,
): Promise<Answer> {
  const traced = channels[name] as TracingChannel<object, object>;
  if (!traced.hasSubscribers) return work();
  const payload = event();
  let answer!: Answer;
  // Kept from `tracePromise`, which would put it into the payload as `result`: that of a read is the whole row.
  const done = traced.tracePromise(async () => {
    answer = await work();
    note?.(payload, answer);
  }, payload);
  return done.then(() => answer);
}
