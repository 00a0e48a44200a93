import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ConflictError, SessionBusyError } from "../errors.ts";
import { channels } from "../telemetry/channels.ts";
import type { Change, Company, Outcome } from "./group-commit.ts";
import { handleOf } from "./handle.ts";
import { WriteEngine, type Found, type JointWrite, type Save } from "./write-engine.ts";

/** A draft is a list of names; what is done is the list that was stored. */
type Draft = readonly string[];
type Done = string;

const row = { id: new Uint8Array(32).fill(1) };
const otherRow = { id: new Uint8Array(32).fill(2) };
const limit = 1_000;

let engine: WriteEngine<Draft, Done>;
let events: string[];
const listen = (event: unknown) => {
  const { handle, outcome, attempt } = event as { handle: string; outcome: string; attempt: number };
  assert.equal(handle, handleOf(row.id));
  events.push(`${outcome} ${attempt}`);
};

beforeEach(() => {
  engine = new WriteEngine(limit);
  events = [];
  channels.conflict.subscribe(listen);
});
afterEach(() => {
  channels.conflict.unsubscribe(listen);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lets everything happen that waits for nothing but a turn of the event loop. */
async function turns(count = 3): Promise<void> {
  for (let done = 0; done < count; done++) await new Promise((resolve) => setImmediate(resolve));
}

/** A save whose parts answer as told, and the calls of them. */
function scripted(script: { first?: boolean; found?: Found[]; outcomes?: Outcome[] }) {
  const calls: string[] = [];
  const save: Save<Draft, Done> = {
    first: async () => (calls.push("first"), script.first ?? false),
    rebase: async () => (calls.push("rebase"), script.found?.shift() ?? "merged"),
    attempt: async () => (calls.push("attempt"), script.outcomes?.shift() ?? "done"),
    change: () => null,
  };
  return { calls, save };
}

describe("a save that nobody else disturbs", () => {
  test("the first write matches → done, and nothing is read again", async () => {
    const { calls, save } = scripted({ first: true });
    assert.equal(await engine.save(row, save), "done");
    assert.deepEqual([calls, events], [["first"], []]);
  });

  test.each([
    ["merged", "done", "done", ["first", "rebase", "attempt"], ["merged 1"]],
    ["unchanged", "done", "done", ["first", "rebase", "attempt"], []],
    ["merged", "asked", "asked", ["first", "rebase", "attempt"], ["merged 1"]],
    ["merged", "gone", "gone", ["first", "rebase", "attempt"], ["merged 1"]],
    ["gone", "done", "gone", ["first", "rebase"], ["ended 1"]],
    ["asked", "done", "asked", ["first", "rebase"], []],
  ] as const)(
    "the first does not match, the row is %s, the attempt is %s → %s",
    async (found, outcome, end, steps, told) => {
      const { calls, save } = scripted({ found: [found], outcomes: [outcome] });
      assert.equal(await engine.save(row, save), end);
      assert.deepEqual([calls, events], [steps, told]);
    },
  );

  test("without a subscriber → no event", async () => {
    channels.conflict.unsubscribe(listen);
    const publish = vi.spyOn(channels.conflict, "publish");
    assert.equal(await engine.save(row, scripted({}).save), "done");
    expect(publish).not.toHaveBeenCalled();
  });

  test("alone and without a first write → reads, then writes", async () => {
    const { calls, save } = scripted({});
    assert.equal(await engine.alone(row, save), "done");
    assert.deepEqual(calls, ["rebase", "attempt"]);
  });

  test("a part throws → the save rejects, and the next save of the session goes on", async () => {
    const broken = { ...scripted({}).save, first: () => Promise.reject(new RangeError("No.")) };
    await assert.rejects(engine.save(row, broken), RangeError);
    assert.equal(await engine.save(row, scripted({ first: true }).save), "done");
  });
});

describe("a save that loses races", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));

  test("beaten each time → two retries at once, then growing pauses of at most 50 ms; 25 attempts, then ConflictError", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(0.5);
    const pauses = vi.spyOn(globalThis, "setTimeout");
    const { calls, save } = scripted({ outcomes: Array<Outcome>(30).fill("beaten") });
    const error = engine.save(row, save).catch((thrown: unknown) => thrown);
    await vi.advanceTimersByTimeAsync(limit - 1);
    await vi.advanceTimersByTimeAsync(limit);
    const thrown = await error;
    assert.ok(thrown instanceof ConflictError);
    assert.equal(
      thrown.message,
      `Session ${handleOf(row.id)} could not be saved: other requests changed it during each of 25 attempts. Nothing of this request was saved. Retry it.`,
    );
    assert.equal(calls.filter((call) => call === "attempt").length, 25);
    const merged = Array.from({ length: 25 }, (_, at) => `merged ${at + 1}`);
    assert.deepEqual(events, [...merged, "failed 25"]);
    const delays = pauses.mock.calls
      .map(([, delay]) => delay)
      .filter((delay) => delay! <= 50 && delay !== limit / 50);
    assert.deepEqual(delays.slice(0, 5), [4, 8, 16, 25, 25]);
    assert.equal(random.mock.calls.length, 22);
  });

  test("beaten until `storeTimeout` has passed → ConflictError after fewer attempts", async () => {
    let attempts = 0;
    const save: Save<Draft, Done> = {
      ...scripted({}).save,
      attempt: async () => {
        attempts++;
        await new Promise((resolve) => setTimeout(resolve, limit / 2));
        return "beaten";
      },
    };
    vi.spyOn(Math, "random").mockReturnValue(0);
    const error = engine.save(row, save).catch((thrown: unknown) => thrown);
    await vi.advanceTimersByTimeAsync(3 * limit);
    assert.ok((await error) instanceof ConflictError);
    assert.equal(attempts, 3); // after the second exactly `limit` has passed, and no more
    assert.equal(events.at(-1), "failed 3");
  });

  test("beaten twice, then not → done", async () => {
    const { save } = scripted({ outcomes: ["beaten", "beaten", "done"] });
    assert.equal(await engine.save(row, save), "done");
    assert.deepEqual(events, ["merged 1", "merged 2", "merged 3"]);
  });
});

