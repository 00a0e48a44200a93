import type { Content } from "../../codec/codec.ts";
import { ConflictError, RefusedError, SessionEndedError } from "../../errors.ts";
import { channels, type ConflictEvent } from "../../telemetry/channels.ts";
import type { Settings } from "../../session/settings.ts";
import type { SessionRow } from "../../store/row.ts";
import { handleOf } from "../../session/handle.ts";
import type { Records } from "../../session/records.ts";
import { publishRefusal } from "../../session/state.ts";
import type { Token } from "../../session/token.ts";
import { SerialQueue } from "../../shared/serial-queue.ts";
import { sameBytes } from "../../shared/bytes.ts";
import { Baseline } from "./baseline.ts";
import { foreignUser, planSave, storedUser, type Plan, type Save } from "./merge.ts";
import { warnOfKeptId } from "./warnings.ts";

/** A save that meets other requests' changes is tried again at most this often, and no longer than `storeTimeout`. */
const maxAttempts = 25;

/** Writes sessions whose ids belong to another library. */
export class DropInSaves {
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #turns: SerialQueue;
  #warned = false;

  constructor(settings: Settings, records: Records) {
    this.#settings = settings;
    this.#records = records;
    // Behind one whose store hangs nobody waits longer than for the store itself.
    this.#turns = new SerialQueue(settings.storeTimeout);
  }

