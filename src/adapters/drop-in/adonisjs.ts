import { handleOf, idOf } from "../../session/handle.ts";
import { UserRows } from "../../session/user-rows.ts";
import { milliseconds } from "../../shared/duration.ts";
import { opensAlone } from "../../session/format.ts";
import { RefusedError } from "../../errors.ts";
import { recordsOf, type SessionManager } from "../../manager.ts";
import { publishRefusal } from "../../session/refusal.ts";
import type { Baseline } from "./baseline.ts";
import { DropInSessions, type DropInStoreOptions } from "./drop-in-sessions.ts";
import { plainObject } from "./json-values.ts";
import { dropInToken } from "./token.ts";

type Values = Record<string, any>;

/** Options of {@link adonisSessionStore}. */
export interface AdonisSessionStoreOptions extends DropInStoreOptions {}

/** What is used of AdonisJS's `HttpContext`. */
export interface AdonisContext {
  readonly request: { cookie(name: string, defaultValue?: any): any };
}

/** What is used of its session configuration. */
export interface AdonisSessionConfig {
  readonly age: string | number;
  readonly cookieName: string;
  /** `maxAge` in seconds: the `age`, as AdonisJS reads it. */
  readonly cookie?: { readonly maxAge?: any };
}

/** A store with tagging, as `@adonisjs/session` expects it. */
export interface AdonisSessionStore {
  read(sessionId: string): Promise<Values | null>;
  write(sessionId: string, data: object): Promise<void>;
  destroy(sessionId: string): Promise<void>;
  touch(sessionId: string): Promise<void>;
  tag(sessionId: string, userId: string | number): Promise<void>;
  untag(sessionId: string, userId: string | number): Promise<void>;
  tagged(userId: string | number): Promise<{ id: string; data: Values }[]>;
}

/** Creates the store of a request; with null, that of a `SessionCollection`. */
export interface AdonisSessionStoreFactory {
  (context: AdonisContext | null, config: AdonisSessionConfig): AdonisSessionStore;
  /** For operations that need no cookie: `forUser(id).list()` and `.revokeAll()`, `expire`, `scheduleExpiry`. */
  readonly sessions: SessionManager<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Where the tag is in the data, so that it is merged with it. */
const tag = "stored-session.user";
const handlePrefix = "handle:";

/**
 * A session store for AdonisJS: `stores: { stored: adonisSessionStore({ store, keys }) }` in `config/session.ts`.
 *
 * Sessions are encrypted and their ids hashed. Changes of parallel requests are merged key by key. A save in flight does not
 * restore a session that has ended. Tagged sessions belong to their user. A session ends after the `age` of the configuration;
 * after `absoluteTimeout` at the latest (400 days).
 */
export function adonisSessionStore(options: AdonisSessionStoreOptions): AdonisSessionStoreFactory {
  const userOf = options?.userOf;
  const tagOr = (data: Values) => (data[tag] as string | undefined) ?? userOf?.(data);
  const isWrong = userOf !== undefined && typeof userOf !== "function";
  const dropIn = new DropInSessions({ ...options, userOf: isWrong ? userOf : tagOr });
  const create = (context: AdonisContext | null, config: AdonisSessionConfig) =>
    new RequestStore(dropIn, context, config);
  return Object.assign(create, { sessions: dropIn.sessions, close: () => dropIn.close() });
}

/**
 * The name that `tagged` gives a session instead of its id, which is not stored. It opens nothing:
 * `tagged.id === taggedId(ctx.session.sessionId)` is the session of this request.
 */
export function taggedId(sessionId: string): string {
  return handlePrefix + handleOf(dropInToken(sessionId).id);
}

interface Loaded {
  readonly data: Values;
  readonly baseline: Baseline;
}

class RequestStore implements AdonisSessionStore {
  readonly #dropIn: DropInSessions;
  readonly #isCollection: boolean;
  /** The id in the cookie, whose signature AdonisJS has checked. */
  readonly #cookie: unknown;
  readonly #age: number;
  /** The sessions that this request loaded or saved. Null: it ended. */
  readonly #known: Map<string, Loaded | null> = new Map();
  /** The user of a session that is not stored yet. Null: none. */
  #user: string | null = null;

  constructor(dropIn: DropInSessions, context: AdonisContext | null, config: AdonisSessionConfig) {
    this.#dropIn = dropIn;
    this.#isCollection = context === null;
    this.#cookie = context?.request.cookie(config.cookieName, undefined);
    this.#age = ageOf(config);
  }

