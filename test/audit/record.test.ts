/** Events that the application reports: many at once, and with content that an attacker wrote. */
import { describe, expect, test, vi } from "vitest";
import { createSessionManager, memoryStore, StoreUnavailableError } from "../../src/index.ts";
import { testRing } from "../session/doubles.ts";
import type { AuditEvent, AuditOptions } from "../../src/index.ts";

function recording(audit: AuditOptions = {}) {
  const store = memoryStore();
  const trail = store.audit!;
  const { commit } = trail;
  let transactions = 0;
  let held: Promise<unknown> | null = null;
  Object.assign(trail, {
    async commit(...args: Parameters<typeof commit>) {
      transactions++;
      await held;
      return await commit.apply(trail, args);
    },
  });
  const sessions = createSessionManager({ store, keys: testRing, audit });
  return {
    sessions,
    transactions: () => transactions,
    /** Keeps transactions waiting until what it returns is called, with an error if they are to fail. */
    hold(): (error?: Error) => void {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      held = promise;
      return (error) => {
        if (error === undefined) return resolve();
        reject(error);
        held = null;
      };
    },
    async failed(): Promise<AuditEvent[]> {
      const events: AuditEvent[] = [];
      for await (const event of sessions.audit.list({ types: ["login.failed"] })) events.push(event);
      return events;
    },
  };
}

describe("audit.record", () => {
  test("audit.record: 300 failed logins while a transaction is under way → they share three, and each is recorded", async () => {
    const { sessions, transactions, hold, failed } = recording();
    await sessions.audit.record("login.failed", { identifier: "first" });
    const before = transactions();
    const release = hold();
    const writes = Array.from({ length: 300 }, (_, at) =>
      sessions.audit.record("login.failed", { identifier: `user ${at}` }),
    );
    const session = await sessions.load(null);
    session.login("42");
    const commit = sessions.commit(session);
    release();
    await Promise.all([...writes, commit]);
    // Of 128 at most, and one for the login.
    expect(transactions() - before).toBeLessThanOrEqual(4);
    expect(new Set((await failed()).map(({ identifier }) => identifier)).size).toBe(301);
    expect(await sessions.audit.verify()).toMatchObject({ ok: true, problems: [] });
    await sessions.close();
  });

  test("audit.record: the transaction that events share fails → each of those who wait learns so, and later events are recorded", async () => {
    const { sessions, hold, failed } = recording();
    await sessions.audit.record("login.failed", { identifier: "first" });
    const fail = hold();
    const writes = ["a", "b", "c"].map((identifier) => sessions.audit.record("login.failed", { identifier }));
    const later = Promise.allSettled(writes);
    await new Promise(setImmediate);
    fail(new StoreUnavailableError("The disk is full."));
    expect((await later).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    await sessions.audit.record("login.failed", { identifier: "d" });
    expect((await failed()).map(({ identifier }) => identifier).toSorted()).toEqual(["d", "first"]);
    expect(await sessions.audit.verify()).toMatchObject({ ok: true, problems: [] });
    await sessions.close();
  });

  test.each(["strict", "lax"] as const)(
    "audit.record: content that has no text, in %s mode → it is recorded as such, and so is what follows",
    async (mode) => {
      const { sessions, failed } = recording({ mode });
      // What JSON.parse makes of a login form's body.
      const form = JSON.parse(
        '{"email": {"toString": 1}, "agent": {"toString": 2}, "method": ["a", "b"]}',
      ) as {
        email: string;
        agent: string;
        method: string;
      };
      await sessions.audit.record("login.failed", {
        identifier: form.email,
        method: form.method,
        details: { agent: form.agent },
      });
      await sessions.audit.record("login.failed", { identifier: "after" });
      await vi.waitFor(async () => expect(await failed()).toHaveLength(2));
      const events = await failed();
      expect(events.find(({ identifier }) => identifier !== "after")).toMatchObject({
        identifier: "[object]",
        method: "a,b",
        details: { agent: "[object]" },
      });
      await sessions.close();
    },
  );

  test("audit.record: an outcome that does not exist → a TypeError that lists them, and nothing is recorded", async () => {
    const { sessions, failed } = recording({ mode: "lax" });
    await expect(sessions.audit.record("login.failed", { outcome: "ok" as "success" })).rejects.toThrow(
      /"ok" is not an outcome. Use one of success, failure, denied, unknown/,
    );
    expect(await failed()).toEqual([]);
    await sessions.close();
  });
});