  /** The content and the bytes of what an application's session holds. */
  contentOf(
    data: Record<string, unknown>,
    loaded: Uint8Array | null,
  ): { mine: Content; plaintext: Uint8Array } {
    const mine: Content = { data, user: foreignUser(this.#settings, data), flash: {} };
    return { mine, plaintext: this.#settings.format.encode(mine, loaded) };
  }

  /** Saves a session that the request did not load. */
  async begin(token: Token, mine: Content, plaintext: Uint8Array, expiresAt: number): Promise<Baseline> {
    const until = this.#patience();
    for (let attempt = 1; ; attempt++) {
      const row = this.#anew(token, mine, plaintext, expiresAt);
      if (await this.#records.insert(row, "save")) return Baseline.begun(row, plaintext);
      // The id is taken and nobody here knows by what: as with every other store, the last one to set it wins.
      const present = await this.#records.store.read(token.id);
      if (present !== null) {
        // Only one that has a name shares its table with others.
        if (this.#settings.format.formerUserRefs !== undefined && this.#open(present, token) === null)
          throw anothers(present);
        const goesOn = this.#records.isAlive(present) && this.#isOf(present, mine.user);
        const replaced = await (goesOn
          ? this.#update(token, mine, plaintext, present, expiresAt)
          : this.#replace(present, row, mine.user));
        if (replaced !== null) return Baseline.loaded(replaced, plaintext);
      }
      if (attempt === maxAttempts || performance.now() > until) throw this.#gaveUp(row, attempt);
    }
  }

  /**
   * Saves a session that the request loaded, and changed.
   * @returns the baseline of the next save; null when the session had ended, and nothing was saved (promise 3)
   * @throws {SessionEndedError} it had ended, and the request was to log a user in
   */
  async change(
    token: Token,
    mine: Content,
    plaintext: Uint8Array,
    baseline: Baseline,
    expiresAt: number | null,
    own: readonly string[],
  ): Promise<Baseline | null> {
    const { format, userOf } = this.#settings;
    const { row } = baseline;
    const base = userOf === undefined ? null : format.decode(baseline.plaintext);
    const login = base !== null && storedUser(this.#settings, base) !== mine.user;
    if (login && mine.user !== undefined && !baseline.begun) this.#warnOnce();
    if (!login && !baseline.merged && this.#records.isAlive(row)) {
      const next = await this.#update(token, mine, plaintext, row, expiresAt ?? row.expiresAt);
      if (next !== null) return baseline.after({ row: next, plaintext, merged: false });
    }
    const save = { base: base ?? format.decode(baseline.plaintext), mine, baseline, expiresAt, own };
    const saved = await this.#turns.take(handleOf(row.id), () => this.#settle(token, save, plaintext));
    if (saved === null && login && mine.user !== undefined) {
      throw new SessionEndedError(
        "The session ended while this request logged a user in, so the login is not stored. Log in again. Give every login a new session id (express-session and @fastify/session: req.session.regenerate()).",
      );
    }
    return saved;
  }

  async #settle(token: Token, save: Save, minePlaintext: Uint8Array): Promise<Baseline | null> {
    const { format } = this.#settings;
    const { baseline } = save;
    const until = this.#patience();
    for (let attempt = 1; ; attempt++) {
      const row = await this.#records.read(token.id);
      const stored = row === null ? null : this.#open(row, token);
      const plan =
        row === null || stored === null ? null : planSave(this.#settings, save, row, format.decode(stored));
      if (row === null || stored === null || plan === null) {
        this.#publish(baseline.row, "ended", attempt);
        return null;
      }
      const plaintext = format.encode(plan.content, stored);
      if (row.version !== baseline.row.version) this.#publish(row, "merged", attempt);
      const merged = baseline.merged || !sameBytes(plaintext, minePlaintext);
      const known = (next: SessionRow): Baseline =>
        baseline.after({ row: next, plaintext: minePlaintext, merged });
      if (!plan.anew && sameBytes(plaintext, stored)) return known(row);
      const next = await this.#write(token, plan, plaintext, row);
      if (next !== null) return known(next);
      if (attempt === maxAttempts || performance.now() > until) throw this.#gaveUp(baseline.row, attempt);
    }
  }

  #write(token: Token, plan: Plan, plaintext: Uint8Array, row: SessionRow): Promise<SessionRow | null> {
    const { content, end, anew } = plan;
    return anew
      ? this.#replace(row, this.#anew(token, content, plaintext, end), content.user)
      : this.#update(token, content, plaintext, row, end);
  }

  #anew(token: Token, content: Content, plaintext: Uint8Array, expiresAt: number): SessionRow {
    return this.limited(this.#records.begin(token, plaintext, content.user, undefined), expiresAt);
  }

  async #update(
    token: Token,
    content: Content,
    plaintext: Uint8Array,
    row: SessionRow,
    expiresAt: number,
  ): Promise<SessionRow | null> {
    const next = this.limited(this.#records.next(token, plaintext, content.user, row), expiresAt);
    return (await this.#records.update(row, next, "save")) ? next : null;
  }

  async #replace(row: SessionRow, next: SessionRow, user: string | undefined): Promise<SessionRow | null> {
    return (await this.#records.replace(row, next, user === undefined ? "reset" : "login")) ? next : null;
  }

  #isOf(row: SessionRow, user: string | undefined): boolean {
    const { userRef } = row;
    if (user === undefined || userRef === null) return user === undefined && userRef === null;
    const { format } = this.#settings;
    return [...format.userRefs(user), ...(format.formerUserRefs?.(user) ?? [])].some((ref) =>
      sameBytes(ref, userRef),
    );
  }

  #open(row: SessionRow, token: Token): Uint8Array | null {
    try {
      return this.#settings.format.open(row, token);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      return null;
    }
  }

  /** With an end within the limits that the options set. */
  limited(row: SessionRow, expiresAt: number): SessionRow {
    const { idleTimeout } = this.#settings;
    const latest = Math.min(row.absoluteExpiresAt, this.#records.now() + idleTimeout);
    return { ...row, expiresAt: Math.max(Math.min(expiresAt, latest), row.updatedAt) };
  }

  #warnOnce(): void {
    if (!this.#warned) warnOfKeptId();
    this.#warned = true;
  }

  /** Until when a save tries again. */
  #patience(): number {
    return performance.now() + this.#settings.storeTimeout;
  }

  #gaveUp(row: SessionRow, attempt: number): ConflictError {
    this.#publish(row, "failed", attempt);
    return new ConflictError(
      `Other requests changed session ${handleOf(row.id)} each of the ${attempt} times that this one tried to save it. Nothing of this request is stored; try again.`,
    );
  }

  #publish(row: SessionRow, outcome: ConflictEvent["outcome"], attempt: number): void {
    if (!channels.conflict.hasSubscribers) return;
    channels.conflict.publish({ handle: handleOf(row.id), outcome, attempt });
  }
}

function anothers({ id }: SessionRow): ConflictError {
  return new ConflictError(
    `Session ${handleOf(id)} does not open here, so it may be another application's with the same id: nothing was saved. Give each application that shares the table cookies and ids of its own.`,
  );
}
