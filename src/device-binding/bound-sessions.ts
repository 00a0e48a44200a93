import type { AuditContent } from "../audit/events.ts";
import type { Entry } from "../audit/writer.ts";
import type { Content } from "../codec/codec.ts";
import type { DeviceBinding } from "../codec/device.ts";
import { RefusedError } from "../errors.ts";
import type { Records } from "../session/records.ts";
import { publishRefusal } from "../session/refusal.ts";
import type { Token } from "../session/token.ts";
import { tracedWrite } from "../session/traced-write.ts";
import type { SessionRow } from "../store/row.ts";

/** The session of a request to the endpoint. */
export interface Visited {
  readonly row: SessionRow;
  readonly token: Token;
  readonly plaintext: Uint8Array;
  readonly content: Content;
}

/** Finds the session of a request whether or not it proves a device, and writes a binding into its row. */
export class BoundSessions {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  /** Whether the request has a session cookie that this key ring issued. */
  hasToken(cookieHeader: string): boolean {
    return this.#tokensIn(cookieHeader).length > 0;
  }

  /** The live session of the first cookie that has one; null for none. */
  async find(cookieHeader: string): Promise<Visited | null> {
    const { format } = this.#records.settings;
    for (const token of this.#tokensIn(cookieHeader)) {
      const row = await this.#records.read(token.id);
      if (row === null) continue;
      try {
        const plaintext = format.open(row, token);
        return { row, token, plaintext, content: format.decode(plaintext) };
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        publishRefusal(row, error, this.#records.settings);
        return null;
      }
    }
    return null;
  }

  /**
   * False if another request changed the row meanwhile.
   * @param event for the audit trail, which has it if the row is written
   */
  async write(visited: Visited, device: DeviceBinding, event: AuditContent | null): Promise<boolean> {
    const { row: loaded, token, plaintext, content } = visited;
    const { format } = this.#records.settings;
    const bytes = format.encode({ ...content, device }, plaintext);
    const next = this.#records.markedAsBound(this.#records.next(token, bytes, content.user, loaded));
    const { recorder, store } = this.#records;
    if (recorder === null || event === null) return this.#records.update(loaded, next, "save");
    const { trail } = recorder;
    const who = { user: content.user, userRef: next.userRef };
    const drafts = [{ type: "session.bound", session: next.id, who, content: event } as const];
    const change = { kind: "update", loaded, next } as const;
    const entry: Entry = { change, whos: [who], drafts: (result) => (result.applied ? drafts : []) };
    const applied = await tracedWrite("update", "save", next, undefined, async () =>
      trail.isStrict ? (await store.record(next.id, entry)).applied : store.update(loaded, next),
    );
    if (applied && !trail.isStrict) trail.later({ change: null, whos: [who], drafts: () => drafts });
    return applied;
  }

  #tokensIn(cookieHeader: string): readonly Token[] {
    const { cookie, format } = this.#records.settings;
    return cookie
      .read(cookieHeader)
      .map((value) => format.read(value))
      .filter((token) => token !== null);
  }
}
