/** Callers with sessions on all shards, who know what was acknowledged to them. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError, type SessionManager, type SessionStore } from "../../src/index.ts";
import { settingsOf } from "../../src/manager.ts";
import { cookieOf, manage } from "../jobs/sessions.ts";
import { testKeys } from "../session/doubles.ts";

interface Data {
  items: string[];
}

export interface Served {
  /** Operations that began and were answered in this period, and those that failed, by shard. */
  readonly answered: number[];
  readonly failed: string[][];
}

const nothing = (shards: number): Served => ({
  answered: Array<number>(shards).fill(0),
  failed: Array.from({ length: shards }, () => []),
});

export class ShardedCallers {
  readonly app: SessionManager<Data>;
  readonly #store: SessionStore;
  readonly #shards: number;
  readonly #callers: Caller[];
  readonly ended: string[] = [];
  #served: Served;
  #stopped = false;

  constructor(store: SessionStore, shards: number, callers: number, storeTimeout: number) {
    this.#store = store;
    this.#shards = shards;
    this.app = manage(store, testKeys, { storeTimeout });
    this.#callers = Array.from({ length: callers }, () => new Caller(this));
    this.#served = nothing(shards);
  }

  /** What began and was answered since the last call. */
  period(): Served {
    const before = this.#served;
    this.#served = nothing(this.#shards);
    // What is answered later began in this period and belongs to the next.
    return structuredClone(before);
  }

  /** The promise ends once `stop` was called and every caller has an answer. */
  async run(): Promise<void> {
    this.#stopped = false;
    await Promise.all(
      this.#callers.map(async (caller) => {
        while (!this.#stopped) if (!(await caller.step())) await sleep(20);
      }),
    );
  }

  stop(): void {
    this.#stopped = true;
  }

  shardOf(cookie: string): number {
    const { format } = settingsOf(this.app as never);
    return this.#store.shardOf!(format.read(cookie.slice(cookie.indexOf("=") + 1))!.id)!;
  }

  note(shard: number, error: unknown, served: Served): void {
    if (error === null) served.answered[shard]!++;
    else served.failed[shard]!.push(String(error));
  }

  get served(): Served {
    return this.#served;
  }

  /** Every session is as it was acknowledged, and none that ended is there. */
  async verify(): Promise<void> {
    await Promise.all(this.#callers.map((caller) => caller.verify()));
    const { ended } = this;
    for (let from = 0; from < ended.length; from += 256) {
      const sessions = await Promise.all(
        ended.slice(from, from + 256).map((cookie) => this.app.load(cookie)),
      );
      for (const { isNew } of sessions) assert.ok(isNew, "a session that ended came back");
    }
    // The next round looks again at the last of them.
    ended.splice(0, ended.length - 256);
  }
}

class Caller {
  readonly #of: ShardedCallers;
  #cookie: string | null = null;
  /** What may be stored: one item, or two while an answer was lost. */
  #may: string[] = [];
  #steps = 0;

  constructor(of: ShardedCallers) {
    this.#of = of;
  }

  /** Whether it was served. */
  async step(): Promise<boolean> {
    const { served } = this.#of;
    const cookie = this.#cookie;
    try {
      if (cookie === null) {
        await this.#begin();
        return true;
      }
      const shard = this.#of.shardOf(cookie);
      try {
        await this.#use(cookie);
        this.#of.note(shard, null, served);
        return true;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.#of.note(shard, error, served);
      }
    } catch (error) {
      if (!(error instanceof StoreError)) {
        this.#of.stop();
        throw error;
      }
    }
    return false;
  }

  async verify(): Promise<void> {
    if (this.#cookie === null) return;
    const session = await this.#of.app.load(this.#cookie);
    assert.ok(!session.isNew, "an acknowledged session is gone");
    assert.ok(this.#may.includes(session.data.items![0]!), "an acknowledged change is gone");
  }

  /** A shard that is down may be drawn: nobody was told of a session then. */
  async #begin(): Promise<void> {
    const session = await this.#of.app.load(null);
    session.login("42");
    session.data.items = ["0"];
    this.#cookie = cookieOf(await this.#of.app.commit(session));
    this.#may = ["0"];
  }

  async #use(cookie: string): Promise<void> {
    const { app } = this.#of;
    const session = await app.load(cookie);
    assert.ok(!session.isNew, "an acknowledged session is gone");
    const found = session.data.items![0]!;
    assert.ok(
      this.#may.includes(found),
      `${found} is stored, and ${this.#may.join(" or ")} was acknowledged`,
    );
    const kind = ++this.#steps % 10;
    if (kind === 9) return await this.#end(cookie, () => session.destroy(), session);
    if (kind === 4) return await this.#end(cookie, () => session.regenerate(), session);
    const item = String(this.#steps);
    session.data.items = [item];
    this.#may = [found, item];
    try {
      await app.commit(session);
      this.#may = [item];
    } catch (error) {
      if (error instanceof StoreError && error.outcome === "none") this.#may = [found];
      throw error;
    }
  }

  async #end(cookie: string, how: () => void, session: Awaited<ReturnType<SessionManager<Data>["load"]>>) {
    const may = this.#may;
    how();
    // Whether it has ended is not known until the answer.
    this.#cookie = null;
    try {
      const set = await this.#of.app.commit(session);
      this.#of.ended.push(cookie);
      if (session.isNew || set === null || /Max-Age=0|1970/.test(set)) return;
      this.#cookie = cookieOf(set);
      assert.equal(this.#of.shardOf(this.#cookie), this.#of.shardOf(cookie), "a session left its shard");
    } catch (error) {
      if (error instanceof StoreError && error.outcome === "none") {
        this.#cookie = cookie;
        this.#may = may;
      }
      throw error;
    }
  }
}
