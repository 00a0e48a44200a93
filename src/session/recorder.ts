import { randomBytes } from "../sealing/random.ts";
import type { Trail } from "../audit/trail.ts";
import type { AuditContent, AuditEventType } from "../audit/events.ts";
import type { Draft, Entry } from "../audit/writer.ts";
import type { Who } from "../audit/subjects.ts";
import type { BatchingStore } from "../batching/batching-store.ts";
import { changeOf, type ChangeResult, type EndedRow, type RecordedChange } from "../store/audit.ts";
import type { LimitedLogin, SessionLimit } from "../store/session-limit.ts";
import type { ExpireQuery, ExpireResult, RowUpdate, SessionRow } from "../store/row.ts";
import type { DeleteEvent, WriteEvent } from "../telemetry/channels.ts";
import type { ClientInfo } from "./format.ts";
import { handleOf } from "./handle.ts";

/** What is known about a change besides the row: who made it, and why. */
export interface Occasion {
  readonly user?: string | undefined;
  readonly client?: ClientInfo | undefined;
  /** Of a session that ends: the blind reference of its user. */
  readonly userRef?: Uint8Array | null | undefined;
  readonly content?: AuditContent | undefined;
  /** The change of id is that of an elevation. */
  readonly isElevation?: boolean | undefined;
}

/**
 * Turns changes of sessions into events of the audit trail. In "strict" mode the change and its events are one transaction;
 * in "lax" mode the events are written behind the change.
 */
export class Recorder {
  readonly trail: Trail;
  readonly #store: BatchingStore;

  constructor(trail: Trail, store: BatchingStore) {
    this.trail = trail;
    this.#store = store;
  }

  /** A row under an id of its own: an insert, or the replacement of `loaded`. */
  add(
    loaded: SessionRow | null,
    next: SessionRow,
    reason: WriteEvent["reason"],
    occasion: Occasion,
    limit?: SessionLimit,
  ): Promise<ChangeResult> {
    return loaded === null
      ? this.#insert(next, occasion, limit)
      : this.#replace(loaded, next, reason, occasion, limit);
  }

