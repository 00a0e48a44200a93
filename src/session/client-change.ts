import { keyOf } from "../shared/bytes.ts";
import { reasonOf } from "../shared/reason.ts";
import type { ChangedSession, ClientAnswer } from "./client-answer.ts";
import type { ClientInfo } from "./format.ts";
import { handleOf } from "./handle.ts";
import type { Records } from "./records.ts";
import type { SessionState } from "./state.ts";

/** Sessions whose changes are remembered. A forgotten one is asked about once more. */
const MOST_SESSIONS = 10_000;
/** Pairs of clients of one session that are remembered. */
const MOST_PAIRS = 32;
/** Events of one session in the audit trail within the window. */
const MOST_EVENTS = 10;
/** Milliseconds for which an answer counts. */
const WINDOW = 15 * 60_000;

interface Seen {
  readonly since: number;
  readonly answers: Map<string, Promise<ClientAnswer>>;
  events: number;
  /** Changes that were not recorded, because there were too many. */
  suppressed: number;
}

/**
 * Compares the client of a request with the one that the session recorded, and asks the application about a change. Answers
 * are remembered, so that a client that flips between two addresses is asked about once.
 */
export class ClientChanges {
  readonly #records: Records;
  readonly #seen = new Map<string, Seen>();
  #warnedAt = -Infinity;

  constructor(records: Records) {
    this.#records = records;
  }

  async check(state: SessionState): Promise<void> {
    const { row } = state.stored!;
    const now = row.userRef === null || row.client === null ? undefined : bounded(state.client);
    const before = now && this.#records.clientOf(row);
    if (!before || (before.address === now.address && before.userAgent === now.userAgent)) return;
    try {
      void state.content;
    } catch {
      return; // whoever accesses the session gets the error
    }
    const user = state.stored === null ? undefined : state.storedUser;
    if (user === undefined) return;
    const answer = await this.#answer(state, { user, handle: handleOf(row.id) }, before, now);
    if (answer === "end") return await this.#end(state, now);
    if (answer === null) return;
    state.newClient = now;
    const { content } = state;
    const { at, level, links } = content.authentication ?? {};
    if (answer === "elevate" && (at !== 0 || level !== undefined))
      content.authentication = { at: 0, ...(links && { links }) };
  }

  /** Null if the application's function failed. */
  async #answer(
    { stored }: SessionState,
    session: ChangedSession,
    before: ClientInfo,
    now: ClientInfo,
  ): Promise<ClientAnswer | null> {
    const { row } = stored!;
    const seen = this.#seenOf(keyOf(row.id));
    const pair = JSON.stringify([before, now].map(({ address, userAgent }) => [address, userAgent]));
    let asked = seen.answers.get(pair);
    const isNew = asked === undefined;
    asked ??= this.#ask(before, now, session);
    if (isNew && seen.answers.size < MOST_PAIRS) seen.answers.set(pair, asked);
    try {
      const answer = await asked;
      if (isNew) await this.#record(seen, row, before, now, answer);
      return answer;
    } catch (error) {
      if (seen.answers.get(pair) === asked) seen.answers.delete(pair); // the next request asks again
      if (!(error instanceof HookFailure)) throw error;
      this.#warn(error);
      return null;
    }
  }

  /** @throws {HookFailure} */
  async #ask(before: ClientInfo, now: ClientInfo, session: ChangedSession): Promise<ClientAnswer> {
    const { onClientChange, storeTimeout } = this.#records.settings;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`It did not answer within ${storeTimeout} ms.`)),
        storeTimeout,
      );
    });
    try {
      const answer = await Promise.race([onClientChange!(before, now, session), late]);
      if (answer === undefined || answer === "allow" || answer === "elevate" || answer === "end")
        return answer ?? "allow";
      throw new TypeError('It must return "allow", "elevate", "end" or nothing.');
    } catch (cause) {
      throw new HookFailure(reasonOf(cause), { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  async #record(
    seen: Seen,
    { id, userRef }: { readonly id: Uint8Array; readonly userRef: Uint8Array | null },
    before: ClientInfo,
    now: ClientInfo,
    answer: ClientAnswer,
  ): Promise<void> {
    const trail = this.#records.recorder?.trail;
    if (trail === undefined) return;
    if (seen.events >= MOST_EVENTS) {
      seen.suppressed++;
      return;
    }
    seen.events++;
    const count = 1 + seen.suppressed;
    seen.suppressed = 0;
    const details = {
      ...(before.address !== undefined && { address: before.address }),
      ...(before.userAgent !== undefined && { userAgent: before.userAgent }),
    };
    await trail.record({
      type: "client.changed",
      outcome: answer === "end" ? "denied" : "success",
      session: id,
      who: { userRef },
      count,
      content: { ...now, reason: answer, details },
    });
  }

  /** As a revocation. The request goes on with a new, anonymous session. */
  async #end(state: SessionState, client: ClientInfo): Promise<void> {
    const { id, userRef } = state.stored!.row;
    await this.#records.delete(id, "revoke", { userRef, client, content: { reason: "client changed" } });
    state.stored = null;
    state.working.clear();
    state.owe(this.#records.settings.cookie.clear());
  }

  #seenOf(key: string): Seen {
    const now = this.#records.now();
    const last = this.#seen.get(key);
    if (last !== undefined && now >= last.since && now - last.since < WINDOW) return last;
    const seen = { since: now, answers: new Map(), events: 0, suppressed: last?.suppressed ?? 0 };
    this.#seen.delete(key);
    this.#seen.set(key, seen);
    if (this.#seen.size > MOST_SESSIONS) this.#seen.delete(this.#seen.keys().next().value!);
    return seen;
  }

  /** At most once a minute: a function that fails does so with every request. */
  #warn({ message }: Error): void {
    const now = this.#records.now();
    if (Math.abs(now - this.#warnedAt) < 60_000) return;
    this.#warnedAt = now;
    process.emitWarning(
      `onClientChange failed, and the session goes on as with "allow". The next request from that client asks again. ${message}`,
      { code: "STORED_SESSION_CLIENT_CHANGE_FAILED" },
    );
  }
}

class HookFailure extends Error {}

/** As it is stored. */
function bounded(client: ClientInfo | undefined): ClientInfo | undefined {
  const address = client?.address?.slice(0, 64).toWellFormed() || undefined;
  const userAgent = client?.userAgent?.slice(0, 512).toWellFormed() || undefined;
  if (address === undefined && userAgent === undefined) return undefined;
  return { ...(address && { address }), ...(userAgent && { userAgent }) };
}
