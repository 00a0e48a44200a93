/** A login whose answer is lost: the application learns that its outcome is unknown, and the transaction ends later. */
import { expect, test } from "vitest";
import { createSessionManager, StoreUnavailableError } from "../../src/index.ts";
import { around, cookieOf, testRing } from "../session/doubles.ts";
import { eachStore } from "../session/stores.ts";
import type { AuditEvent } from "../../src/audit/events.ts";

/** Later for each test, so that the lease for checkpoints of the one before has ended. */
let now = Date.UTC(2026, 10, 30);

eachStore((name, create) => {
  test.each([
    ["the request is given up", false],
    ["the request is repeated", true],
  ])(
    `R49: ${name}: an insert of unknown outcome that is carried out late, and %s → one event for each session that there is, and no false alarm`,
    async (_, repeats) => {
      const held = await create();
      now += 3_600_000;
      let late: (() => Promise<unknown>) | null = null;
      let lost = false;
      const losing = around(held.store, async (operation, call) => {
        if (operation !== "insert" || lost) return call();
        lost = true;
        late = call;
        throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
      });
      const sessions = createSessionManager<{ n?: number }>({
        store: losing,
        keys: testRing,
        clock: () => now,
        audit: { checkpointEvery: "1 h" },
      });
      const before = new Set<string>();
      for await (const { id } of sessions.audit.list()) before.add(id);

      const session = await sessions.load(null);
      session.login("42");
      await expect(sessions.commit(session)).rejects.toMatchObject({ outcome: "unknown" });
      // The process goes on in another chain: nobody knows what the store has of the first.
      const other = await sessions.load(null);
      other.login("43");
      await sessions.commit(other);
      await sessions.audit.checkpoint();
      if (repeats) expect(cookieOf(await sessions.commit(session))).toBeTruthy();
      await late!();

      const logins: AuditEvent[] = [];
      for await (const event of sessions.audit.list({ types: ["login"] }))
        if (!before.has(event.id)) logins.push(event);
      expect(logins.map(({ session: handle, user }) => `${handle} ${user}`).toSorted()).toEqual(
        [`${session.handle} 42`, `${other.handle} 43`].toSorted(),
      );
      expect(await sessions.count()).toBe(2);
      expect(await sessions.audit.verify()).toMatchObject({ ok: true, problems: [] });
      await sessions.audit.checkpoint();
      expect(await sessions.audit.verify()).toMatchObject({ ok: true, problems: [], uncovered: 0 });
      await held.drop();
    },
  );
});
