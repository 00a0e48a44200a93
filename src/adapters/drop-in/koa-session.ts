import type { SessionManager } from "../../manager.ts";
import type { Baseline } from "./baseline.ts";
import { DropInSessions, type DropInStoreOptions } from "./drop-in-sessions.ts";
import { Marks } from "./marks.ts";
import { SerialQueue } from "./serial-queue.ts";
import { plainObject } from "./json-values.ts";

type Values = Record<string, unknown>;

/** What koa-session passes with each call. */
interface KoaSessionCall {
  readonly ctx?: object | undefined;
}

/** Options of {@link StoredSessionKoaStore}. */
export interface StoredSessionKoaStoreOptions extends DropInStoreOptions {}

/** koa-session keeps a row this much longer than the cookie. */
const grace = 10_000;

/**
 * A store for koa-session 7: `session({ store: new StoredSessionKoaStore({ store, keys }) }, app)`.
 *
 * Sessions are encrypted and their ids hashed. Changes of parallel requests are merged key by key. A save in flight
 * does not restore a destroyed session. A session that is only used, with `rolling` or `renew`, is written at most once
 * per `touchEvery`. A session ends after its `maxAge`; with `maxAge: "session"`, after `idleTimeout` without use (30
 * days); after `absoluteTimeout` at the latest (400 days).
 */
export class StoredSessionKoaStore {
  readonly #dropIn: DropInSessions;
  readonly #baselines: Marks<Map<string, Baseline>> = new Marks();

  /** By request: the second of two concurrent saves is compared with the result of the first. */
  readonly #saves: SerialQueue = new SerialQueue();

  constructor(options: StoredSessionKoaStoreOptions) {
    this.#dropIn = new DropInSessions(options);
  }

  /** For operations that need no cookie: `forUser(id).list()` and `.revokeAll()`, `expire`, `scheduleExpiry`. */
  get sessions(): SessionManager<Values> {
    return this.#dropIn.sessions;
  }

  async get(key: string, _maxAge?: unknown, call: KoaSessionCall = {}): Promise<Values | null> {
    const loaded = await this.#dropIn.load(key);
    if (loaded === null) return null;
    this.#remember(call, key, loaded.baseline);
    const { data, expiresAt } = loaded;
    return "_maxAge" in data ? { ...data, _expire: expiresAt - grace } : data;
  }

  async set(key: string, session: object, maxAge?: unknown, call: KoaSessionCall = {}): Promise<void> {
    // the row stores the time, and a touch moves it there
    const { _expire, ...content } = plainObject(session, this.#dropIn.maxBytes);
    const ends = typeof maxAge === "number" ? this.#dropIn.now() + maxAge : this.#dropIn.defaultEnd();
    await this.#saves.do(call.ctx ?? content, async () => {
      const baseline = this.#of(call)?.get(key) ?? null;
      const saved = await this.#dropIn.save(key, content, baseline, ends, ["_maxAge", "_session"]);
      if (saved !== null) this.#remember(call, key, saved);
    });
  }

  async destroy(key: string, _call?: KoaSessionCall): Promise<void> {
    await this.#dropIn.destroy(key);
  }

  close(): Promise<void> {
    return this.#dropIn.close();
  }

  #of({ ctx }: KoaSessionCall): Map<string, Baseline> | undefined {
    return ctx && this.#baselines.get(ctx);
  }

  #remember(call: KoaSessionCall, key: string, baseline: Baseline): void {
    if (call.ctx === undefined) return;
    const known = this.#of(call) ?? new Map<string, Baseline>();
    this.#baselines.set(call.ctx, known.set(key, baseline));
  }
}
