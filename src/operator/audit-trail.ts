import { prune, type PruneResult } from "../audit/prune.ts";
import { eventCodes, typeOf, outcomeOf, devices } from "../audit/events.ts";
import type { AuditContent, AuditDevice, AuditEvent, AuditEventType, AuditOutcome } from "../audit/events.ts";
import type { Anchored } from "../audit/checkpoint.ts";
import type { VerifyReport } from "../audit/report.ts";
import { rawLines } from "../audit/raw.ts";
import { readEvents } from "../audit/reading.ts";
import type { Trail } from "../audit/trail.ts";
import { AuditError } from "../errors.ts";
import { DAY, type AuditQuery } from "../store/audit.ts";
import { idOf } from "../session/handle.ts";
import type { ClientInfo } from "../session/format.ts";
import { parseUserId, type UserId } from "../session/user-id.ts";
import { milliseconds, type Duration } from "../shared/duration.ts";

/** Which events to list. All conditions apply. */
export interface AuditListOptions {
  user?: UserId;
  /** The handle of a session. */
  session?: string;
  since?: Date;
  /** Exclusive. */
  until?: Date;
  types?: readonly AuditEventType[];
  /** Default false: oldest first. */
  newestFirst?: boolean;
  /** Default: all of them. */
  limit?: number;
}

/** An event that the application reports. */
export interface RecordOptions extends Omit<AuditContent, "address" | "userAgent" | "previous"> {
  /** Default "success"; "failure" for `login.failed`. */
  outcome?: AuditOutcome;
  user?: UserId;
  /** The session it concerns, or its handle. */
  session?: { readonly handle: string } | string;
  client?: ClientInfo;
}

/** How often something happened on a day. */
export interface AuditDay {
  /** The day in UTC: "2026-11-30". */
  readonly day: string;
  readonly type: AuditEventType | "unknown";
  readonly outcome: AuditOutcome;
  readonly device: AuditDevice;
  readonly count: number;
}

const PAGE = 500;

/** The audit trail of a session manager: `sessions.audit`. */
export class AuditTrail {
  readonly #trail: Trail | null;

  /** @internal */
  constructor(trail: Trail | null) {
    this.#trail = trail;
  }

  get #on(): Trail {
    if (this.#trail !== null) return this.#trail;
    throw new AuditError("The audit trail is off. Set `audit: true` in the options of createSessionManager.");
  }

  /** Whether events are recorded. */
  get isOn(): boolean {
    return this.#trail !== null;
  }