/** A request that saves one name, and may take those of others along. */
class Request {
  readonly name: string;
  readonly log: string[];
  readonly options: Options;
  settled: Done | null = null;

  constructor(name: string, log: string[], options: Options = {}) {
    this.name = name;
    this.log = log;
    this.options = options;
  }

  save(): Promise<Outcome> {
    const { options, name, log } = this;
    return engine.save(row, {
      first: async () => (log.push(`${name} first`), false),
      rebase: async () => (log.push(`${name} rebase`), "unchanged"),
      attempt: (company) => this.#attempt(company),
      change: () => (options.alone ? null : this.change()),
    });
  }

  change(): Change<Draft, Done> {
    const { name, options } = this;
    return {
      user: options.user,
      isOpen: () => options.isOpen ?? true,
      apply: options.apply ?? ((draft) => [...draft, name]),
      settle: (done) => void (this.settled = done),
      lost: () => {},
    };
  }

  async #attempt(company: Company<Draft, Done>): Promise<Outcome> {
    const { name, log, options } = this;
    await options.hold;
    const joint: JointWrite<Draft, Done, Draft> = {
      row,
      own: [name],
      user: options.user,
      draft: () => [name],
      check: (draft) => (log.push(`check ${draft.join("+")}`), options.check ? options.check(draft) : draft),
      stored: (wanted) => options.stored?.(wanted) ?? null,
      write: async (wanted, others) => {
        log.push(`write ${wanted.join("+")}`);
        const isDone = options.write === undefined ? true : await options.write(wanted);
        if (isDone) for (const other of others) other.settle(wanted.join("+"));
        return isDone;
      },
    };
    return (await engine.writeWith(company, joint)) ? "done" : "beaten";
  }
}

