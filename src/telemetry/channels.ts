import { channel, tracingChannel, type Channel, type TracingChannel } from "node:diagnostics_channel";
import { isOfDevice } from "./device-refusals.ts";

/**
 * Diagnostic events, published through `node:diagnostics_channel`. The core never logs; the logger, OpenTelemetry and
 * Prometheus integrations subscribe. A channel without subscribers costs next to nothing.
 *
 * Payloads identify a session by its `handle` (the hashed id, base64url) and contain no token, key, user id or value.
 */
export interface ReadEvent {
  operation: "read";
  handle: string;
  /** Whether a row was found, expired or not. Set when the operation completes. */
  found?: boolean;
}

export interface WriteEvent {
  operation: "insert" | "update" | "replace";
  /** Why the session was written. */
  reason: "save" | "login" | "regenerate" | "reset" | "renew" | "reseal";
  handle: string;
  /** The handle of the replaced session, for a replace. */
  previousHandle?: string;
  /** Length of the sealed session. */
  bytes: number;
  /** False if the row had changed or no longer existed. Set when the operation completes. */
  applied?: boolean;
}

export interface DeleteEvent {
  /** `evict`: a login of the same user ended it, and its time is in that of the login (`maxSessions`). */
  operation: "destroy" | "revoke" | "revoke-all" | "evict";
  /** Absent for revoke-all. */
  handle?: string;
  /** Number of rows deleted. Set when the operation completes. */
  deleted?: number;
}

export interface TouchEvent {
  operation: "touch";
  handle: string;
}

export interface ExpireEvent {
  operation: "expire";
  /** Number of rows deleted by this step. Set when the operation completes. */
  deleted?: number;
}

/** A row that could not be opened (R26), a session cookie without a valid token, or a device that was not proved. */
export interface RefuseEvent {
  /** The handle of the row. Absent for a cookie that identifies no session. */
  handle?: string;
  /**
   * A {@link RefusalReason} for a row. For a cookie: "malformed", or "unknown_key" if no key of the ring matches its tag. For a
   * device, a {@link DeviceRefusal}, which begins with "device_".
   */
  reason: string;
}

/** Whether an event concerns a session cookie. Clients can cause any number of these. */
export function isOfCookie({ handle, reason }: RefuseEvent): boolean {
  return handle === undefined && !isOfDevice({ reason });
}

/** A commit found that another request had changed the row. */
export interface ConflictEvent {
  handle: string;
  /** `merged`: the changes were merged; `ended`: the session had ended; `failed`: retries were exhausted. */
  outcome: "merged" | "ended" | "failed";
  attempt: number;
}

/** A step in the life of a device-bound session (option `deviceBinding`). */
export interface DeviceEvent {
  handle: string;
  /**
   * `offered`: the response to a login asks the browser to bind it; `bound`: the browser did; `refreshed`: it proved the
   * device again; `ended`: mode "require" ended a login that no browser bound.
   */
  outcome: "offered" | "bound" | "refreshed" | "ended";
}

/** A batch was sent to the store. */
export interface BatchEvent {
  /** `record`: changes together with their events in the audit trail. */
  operation: "read" | "insert" | "update" | "replace" | "touch" | "delete" | "record";
  /** Number of operations in the batch. */
  size: number;
}

/** What the audit trail does. It contains no content of an event: no user, session or address. */
export interface TrailEvent {
  /**
   * `record`: an event was stored, in "lax" mode behind the change. `lose`: events did not fit into the queue. `queue`: the
   * number of queued events changed. `checkpoint`: a run of the process that signs. `anchor`: the application's `anchor` was
   * called. `verify`: `sessions.audit.verify()` has finished.
   */
  operation: "record" | "lose" | "queue" | "checkpoint" | "anchor" | "verify";
  /** The type of a recorded event. */
  type?: string;
  /**
   * The outcome of a recorded event. For a checkpoint, an anchor or a verification: "ok", "error", or "damaged" if the trail
   * was changed.
   */
  outcome?: string;
  /** Events lost or queued; problems that a verification found. */
  count?: number;
}

// The types of Node 26 swap the two type parameters of TracingChannel; passing the event as both works with 24 and 26.
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
  /** {@link TrailEvent} */
  readonly audit: Channel;
  /** {@link DeviceEvent} */
  readonly device: Channel;
} = {
  read: tracingChannel("stored-session.read"),
  write: tracingChannel("stored-session.write"),
  delete: tracingChannel("stored-session.delete"),
  touch: tracingChannel("stored-session.touch"),
  expire: tracingChannel("stored-session.expire"),
  refuse: channel("stored-session.refuse"),
  conflict: channel("stored-session.conflict"),
  batch: channel("stored-session.batch"),
  audit: channel("stored-session.audit"),
  device: channel("stored-session.device"),
};

/** Publishes on the channel of the audit trail. */
export function publishTrail(event: TrailEvent): void {
  if (channels.audit.hasSubscribers) channels.audit.publish(event);
}

interface Traced {
  read: ReadEvent;
  write: WriteEvent;
  delete: DeleteEvent;
  touch: TouchEvent;
  expire: ExpireEvent;
}

/**
 * Runs `work` inside a tracing channel. `event` creates the payload and is called only if there are subscribers; `note`
 * adds the result to it.
 */
export function trace<Name extends keyof Traced, Answer>(
  name: Name,
  event: () => Traced[Name],
  work: () => Promise<Answer>,
  note?: (event: Traced[Name], answer: Answer) => void,
): Promise<Answer> {
  const traced = channels[name] as TracingChannel<object, object>;
  // Undefined on Bun, which publishes all the same.
  if (traced.hasSubscribers === false) return work();
  const payload = event();
  let answer!: Answer;
  // Hide the result from `tracePromise`, which would publish it as `result`: a read returns the whole row.
  const done = traced.tracePromise(async () => {
    answer = await work();
    note?.(payload, answer);
  }, payload);
  return done.then(() => answer);
}