  /**
   * Records an event that only the application knows of, such as a failed login. In "strict" mode it resolves once the event
   * is stored.
   *
   * ```ts
   * await sessions.audit.record("login.failed", { identifier: form.email, reason: "wrong password", client });
   * ```
   * @throws {StoreError} the event was not stored
   */
  async record(type: AuditEventType, options: RecordOptions = {}): Promise<void> {
    if (!Object.hasOwn(eventCodes, type) || type.startsWith("trail.")) {
      throw new TypeError(
        `audit.record: ${JSON.stringify(type)} is not an event that an application reports. Use one of ${reportable.join(", ")}.`,
      );
    }
    const { outcome, user, session, client, ...content } = options;
    const handle = typeof session === "object" ? session.handle : session;
    const id = handle === undefined ? null : idOf(handle);
    if (handle !== undefined && id?.length !== 32)
      throw new TypeError("audit.record: `session` is not a session or its handle.");
    await this.#on.record({
      type,
      outcome: outcome ?? (type === "login.failed" ? "failure" : "success"),
      session: id,
      ...(user !== undefined && { who: { user: parseUserId(user, "audit.record") } }),
      content: {
        ...this.#on.settings.options.context?.(),
        address: client?.address,
        userAgent: client?.userAgent,
        ...content,
      },
    });
  }

  /**
   * Calls `listener` with each event that this process has stored, after its transaction: for a log shipper or an alert.
   * Returns a function that ends this.
   */
  on(listener: (event: AuditEvent) => void): () => void {
    return this.#on.on(listener);
  }

  /** Lists events, a page at a time in bounded memory. Reading is not recorded here: the command line records that. */
  async *list(options: AuditListOptions = {}): AsyncGenerator<AuditEvent> {
    const trail = this.#on;
    const { limit = Infinity } = options;
    const query = await this.#queryOf(options);
    let after: AuditQuery["after"];
    let left = limit;
    while (left > 0) {
      const size = Math.min(PAGE, left);
      const rows = await trail.settings.store.find({ ...query, after, limit: size });
      yield* await readEvents(rows, trail.subjects);
      if (rows.length < size) return;
      const { at, position } = rows.at(-1)!;
      after = { at, position };
      left -= rows.length;
    }
  }

  /** Verifies the whole trail, in bounded memory: docs/audit.md says what that proves. */
  verify(
    options: {
      /** SHA-256 hashes in hex of the checkpoints that an anchor has kept, by their number. */
      anchors?: ReadonlyMap<number, string>;
      signal?: AbortSignal;
      onProgress?: (events: number) => void;
    } = {},
  ): Promise<VerifyReport> {
    return this.#on.verify(options);
  }

  /** Signs what was written since the last checkpoint. Null if nothing was, or another process signs. */
  checkpoint(): Promise<Anchored | null> {
    return this.#on.checkpoint();
  }

  /** The keys that checkpoints are verified with, newest first. Not secret: keep them with the anchors. */
  get publicKeys(): readonly string[] {
    return this.#on.publicKeys;
  }

  /**
   * Destroys the keys under which a user's events are encrypted, and records that. Their content (address, user agent,
   * reasons) and the user's id can never be read again; that the events happened stays, and every chain stays valid. Other
   * processes use a key for up to a minute longer for events that they write. Returns how many keys were destroyed.
   */
  async erase(user: UserId, options: { by?: string; reason?: string } = {}): Promise<number> {
    const trail = this.#on;
    const erased = await trail.subjects.erase(parseUserId(user, "audit.erase"));
    await trail.record({ type: "trail.erased", content: { actor: options.by, reason: options.reason } });
    return erased;
  }

  /**
   * Deletes whole segments that ended before `retention`, or before `olderThan`, and leaves a signed record. A segment is
   * what one process has written within a day.
   * @param options.archive takes the lines of a segment before it is deleted: an export that `audit verify` reads
   * @throws {AuditError} another process signs, or neither `retention` nor `olderThan` was given
   */
  async prune(
    options: {
      olderThan?: Duration;
      archive?: (segment: string, lines: AsyncIterable<string>) => void | Promise<void>;
      signal?: AbortSignal;
    } = {},
  ): Promise<PruneResult> {
    const trail = this.#on;
    const { settings } = trail;
    const age = milliseconds(options.olderThan ?? settings.options.retention ?? -1);
    if (age === null || age < 0) {
      throw new AuditError(
        "audit.prune does not know how long to keep events. Set `audit: { retention }`, or pass `olderThan`.",
      );
    }
    if (age < 2 * DAY)
      throw new TypeError(
        "audit.prune: `olderThan` must be at least 2 days, because a segment spans one day.",
      );
    const before = settings.clock() - age;
    const { archive, signal } = options;
    const result = await trail.exclusively((checkpointer) =>
      prune(settings.store, checkpointer, { before, archive, signal }),
    );
    if (result === null)
      throw new AuditError(
        "Another process is signing checkpoints. Prune in that process, or retry in a minute.",
      );
    if (result.segments > 0) {
      const details = {
        before: new Date(before).toISOString(),
        segments: String(result.segments),
        events: String(result.events),
      };
      await trail.record({ type: "trail.pruned", count: result.segments, content: { details } });
    }
    return result;
  }

  /** The trail as it is stored, one JSON object a line, content sealed: for `audit verify` on another machine. */
  raw(): AsyncGenerator<string> {
    return rawLines(this.#on.settings.store);
  }

  /** How often each kind of event happened, by day in UTC. Days whose events were pruned are counted too. */
  async days(options: { since?: Date; until?: Date } = {}): Promise<AuditDay[]> {
    const { store, clock } = this.#on.settings;
    const since = Math.floor((options.since?.getTime() ?? 0) / DAY);
    const until = Math.ceil((options.until?.getTime() ?? clock() + DAY) / DAY);
    const counts = new Map<string, AuditDay>();
    for (const one of [
      ...(await store.prunedCounts(since, until)),
      ...(await store.count(since * DAY, until * DAY)),
    ]) {
      const day = new Date(one.day * DAY).toISOString().slice(0, 10);
      const key = [day, one.event, one.outcome, one.device].join();
      const count = one.count + (counts.get(key)?.count ?? 0);
      const type = typeOf(one.event) ?? "unknown";
      const device = devices[one.device] ?? "none";
      counts.set(key, { day, type, outcome: outcomeOf(one.outcome), device, count });
    }
    return [...counts.values()].toSorted(
      (a, b) => a.day.localeCompare(b.day) || a.type.localeCompare(b.type),
    );
  }

  async #queryOf(options: AuditListOptions): Promise<Omit<AuditQuery, "limit" | "after">> {
    const { user, session, since, until, types, newestFirst } = options;
    const subjects =
      user === undefined ? undefined : await this.#on.subjects.of(parseUserId(user, "audit.list"));
    const id = session === undefined ? undefined : idOf(session);
    if (id === null || (id !== undefined && id.length !== 32)) {
      throw new TypeError("audit.list: `session` is not the handle of a session.");
    }
    return {
      since: since?.getTime(),
      until: until?.getTime(),
      subjects: subjects?.map(({ subject }) => subject),
      session: id,
      events: types?.map((type) => eventCodes[type]),
      newestFirst,
    };
  }
}

const reportable = Object.keys(eventCodes).filter((type) => !type.startsWith("trail."));