  /** A new visitor has an id that AdonisJS just made up: nothing is stored under it (promise 1). */
  async read(sessionId: string): Promise<Values | null> {
    if (!this.#isCollection && sessionId !== this.#cookie) return null;
    const loaded = await this.#load(sessionId);
    return loaded && withoutTag(loaded.data);
  }

  async write(sessionId: string, data: object): Promise<void> {
    const known = this.#known.get(sessionId);
    if (known === null) return; // it ended, or this request ended it
    const user = known?.data[tag] ?? this.#user;
    const content = { ...plainObject(data, this.#dropIn.maxBytes), ...(user !== null && { [tag]: user }) };
    await this.#save(sessionId, content, known?.baseline ?? null);
  }

  async destroy(sessionId: string): Promise<void> {
    if (this.#isCollection && sessionId.startsWith(handlePrefix)) {
      const id = idOf(sessionId.slice(handlePrefix.length));
      if (id !== null) await recordsOf(this.#dropIn.sessions as SessionManager<never>).delete(id);
      return;
    }
    // `regenerate` ends a session and saves its data under another id, which has the same user unless it gets another.
    this.#user ??= (this.#known.get(sessionId)?.data[tag] as string | undefined) ?? null;
    this.#known.set(sessionId, null);
    await this.#dropIn.destroy(sessionId);
  }

  async touch(sessionId: string): Promise<void> {
    await this.#dropIn.touch(sessionId, this.#known.get(sessionId)?.baseline ?? null, this.#end());
  }

  /** Saved at once if the session is stored, else when it is. */
  async tag(sessionId: string, userId: string | number): Promise<void> {
    const loaded = await this.#loadStored(sessionId);
    if (loaded === null) this.#user = String(userId);
    else await this.#retag(sessionId, loaded, { ...loaded.data, [tag]: String(userId) });
  }

  async untag(sessionId: string, _userId: string | number): Promise<void> {
    this.#user = null;
    const loaded = await this.#loadStored(sessionId);
    if (loaded !== null && tag in loaded.data) await this.#retag(sessionId, loaded, withoutTag(loaded.data));
  }

  async tagged(userId: string | number): Promise<{ id: string; data: Values }[]> {
    const records = recordsOf(this.#dropIn.sessions as SessionManager<never>);
    const { format } = records.settings;
    const infos = await new UserRows(records, String(userId)).list(1_000);
    const rows = await Promise.all(
      infos.filter((info) => records.isAlive(info)).map(({ id }) => records.store.read(id)),
    );
    return rows.flatMap((row) => {
      if (row === null) return [];
      const id = handlePrefix + handleOf(row.id);
      if (!opensAlone(format, row)) return [{ id, data: {} }]; // sealTo: "cookie"
      try {
        return [{ id, data: withoutTag(format.decode(format.open(row, null)).data) }];
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        publishRefusal(row, error, records.settings);
        return [];
      }
    });
  }

  async #load(sessionId: string): Promise<Loaded | null> {
    const loaded = await this.#dropIn.load(sessionId);
    if (loaded !== null) this.#known.set(sessionId, loaded);
    return loaded;
  }

  /** Null for an id that this request made up. */
  async #loadStored(sessionId: string): Promise<Loaded | null> {
    const known = this.#known.get(sessionId);
    if (known !== undefined) return known;
    return this.#isCollection || sessionId === this.#cookie ? this.#load(sessionId) : null;
  }

  /** A change of user keeps only what the request set (decision 22). Here the application clears the data, or keeps it. */
  async #retag(sessionId: string, { data, baseline }: Loaded, next: Values): Promise<void> {
    await this.#save(sessionId, next, baseline);
    if (!(tag in data) || data[tag] === next[tag]) return;
    const stored = await this.#load(sessionId);
    if (stored !== null) await this.#save(sessionId, next, stored.baseline);
  }

  async #save(sessionId: string, data: Values, baseline: Baseline | null): Promise<void> {
    const saved = await this.#dropIn.save(sessionId, data, baseline, this.#end());
    this.#known.set(sessionId, saved && { data, baseline: saved });
  }

  #end(): number {
    return this.#dropIn.now() + this.#age;
  }
}

function withoutTag(data: Values): Values {
  const { [tag]: _user, ...rest } = data;
  return rest;
}

/** Milliseconds of `age`: a number of seconds, or text such as "2h". AdonisJS reads further texts, such as "1y". */
function ageOf({ age, cookie }: AdonisSessionConfig): number {
  const read = typeof cookie?.maxAge === "number" ? cookie.maxAge * 1_000 : null;
  const length = typeof age === "number" ? age * 1_000 : (milliseconds(age.toLowerCase()) ?? read);
  if (length !== null && length > 0) return length;
  throw new TypeError(
    `The \`age\` of the session configuration is ${JSON.stringify(age)}. Use seconds, or a length such as "2h" or "30 days".`,
  );
}
