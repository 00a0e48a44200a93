import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import {
  createSessionManager,
  memoryStore,
  StoreUnavailableError,
  type Session,
  type SessionManager,
} from "../../src/index.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import { commitForResponse } from "../../src/manager.ts";
import { around, cookieOf, Scheduler, seeded, testRing } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;

/** What a request did to its session, in its order: what the session is to be in the end. */
class Expected {
  alive = true;
  user: string | undefined;
  data: Data;
  /** How often the session started from nothing, and got a new id or ended. */
  starts = 0;
  ids = 0;
  readonly updates: { key: string; start: number; acknowledged: boolean }[] = [];

  constructor(data: Data) {
    this.data = data;
  }

  login(user: string): void {
    if (this.user !== undefined && this.user !== user) this.#startOver();
    this.user = user;
    this.alive = true;
    this.ids++;
  }

  regenerate(): void {
    if (this.alive) this.ids++;
  }

  reset(): void {
    this.#startOver();
    this.alive = true;
    this.ids++;
  }

  destroy(): void {
    this.#startOver();
    this.alive = false;
    this.ids++;
  }

  #startOver(): void {
    this.starts++;
    this.user = undefined;
    this.data = {};
  }
}

eachStore((name, create) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(async () => held.drop());

  const manager = (options: Partial<SessionManagerOptions<Data>> = {}): Sessions =>
    createSessionManager<Data>({ store: held.store, keys: testRing, ...options });

  async function run(seed: number): Promise<void> {
    const random = seeded(seed);
    const scheduler = new Scheduler(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    let faults = seed % 2 === 0;
    const faulty = around(scheduler.over(held.store, "request"), async (operation, call) => {
      const fate = faults && operation !== "read" ? random() : 1;
      const lost = () => new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
      if (fate < 0.15) throw lost();
      const answer = await call();
      if (fate < 0.3) throw lost();
      return answer;
    });
    const validate = async (value: unknown) => {
      await Promise.resolve();
      return { value: { ...(value as Data) } };
    };
    const schema = { "~standard": { version: 1, vendor: "test", validate } } as never;
    const sessions = manager({ store: faulty, ...(seed % 3 === 0 && { schema }) });
    const clock = scheduler.over(memoryStore(), "application");

    const plain = manager();
    const first = await plain.load(null);
    first.data["n"] = 0;
    const cookie = seed % 5 === 0 ? null : cookieOf(await plain.commit(first));

    let mine!: Session<Data>;
    const expected = new Expected(cookie === null ? {} : { n: 0 });
    const given: { cookie: string; ids: number }[] = cookie === null ? [] : [{ cookie, ids: 0 }];
    let others = 0;

    const update = async (key: string) => {
      const made = { key, start: expected.starts, acknowledged: false };
      expected.updates.push(made);
      await sessions
        .update(mine, (data) => void (data[key] = 1))
        .then(
          () => (made.acknowledged = true),
          () => {},
        );
    };
    const commit = async () => {
      const setCookie = await sessions.commit(mine).catch(() => null);
      if (setCookie !== null && !setCookie.includes("Max-Age=0"))
        given.push({ cookie: cookieOf(setCookie), ids: expected.ids });
    };
    const otherRequest = async (key: string) => {
      const browser = given.at(-1)?.cookie;
      if (browser === undefined) return;
      const counting = around(held.store, async (operation, call) => {
        const answer = await call();
        if (operation === "update" && (answer as boolean[])[0]) others++; // it is not where the session has ended
        return answer;
      });
      const by = manager({ store: scheduler.over(counting, "other") });
      const other = await by.load(browser);
      other.data[key] = 1;
      if (!other.isNew) await by.commit(other);
    };
    const request = async () => {
      mine = await sessions.load(cookie);
      const running: Promise<void>[] = [];
      for (let step = 0; step < 7; step++) {
        switch (below(12)) {
          case 0:
          case 1:
            running.push(update(`u${step}`));
            break;
          case 2:
          case 3:
            running.push(commit());
            break;
          case 4:
          case 5:
            expected.data[`c${step}`] = mine.data[`c${step}`] = 1;
            break;
          case 6:
            running.push(otherRequest(`o${step}`));
            break;
          case 7: {
            const user = random() < 0.5 ? "7" : "42";
            mine.login(user);
            expected.login(user);
            break;
          }
          case 8:
            mine.regenerate();
            expected.regenerate();
            break;
          case 9:
            mine.reset();
            expected.reset();
            break;
          case 10:
            mine.destroy();
            expected.destroy();
            break;
          case 11:
            await Promise.all(running);
        }
        await clock.count(0); // lets what is under way come a step further, or not
      }
      await Promise.all(running);
      faults = false;
    };

    const [result] = await scheduler.run([request]);
    if (result!.status === "rejected") throw result!.reason;
    const answered = await scheduler.run([async () => commitForResponse(sessions as never, mine as never)]);
    assert.equal(answered[0]!.status, "fulfilled", String((answered[0] as PromiseRejectedResult).reason));
    const setCookie = (answered[0] as PromiseFulfilledResult<string | null>).value;
    const clears = setCookie?.includes("Max-Age=0") ?? false;
    const browser = clears ? null : setCookie === null ? cookie : cookieOf(setCookie);

    const { isNew, user, data } = await plain.load(browser);
    const found = Object.keys(data);
    const wanted = expected.alive ? expected.data : {};
    assert.equal(user, expected.alive ? expected.user : undefined, "user");
    assert.deepEqual(
      found.filter((key) => /[nc]/.test(key)).toSorted(),
      Object.keys(wanted).toSorted(),
      "changes",
    );
    for (const { key, start, acknowledged } of expected.updates) {
      if (acknowledged && start === expected.starts) assert.ok(!expected.alive || key in data, `lost ${key}`);
    }
    if (expected.starts === 0 && others > 0) {
      assert.equal(found.filter((key) => key.startsWith("o")).length, others, "of other requests");
    }
    assert.equal((await held.store.scan(null, 10)).length, isNew ? 0 : 1, "rows");
    for (const { cookie: before, ids } of given) {
      if (ids < expected.ids) assert.equal((await plain.load(before)).isNew, true, "an id of before");
    }
  }

  test(
    "promises 2, 3 and 7; R17, R38–R42: a session object in seeded schedules → as the model says",
    { timeout: 120_000 },
    async () => {
      const [from, to] = (process.env["SEEDS"] ?? `1-${name === "memory" ? 2_000 : 100}`)
        .split("-")
        .map(Number);
      for (let seed = from!; seed <= to!; seed++) {
        await run(seed).catch((error: unknown) => {
          throw new Error(`seed ${seed}`, { cause: error });
        });
        for (const { id } of await held.store.scan(null, 10)) await held.store.delete([id]);
      }
    },
  );
});
