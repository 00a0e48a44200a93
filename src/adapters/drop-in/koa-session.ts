import type { SessionManager } from "../../manager.ts";
import type { Baseline } from "./baseline.ts";
import { DropInSessions, type DropInStoreOptions } from "./drop-in-sessions.ts";
import { InOrder } from "./in-order.ts";
import { plainObject } from "./json-values.ts";

type Values = Record<string, unknown>;

/** What koa-session passes along with each call. */
interface KoaSessionCall {
  readonly ctx?: object | undefined;
}

/** Options of {@link StoredSessionKoaStore}. */
export interface StoredSessionKoaStoreOptions extends DropInStoreOptions {}

/** koa-session lets a row live this much longer than the cookie. */
const grace = 10_000;

/**
 * A store for koa-session 7: `session({ store: new StoredSessionKoaStore({ store, keys }) }, app)`.
 *
 * Sessions are encrypted and their ids hashed; parallel requests merge, key by key; a save in flight does not bring
 * back a session that was destroyed; a session that is only used, with `rolling` or `renew`, is written at most once
 * every `touchEvery`. A session ends when its `maxAge` does; with `maxAge: "session"` after `idleTimeout` without
 * use (30 days); after `absoluteTimeout` at the latest (400 days).
 */
export class StoredSessionKoaStore {
  readonly #dropIn: DropInSessions;
  readonly #baselines: WeakMap<object, Map<string, Baseline>> = new WeakMap();

  /** By request: of two saves in flight the second is measured against the first. */
  readonly #saves: InOrder = new InOrder();

  constructor(options: StoredSessionKoaStoreOptions) {
    this.#dropIn = new DropInSessions(options);
  }

  /** For what needs no cookie: `forUser(id).list()` and `.revokeAll()`, `expire`, `scheduleExpiry`. */
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
    const { _expire, ...content } = plainObject(session, this.#dropIn.maxBytes); // the row has the time, and a touch moves it there
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
