import { AuditError } from "../errors.ts";
import { eventCodes, outcomeCodes, type AuditEvent, type AuditEventType } from "../audit/events.ts";
import { idOf } from "../session/handle.ts";
import { parseUserId, type UserId } from "../session/user-id.ts";
import type { Anchored } from "../audit/checkpoint.ts";
import type { PruneResult } from "../audit/prune.ts";
import type { VerifyReport } from "../audit/report.ts";
import type { Trail } from "../audit/trail.ts";
import type { AuditDay, AuditListOptions, AuditPruneOptions, RecordOptions } from "./audit-types.ts";

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
    if (outcome !== undefined && !Object.hasOwn(outcomeCodes, outcome)) {
      throw new TypeError(
        `audit.record: ${JSON.stringify(outcome)} is not an outcome. Use one of ${Object.keys(outcomeCodes).join(", ")}.`,
      );
    }
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
   * What it throws, and what its promise rejects with, is reported as a process warning. Returns a function that ends this.
   */
  on(listener: (event: AuditEvent) => unknown): () => void {
    return this.#on.on(listener);
  }

  /** Lists events, a page at a time in bounded memory. Reading is not recorded here: the command line records that. */
  async *list(options: AuditListOptions = {}): AsyncGenerator<AuditEvent> {
    const trail = this.#on;
    const { listEvents } = await import("./later.ts");
    yield* listEvents(trail, options);
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
   * Records an erasure, and destroys the keys under which a user's events are encrypted. Their content (address, user agent,
   * reasons) and the user's id can never be read again; that the events happened stays, and every chain stays valid. Other
   * processes use a key for up to a minute longer for events that they write. Returns how many keys were destroyed.
   * @throws {StoreError} the store failed. If the erasure could not be recorded, nothing was destroyed
   */
  async erase(user: UserId, options: { by?: string; reason?: string } = {}): Promise<number> {
    const trail = this.#on;
    const { eraseFromTrail } = await import("./later.ts");
    const { by, reason } = options;
    return await eraseFromTrail(trail, parseUserId(user, "audit.erase"), { actor: by, reason });
  }

  /**
   * Deletes whole segments that ended before `retention`, or before `olderThan`, and leaves a signed record. A segment is
   * what one process has written within a day.
   * @throws {AuditError} another process prunes, or neither `retention` nor `olderThan` was given
   */
  async prune(options: AuditPruneOptions = {}): Promise<PruneResult> {
    const trail = this.#on;
    const { pruneTrail } = await import("./later.ts");
    return await pruneTrail(trail, options);
  }

  /** The trail as it is stored, one JSON object a line, content sealed: for `audit verify` on another machine. */
  async *raw(): AsyncGenerator<string> {
    const trail = this.#on;
    yield* (await trail.engine()).lines();
  }

  /** How often each kind of event happened, by day in UTC. Days whose events were pruned are counted too. */
  async days(options: { since?: Date; until?: Date } = {}): Promise<AuditDay[]> {
    const trail = this.#on;
    const { countDays } = await import("./later.ts");
    return await countDays(trail, options);
  }
}

const reportable = Object.keys(eventCodes).filter((type) => !type.startsWith("trail."));