interface Options {
  readonly user?: string;
  readonly isOpen?: boolean;
  readonly alone?: boolean;
  readonly hold?: Promise<unknown>;
  readonly apply?: (draft: Draft) => Draft;
  readonly check?: (draft: Draft) => Draft | null;
  readonly stored?: (wanted: Draft) => Done | null;
  readonly write?: (wanted: Draft) => boolean | Promise<boolean>;
}

describe("saves of one session in this process", () => {
  let log: string[];
  let release: () => void;
  let held: Request;

  /** A first save is held, so that those that follow wait. */
  beforeEach(() => {
    log = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    release = resolve;
    held = new Request("held", log, { hold: promise, alone: true, write: () => true });
  });

  async function run(...waiting: Request[]): Promise<(Outcome | Error)[]> {
    const first = held.save();
    const saves = waiting.map((request) => request.save().catch((error: Error) => error));
    await turns();
    // The held one has its company to itself: it must not take the others along.
    vi.spyOn(engine, "writeWith").mockImplementationOnce(async () => true);
    release();
    assert.equal(await first, "done");
    const outcomes = await Promise.all(saves);
    log = log.filter((entry) => !entry.startsWith("held"));
    return outcomes;
  }

  test("several wait → no first write, and the next one takes the others along", async () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => new Request(name, log));
    assert.deepEqual(await run(a!, b!, c!), ["done", "done", "done"]);
    assert.deepEqual(log, ["a rebase", "check a+b+c", "write a+b+c"]);
    assert.deepEqual([a!.settled, b!.settled, c!.settled], [null, "a+b+c", "a+b+c"]);
    assert.deepEqual(events, ["merged 1", "merged 1"]);
  });

  test("of another session → not in turn", async () => {
    const first = held.save();
    assert.equal(await engine.save(otherRow, scripted({ first: true }).save), "done");
    release();
    await first;
  });

  test.each([
    ["of another user", { user: "ada" }],
    ["that became something else meanwhile", { isOpen: false }],
    ["that is written by itself", { alone: true }],
  ])("a change %s → is not taken along", async (_kind, options) => {
    await run(new Request("a", log), new Request("b", log, options), new Request("c", log));
    assert.deepEqual(log, ["a rebase", "check a+c", "write a+c", "b rebase", "write b"]);
  });

  test("`alone` → not taken along either", async () => {
    const first = held.save();
    const a = new Request("a", log).save();
    const b = scripted({});
    const alone = engine.alone(row, b.save);
    vi.spyOn(engine, "writeWith").mockImplementationOnce(async () => true);
    release();
    assert.deepEqual(await Promise.all([first, a, alone]), ["done", "done", "done"]);
    assert.ok(log.includes("write a"));
    assert.deepEqual(b.calls, ["rebase", "attempt"]);
  });

  test("nobody to take along → the own content is written, unchecked", async () => {
    await run(new Request("a", log));
    assert.deepEqual(log, ["a rebase", "write a"]);
  });

  test.each(["null", "an error"])(
    "they do not go together (%s) → half as many are tried; the others save themselves",
    async (kind) => {
      const check = (draft: Draft) => {
        if (draft.length <= 3) return draft;
        if (kind === "null") return null;
        throw new RangeError("No.");
      };
      const names = ["a", "b", "c", "d", "e"];
      const requests = names.map((name) => new Request(name, log, { check }));
      assert.deepEqual(await run(...requests), Array(5).fill("done"));
      assert.deepEqual(log, [
        "a rebase",
        "check a+b+c+d+e",
        "check a+b+c",
        "write a+b+c",
        "d rebase",
        "check d+e",
        "write d+e",
      ]);
    },
  );

  test("one whose change cannot be applied → fails by itself, not with the others", async () => {
    const apply = () => {
      throw new RangeError("No.");
    };
    await run(new Request("a", log), new Request("b", log, { apply }), new Request("c", log));
    assert.deepEqual(log, ["a rebase", "check a+c", "write a+c", "b rebase", "write b"]);
  });

  test("no change can be applied → the own content is written, unchecked", async () => {
    const apply = () => {
      throw new RangeError("No.");
    };
    await run(new Request("a", log), new Request("b", log, { apply }));
    assert.deepEqual(log, ["a rebase", "write a", "b rebase", "write b"]);
  });

  test("the joint write does not match → all keep their places, before those that came later", async () => {
    let tries = 0;
    const late = new Request("late", log, { alone: true });
    let lateSave: Promise<Outcome> | null = null;
    const write = () => {
      lateSave ??= late.save();
      return ++tries > 1;
    };
    const outcomes = await run(
      new Request("a", log, { write }),
      new Request("b", log),
      new Request("c", log),
    );
    assert.deepEqual(outcomes, ["done", "done", "done"]);
    assert.equal(await lateSave, "done");
    assert.deepEqual(log.slice(0, 6), [
      "a rebase",
      "check a+b+c",
      "write a+b+c",
      "a rebase",
      "check a+b+c",
      "write a+b+c",
    ]);
  });

  test("the joint write fails → all fail with its error", async () => {
    const error = new RangeError("No.");
    const write = () => Promise.reject(error);
    const outcomes = await run(new Request("a", log, { write }), new Request("b", log));
    assert.deepEqual(outcomes, [error, error]);
    assert.deepEqual(log, ["a rebase", "check a+b", "write a+b"]);
  });

  test("the store has what they want already → settled with that, and nothing is written", async () => {
    const stored = (wanted: Draft) => `stored ${wanted.join("+")}`;
    const b = new Request("b", log);
    assert.deepEqual(await run(new Request("a", log, { stored }), b), ["done", "done"]);
    assert.deepEqual(log, ["a rebase", "check a+b"]);
    assert.equal(b.settled, "stored a+b");
  });

  test("300 wait → at most 256 are taken along", async () => {
    vi.spyOn(performance, "now").mockReturnValue(0); // applying them takes no time
    const requests = Array.from({ length: 300 }, (_, at) => new Request(`r${at}`, log));
    await run(...requests);
    const writes = log.filter((entry) => entry.startsWith("write")).map((entry) => entry.split("+").length);
    assert.deepEqual(writes, [257, 43]);
  });

  test("applying them takes more than 10 ms → the rest keeps waiting", async () => {
    let now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const apply = (name: string) => (draft: Draft) => ((now += 6), [...draft, name]);
    const requests = ["a", "b", "c", "d"].map((name) => new Request(name, log, { apply: apply(name) }));
    await run(...requests);
    assert.deepEqual(log, ["a rebase", "check a+b+c", "write a+b+c", "d rebase", "write d"]);
  });

  test("the first takes more than 10 ms by itself → it is taken along all the same", async () => {
    let now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const apply = (name: string) => (draft: Draft) => ((now += 20), [...draft, name]);
    const requests = ["a", "b", "c"].map((name) => new Request(name, log, { apply: apply(name) }));
    await run(...requests);
    assert.deepEqual(log, ["a rebase", "check a+b", "write a+b", "c rebase", "write c"]);
  });

  test("one takes more than 10 ms, and cannot be applied → the next one is still tried", async () => {
    let now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const apply = () => {
      now += 20;
      throw new RangeError("No.");
    };
    await run(new Request("a", log), new Request("b", log, { apply }), new Request("c", log));
    assert.deepEqual(log, ["a rebase", "check a+c", "write a+c", "b rebase", "write b"]);
  });

  test("4,096 wait → one more is refused with SessionBusyError", async () => {
    const first = held.save();
    const waiting = Array.from({ length: 4_096 }, () => engine.save(row, scripted({}).save));
    await expect(engine.save(row, scripted({}).save)).rejects.toThrow(
      `Too many requests are changing session ${handleOf(row.id)}: 4096 changes are waiting. Nothing of this request was saved. Retry it. Other sessions are not affected.`,
    );
    release();
    await Promise.all([first, ...waiting]);
  });

  test("several saves → each part runs in the async context of its request", async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: string[] = [];
    const note = (what: string) => void seen.push(`${what} in ${context.getStore()}`);
    const first = context.run("1", () => held.save());
    const apply = (draft: Draft) => (note("apply"), [...draft, "b"]);
    const save = { ...scripted({}).save, attempt: async (): Promise<Outcome> => (note("attempt"), "done") };
    const a = context.run("2", () => engine.save(row, save));
    const b = context.run("3", () => new Request("b", log, { apply }).save());
    const c = context.run("4", () =>
      engine.save(row, { ...save, change: () => new Request("c", log, { apply }).change() }),
    );
    vi.spyOn(engine, "writeWith").mockImplementationOnce(async () => true);
    release();
    await Promise.all([first, a, b, c]);
    assert.deepEqual(seen, ["attempt in 2", "apply in 4"]);
  });
});

