import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StoreUnavailableError } from "../../src/errors.ts";
import { createSessionManager, generateKey, migrate } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { follow, type Tail } from "../../src/cli/audit-tail.ts";
import { Folder } from "./command.ts";
import type { AuditEvent } from "../../src/audit/events.ts";

const keys = generateKey();
let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = keys;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
});
afterEach(() => folder.remove());

test.each(["SIGINT", "SIGTERM"] as const)(
  "audit tail: events of other processes, then %s → each new one is printed once, and exit code 0",
  async (signal) => {
    const store = sqliteStore(folder.file("sessions.sqlite3"));
    await migrate(store);
    const sessions = createSessionManager({ store, keys, audit: true });
    await sessions.audit.record("login.failed", { identifier: "before" });
    const child = folder.start("audit", "tail", "--format", "json", "--type", "login.failed", "trail.read");
    let err = "";
    child.stderr!.on("data", (chunk) => (err += String(chunk)));
    const lines: string[] = [];
    const reading = createInterface({ input: child.stdout! });
    const line = async (): Promise<any> => JSON.parse(String((await once(reading, "line"))[0]));
    reading.on("line", (text) => lines.push(text));
    try {
      // It has begun to look once it has recorded that it reads, and shown nothing of before.
      for (let isReading = false; !isReading; await turn())
        for await (const _ of sessions.audit.list({ types: ["trail.read"] })) isReading = true;
      let sent = 0;
      const sending = setInterval(
        () => void sessions.audit.record("login.failed", { identifier: `after ${sent++}` }),
        200,
      );
      const first = await line();
      while (lines.length < 4) await line();
      clearInterval(sending);
      assert.match(first.identifier ?? first.reason, /^(after|tail)/);
    } finally {
      child.kill(signal);
    }
    const [code] = await once(child, "close");
    assert.deepEqual([code, err], [0, ""]);
    const names = lines.map((text) => JSON.parse(text)).filter(({ type }) => type === "login.failed");
    const numbers = names.map(({ identifier }) => Number(identifier.slice(6)));
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => numbers[0]! + index),
      "in order, none twice",
    );
    await sessions.close();
  },
);

function event(id: string, at: number): AuditEvent {
  return { id, at: new Date(at), type: "login", outcome: "success" } as AuditEvent;
}

/** A trail whose every look is given: events, or an error after some. */
async function shown(looks: readonly (readonly (AuditEvent | Error)[])[], since?: number): Promise<string[]> {
  const stop = new AbortController();
  const printed: string[] = [];
  let at = 0;
  const tail: Tail = {
    async *list() {
      const look = looks[at++]!;
      if (at === looks.length) stop.abort();
      for (const one of look) {
        if (one instanceof Error) throw one;
        yield one;
      }
    },
    print: ({ id }) => void printed.push(id),
    onOutage: (error) => void printed.push(error === null ? "answers" : "down"),
    now: 100_000,
    since: since === undefined ? undefined : new Date(since),
    signal: stop.signal,
    every: 0,
  };
  await follow(tail);
  return printed;
}

test("audit tail: the store is down in the middle of a look → says so once, and leaves out and repeats no event", async () => {
  const [a, b, c, d] = [event("a", 99_000), event("b", 101_000), event("c", 102_000), event("d", 103_000)];
  const down = new StoreUnavailableError("connection refused");
  expect(await shown([[a], [a, b, down], [down], [a, b, c], [b, c, d]])).toEqual([
    "b",
    "down",
    "c",
    "answers",
    "d",
  ]);
});

test("audit tail: the store is down at the first look → events of before are not shown afterwards", async () => {
  const down = new StoreUnavailableError("connection refused");
  expect(await shown([[event("a", 99_000), down], [event("a", 99_000)], [event("b", 101_000)]])).toEqual([
    "down",
    "answers",
    "b",
  ]);
});

test("audit tail: an event is written before the first look → shown, and those of before are not", async () => {
  const [a, b, c] = [event("a", 100_000), event("b", 100_001), event("c", 102_000)];
  expect(
    await shown([
      [a, b],
      [a, b, c],
    ]),
  ).toEqual(["b", "c"]);
});

test("audit tail --since: events of before → shown, once", async () => {
  const [a, b] = [event("a", 50_000), event("b", 101_000)];
  expect(await shown([[a], [a, b], [b]], 40_000)).toEqual(["a", "b"]);
});

test("audit tail: a transaction that ended late → its event is shown, although a later one was shown before", async () => {
  const [late, b] = [event("late", 100_500), event("b", 101_000)];
  expect(await shown([[], [b], [late, b], [late, b]])).toEqual(["b", "late"]);
});

test("audit tail: a fault of the command itself → is not taken for an outage", async () => {
  await assert.rejects(shown([[new TypeError("a fault")], []]), /a fault/);
});
