/** What somebody who may write to the table puts into one row stays that row's trouble. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSessionManager, migrate } from "../../src/index.ts";
import { recordsOf, type SessionManager } from "../../src/manager.ts";
import { exportUser, revokeEverything, statsOf } from "../../src/operator/admin.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";
import { cookieOf, olderKey, testKeys } from "./doubles.ts";

const most = "9223372036854775807";
const times = ["created_at", "updated_at", "absolute_expires_at", "expires_at"];
const edits = [
  "data = ''",
  `version = ${most}`,
  ...times.flatMap((column) => [
    `${column} = ${most}`,
    `${column} = -${most}`,
    `${column} = 9000000000000000`,
  ]),
];

for (const database of databases) {
  describe(database.name, () => {
    let created: CreatedStore;
    let sessions: SessionManager<{ n?: number }>;
    beforeEach(async () => {
      created = await database.createStore();
      await migrate(created.store);
      sessions = createSessionManager<{ n?: number }>({
        store: created.store,
        keys: `${testKeys},${olderKey}`,
      });
    });
    afterEach(async () => created.drop());

    async function login(user: string, keys = testKeys): Promise<string> {
      const manager = createSessionManager<{ n?: number }>({ store: created.store, keys });
      const session = await manager.load(null);
      session.login(user);
      session.data.n = 1;
      return cookieOf(await manager.commit(session));
    }

    /** False where the table itself refuses the value. */
    async function edit(text: string): Promise<boolean> {
      const values = database.kind === "sqlite" ? text.replace("''", "x''") : text;
      const statement = { text: `UPDATE ${created.table} SET ${values}`, values: [], writes: true };
      return (created.store as SqlStore).database.run(statement).then(
        () => true,
        () => false,
      );
    }

    for (const text of edits) {
      test(`promise 6: one row edited to ${text} → it is refused, and lists, statistics, reseal, export and revoke work on all rows`, async () => {
        const edited = await login("42");
        if (!(await edit(text))) return;
        const [own, other] = [await login("42", olderKey), await login("43", olderKey)];

        const [first, second, third] = await Promise.all([edited, own, other].map((c) => sessions.load(c)));
        expect([first!.user, second!.user, third!.user]).toEqual([undefined, "42", "43"]);

        for (const info of await sessions.forUser("42").list()) {
          expect(JSON.stringify(info)).toContain(info.handle); // no date that cannot be shown
        }
        const records = recordsOf(sessions as SessionManager<never>);
        expect((await statsOf(records)).total).toBe(3);
        const exported = JSON.stringify(await exportUser(records, "42"));
        expect(exported).toContain('"n":1');
        expect((await sessions.reseal()).resealed).toBe(2);
        await sessions.expire();
        expect((await sessions.load(other)).user).toBe("43");
        expect(await sessions.forUser("42").revokeAll()).toBeGreaterThanOrEqual(1);
        expect((await sessions.load(own)).user).toBeUndefined();
        await revokeEverything(records);
        expect(await created.store.scan(null, 10)).toEqual([]);
      });
    }
  });
}