describe("a save whose store hangs", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));

  const hanging = () => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    return { end: resolve, save: { ...scripted({}).save, first: () => promise } };
  };

  test("one that waits behind it for `storeTimeout` → SessionBusyError then, and not before; the next goes beside it", async () => {
    const { save, end } = hanging();
    const first = engine.save(row, save);
    const next = scripted({});
    const errors: unknown[] = [];
    void engine.save(row, next.save).catch((thrown: unknown) => errors.push(thrown));
    await vi.advanceTimersByTimeAsync(limit - 1);
    assert.equal(errors.length, 0);
    await vi.advanceTimersByTimeAsync(1);
    const [error] = errors;
    assert.ok(error instanceof SessionBusyError);
    assert.match(error.message, /this one waited 1000 ms for others/);
    assert.deepEqual(next.calls, []);
    const beside = scripted({ first: true });
    assert.equal(await engine.save(row, beside.save), "done");
    assert.deepEqual(beside.calls, ["first"]); // nobody is in its way any more
    end(true);
    assert.equal(await first, "done");
  });

  test("it ends just in time → the one behind it goes on", async () => {
    const { save, end } = hanging();
    const first = engine.save(row, save);
    const next = engine.save(row, scripted({}).save);
    await vi.advanceTimersByTimeAsync(limit - 1);
    end(true);
    assert.deepEqual(await Promise.all([first, next]), ["done", "done"]);
  });

  test("one that came later → waits for `storeTimeout` of its own", async () => {
    const slow = (milliseconds: number): Save<Draft, Done> => ({
      ...scripted({}).save,
      first: () => new Promise((resolve) => setTimeout(() => resolve(true), milliseconds)),
      attempt: () => new Promise((resolve) => setTimeout(() => resolve("done"), milliseconds)),
    });
    const outcomes: string[] = [];
    const note = (name: string, save: Promise<Outcome>) =>
      void save.then(
        (outcome) => outcomes.push(`${name} ${outcome}`),
        (error: Error) => outcomes.push(`${name} ${/waited \d+ ms/.exec(error.message)?.[0]}`),
      );
    note("a", engine.save(row, slow(600)));
    note("b", engine.save(row, slow(600)));
    note("c", engine.save(row, slow(1)));
    await vi.advanceTimersByTimeAsync(601);
    note("d", engine.save(row, slow(1)));
    await vi.advanceTimersByTimeAsync(limit);
    assert.deepEqual(outcomes, ["a done", "b done", "c waited 1200 ms", "d done"]);
  });

  /** A first write that takes so long; the event loop blocks for `blocked` milliseconds in the middle of it. */
  const taking = (milliseconds: number, blocked = 0): Save<Draft, Done> => {
    const work = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, milliseconds / 2));
      lag += blocked;
      await new Promise((resolve) => setTimeout(resolve, milliseconds / 2));
    };
    return {
      ...scripted({}).save,
      first: () => work().then(() => true),
      attempt: () => work().then(() => "done"),
    };
  };
  let lag: number;
  const busy = (error: unknown): string =>
    /waited \d+ ms/.exec((error as Error).message)?.[0] ?? String(error);

  beforeEach(() => {
    lag = 0;
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + lag);
  });

  test("the event loop blocks during a save → that time does not count as waiting for it", async () => {
    const saves = [taking(400, 900), taking(400, 900), taking(10)].map((save) => engine.save(row, save));
    await vi.advanceTimersByTimeAsync(2 * limit);
    assert.deepEqual(await Promise.all(saves), ["done", "done", "done"]);
  });

  test("the event loop blocked during an earlier save → the time of later ones counts all the same", async () => {
    const saves = [taking(10, 900), taking(500), taking(560), taking(10)].map((save) =>
      engine.save(row, save).catch(busy),
    );
    await vi.advanceTimersByTimeAsync(3 * limit);
    assert.deepEqual((await Promise.all(saves)).slice(0, 3), ["done", "done", "done"]);
    const [, waited] = /waited (\d+) ms/.exec(await saves[3]!)!;
    assert.ok(Number(waited) >= 1_060 && Number(waited) <= 1_100, waited);
  });

  test("one that came later waits too long → the error says how long it waited itself", async () => {
    const saves = [taking(400), taking(400), taking(700)].map((save) => engine.save(row, save).catch(busy));
    await vi.advanceTimersByTimeAsync(401);
    const later = engine.save(row, taking(10)).catch(busy);
    await vi.advanceTimersByTimeAsync(2 * limit);
    assert.deepEqual(await Promise.all(saves), ["done", "done", "done"]);
    assert.equal(await later, "waited 1100 ms");
  });

  test("all saves are done → no timer is left", async () => {
    assert.equal(await engine.save(row, scripted({ first: true }).save), "done");
    await vi.advanceTimersByTimeAsync(2 * limit);
    assert.equal(vi.getTimerCount(), 0);
  });

  test("it writes once its turn is over → takes nobody along, and puts nobody back", async () => {
    const log: string[] = [];
    let tries = 0;
    const options: Options = {
      get hold() {
        return new Promise((resolve) => setTimeout(resolve, limit)); // begins after the turn
      },
      write: () => ++tries > 1,
    };
    const save = new Request("slow", log, options).save();
    await vi.advanceTimersByTimeAsync(3 * limit);
    assert.equal(await save, "done");
    assert.deepEqual(log, ["slow first", "slow rebase", "write slow", "slow rebase", "write slow"]);
  });

  test("the write of a group does not match after all → those taken along go on without it", async () => {
    const log: string[] = [];
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let tries = 0;
    const slow = new Request("slow", log, { write: () => (++tries === 1 ? promise : true) });
    const start = Promise.withResolvers<void>();
    const first = new Request("first", log, { alone: true, hold: start.promise, write: () => true });
    const saves = [first.save(), slow.save()];
    // Two that are taken along by the slow one.
    saves.push(new Request("b", log).save(), new Request("c", log).save());
    vi.spyOn(engine, "writeWith").mockImplementationOnce(async () => true);
    start.resolve();
    await vi.advanceTimersByTimeAsync(limit); // the lane is free now
    resolve(false);
    await vi.advanceTimersByTimeAsync(limit);
    assert.deepEqual(await Promise.all(saves), ["done", "done", "done", "done"]);
    assert.ok(log.includes("write slow+b+c"));
    assert.ok(log.includes("write b+c"));
  });
});