  #insert(row: SessionRow, occasion: Occasion, limit?: SessionLimit): Promise<ChangeResult> {
    const who = whoOf(row, occasion);
    const login = row.userRef === null ? [] : [draft("login", row, who, contentOf(occasion))];
    const drafts = [draft("session.created", row, who, contentOf(occasion)), ...login];
    if (limit !== undefined) return this.#login({ loaded: null, next: row, limit }, [who], drafts, occasion);
    return this.#change(row.id, { kind: "insert", row }, [who], drafts, () => this.#store.insert(row));
  }

  #replace(
    loaded: SessionRow,
    next: SessionRow,
    reason: WriteEvent["reason"],
    occasion: Occasion,
    limit?: SessionLimit,
  ): Promise<ChangeResult> {
    const [before, after] = [whoOf(loaded, {}), whoOf(next, occasion)];
    const content = { ...contentOf(occasion), previous: handleOf(loaded.id) };
    const drafts: Draft[] = [];
    const { isElevation = false } = occasion;
    if (reason === "regenerate")
      drafts.push(draft(isElevation ? "elevation" : "session.rotated", next, after, content));
    else {
      const isAnother = loaded.userRef !== null && !same(loaded.userRef, next.userRef);
      if (isAnother || (reason === "reset" && loaded.userRef !== null)) {
        drafts.push(draft("logout", loaded, before, contentOf(occasion)));
      }
      drafts.push(draft(next.userRef === null ? "session.created" : "login", next, after, content));
    }
    if (limit !== undefined) return this.#login({ loaded, next, limit }, [before, after], drafts, occasion);
    const change = { kind: "replace", loaded, next } as const;
    return this.#change(loaded.id, change, [before, after], drafts, () => this.#store.replace(loaded, next));
  }

  /** @param emptied what is written in place of the deletion */
  async delete(
    id: Uint8Array,
    operation: DeleteEvent["operation"],
    occasion: Occasion,
    emptied?: RowUpdate,
  ): Promise<boolean> {
    const userRef = occasion.userRef === undefined ? await this.#userRefOf(id) : occasion.userRef;
    const who = whoOf({ userRef }, occasion);
    const isLogout = operation === "destroy" && userRef !== null;
    const type = isLogout ? "logout" : operation === "destroy" ? "session.destroyed" : "session.revoked";
    const drafts = [draft(type, { id }, who, contentOf(occasion))];
    const change: RecordedChange = emptied ? { kind: "update", ...emptied } : { kind: "delete", id };
    const plain = () => (emptied ? this.#store.update(emptied.loaded, emptied.next) : this.#store.delete(id));
    return (await this.#change(id, change, [who], drafts, plain)).applied;
  }

  /** An event for each session that ended. */
  async deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
    user: string,
    content: AuditContent,
  ): Promise<number> {
    const who: Who = { user };
    const { ended } = await this.#store.record(filter.only ?? randomBytes(32), {
      change: { kind: "deleteByUser", userRefs, ...filter },
      whos: [who],
      drafts: (result) => result.ended.map((row) => draft("session.revoked", row, who, content)),
    } satisfies Entry);
    return ended.length;
  }

  /** A step of expiry, with an event for each session that was deleted. */
  async deleteExpired(query: ExpireQuery): Promise<ExpireResult> {
    const { store } = this.trail.settings;
    const { ids, cursor, fraction } = await store.findExpired(query);
    const rest = { cursor, ...(fraction !== undefined && { fraction }) };
    if (ids.length === 0) return { deleted: 0, ...rest };
    const whos = new Map<string, Who>();
    for (const { userRef } of await store.ends(ids)) {
      if (userRef !== null) whos.set(keyOf(userRef), { userRef });
    }
    const { ended } = await this.#store.record(randomBytes(32), {
      change: { kind: "deleteExpired", ids, query },
      whos: [...whos.values()],
      drafts: (result) =>
        result.ended.map((row) => {
          const who = row.userRef === null ? undefined : whos.get(keyOf(row.userRef));
          return draft(expiryOf(row, query), row, who, endOf(row));
        }),
    } satisfies Entry);
    return { deleted: ended.length, ...rest };
  }

  async #change(
    id: Uint8Array,
    change: RecordedChange,
    whos: readonly Who[],
    drafts: readonly Draft[],
    plain: () => Promise<boolean | ChangeResult>,
    draftsOf = ({ applied }: ChangeResult): readonly Draft[] => (applied ? drafts : []),
  ): Promise<ChangeResult> {
    if (this.trail.isStrict) return await this.#store.record(id, { change, whos, drafts: draftsOf });
    const answer = await plain();
    const result = typeof answer === "boolean" ? { applied: answer, ended: [] } : answer;
    const drafted = draftsOf(result);
    if (drafted.length > 0) this.trail.later({ change: null, whos, drafts: () => drafted });
    return result;
  }

  /** A login under a limit of sessions: with those that it ended, or that it was refused. */
  #login(
    login: LimitedLogin,
    whos: readonly Who[],
    drafts: readonly Draft[],
    occasion: Occasion,
  ): Promise<ChangeResult> {
    const { loaded, next } = login;
    const who = whos.at(-1)!;
    const content = contentOf(occasion);
    const plain = () => this.#store.login(login);
    return this.#change((loaded ?? next).id, changeOf(login), whos, drafts, plain, (result) => {
      if (result.refused)
        return [
          {
            type: "login.failed",
            outcome: "denied",
            session: loaded?.id ?? null,
            who,
            content: { ...content, reason: "maxSessions" },
          },
        ];
      if (!result.applied) return [];
      const details = { login: handleOf(next.id) };
      return [
        ...drafts,
        ...result.ended.map((row) =>
          draft("session.evicted", row, who, { ...content, reason: "maxSessions", details }),
        ),
      ];
    });
  }

  async #userRefOf(id: Uint8Array): Promise<Uint8Array | null> {
    const [row] = await this.trail.settings.store.ends([id]);
    return row?.userRef ?? null;
  }
}

function draft(
  type: AuditEventType,
  { id }: Pick<SessionRow, "id">,
  who: Who | undefined,
  content: AuditContent,
): Draft {
  return { type, session: id, ...(who && { who }), content };
}

function whoOf({ userRef }: Pick<SessionRow, "userRef">, { user }: Occasion): Who {
  return userRef === null ? {} : { user, userRef };
}

function contentOf({ client, content }: Occasion): AuditContent {
  return { address: client?.address, userAgent: client?.userAgent, ...content };
}

function expiryOf(row: EndedRow, query: ExpireQuery): AuditEventType {
  // Deleted for its age, although it had not ended: its absolute limit was made shorter.
  const isIdle = row.expiresAt < row.absoluteExpiresAt && row.expiresAt <= query.before;
  return isIdle ? "session.expired.idle" : "session.expired.absolute";
}

function endOf(row: EndedRow): AuditContent {
  return {
    details: {
      created: new Date(row.createdAt).toISOString(),
      ended: new Date(Math.min(row.expiresAt, row.absoluteExpiresAt)).toISOString(),
    },
  };
}

function same(a: Uint8Array, b: Uint8Array | null): boolean {
  return b !== null && Buffer.compare(a, b) === 0;
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
