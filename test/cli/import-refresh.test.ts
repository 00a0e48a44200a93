/** `import --refresh`: a second run updates what an earlier one imported, and harms nothing that happened since. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { lines, newTally } from "../../src/cli/import/tally.ts";
import { generateKey } from "../../src/index.ts";
import { importedVersion, isAsImported } from "../../src/session/imported.ts";
import { rowIdOf } from "../../src/session/token.ts";
import type { CreatedStore } from "../servers/databases.ts";
import { databases } from "../servers/databases.ts";
import { Folder } from "./command.ts";

const sids = ["kept", "changed", "revoked", "saved", "touched", "leaving"].map((name) =>
  name.padEnd(32, "x"),
);
const [kept, changed, revoked, saved, touched, leaving] = sids as [
  string,
  string,
  string,
  string,
  string,
  string,
];

let folder: Folder;
let created: CreatedStore;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
});
afterEach(async () => {
  await created?.drop();
  folder.remove();
});

/** The old application's table, with a session of user 1 to 6 in it. */
function old(): DatabaseSync {
  const handle = new DatabaseSync(folder.file("old.sqlite3"));
  handle.exec("CREATE TABLE IF NOT EXISTS sessions (sid TEXT PRIMARY KEY, expire TEXT, sess TEXT)");
  return handle;
}

function write(sid: string, session: object, hours = 1): void {
  const handle = old();
  const end = new Date(Date.now() + hours * 3_600_000).toISOString();
  handle
    .prepare("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)")
    .run(sid, end, JSON.stringify({ cookie: { originalMaxAge: null }, ...session }));
  handle.close();
}

const args = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];

for (const database of databases.filter(({ name }) => name !== "better-sqlite3")) {
  describe(database.name, () => {
    let dropIn: StoredSessionStore;
    beforeEach(async () => {
      created = await database.createStore();
      await created.store.migrate();
      const url = database.url ?? `sqlite:${String((created.store as any).database.file)}`;
      folder.env["STORED_SESSION_DATABASE_URL"] = url;
      if (database.url !== null) args.push("--table", created.table, "-d", url);
      dropIn = new StoredSessionStore({
        store: created.store,
        keys: folder.env["STORED_SESSION_KEYS"]!,
        userOf: (session: any) => session.passport?.user,
      });
    });
    afterEach(() => void args.splice(4));
    const where = () => args.slice(4);

    const get = (sid: string) =>
      new Promise<any>((resolve, reject) =>
        dropIn.get(sid, (error, session) => (error ? reject(error as Error) : resolve(session ?? null))),
      );
    const set = (sid: string, session: object) =>
      new Promise<void>((resolve, reject) =>
        dropIn.set(sid, session as never, (error) => (error ? reject(error as Error) : resolve())),
      );
    const usersFound = async () => {
      const found: number[] = [];
      for (let user = 1; user <= 6; user++) {
        const { sessions } = await folder.json("list", "--user", String(user), ...where());
        if (sessions.length > 0) found.push(user);
      }
      return found;
    };

    test("promise 3: import --refresh after a typo in --user-path → users are added; what ended or was saved since stays", async () => {
      sids.forEach((sid, index) => write(sid, { passport: { user: index + 1 }, cart: ["tea"] }));
      const typo = await folder.json(...args, "--user-path", "passport.usr", "--yes");
      assert.deepEqual([typo.imported, typo.withUser], [6, 0]);
      assert.deepEqual(await usersFound(), []);

      write(changed, { passport: { user: 2 }, cart: ["tea", "honey"] });
      await created.store.delete([rowIdOf(Buffer.from(revoked))]);
      await set(saved, { ...(await get(saved)), cart: ["coffee"] });
      const later = { updatedAt: Date.now() + 1_000, expiresAt: Date.now() + 3_600_000 };
      await created.store.touch([{ id: rowIdOf(Buffer.from(touched)), ...later }]);

      const refresh = [...args, "--refresh", "--user-path", "passport.user", "--batch-size", "4"];
      const expected = { ended: 0, unreadable: 0, notStorable: 0, thereAlready: 0 };
      const skipped = { ...expected, importedBefore: 0, endedSince: 1, changedSince: 1 };
      const counts = {
        read: 6,
        imported: 0,
        withUser: 0,
        refreshed: 4,
        skipped,
        examples: [],
        finished: true,
      };
      assert.deepEqual(await folder.json(...refresh, "--dry-run"), { dryRun: true, ...counts });
      // The drop-in found the user of the session that it saved.
      assert.deepEqual(await usersFound(), [4]);
      assert.deepEqual(await folder.json(...refresh), { dryRun: false, ...counts });
      assert.deepEqual(await usersFound(), [1, 2, 4, 5, 6]);

      assert.deepEqual((await get(kept)).cart, ["tea"]);
      assert.deepEqual((await get(changed)).cart, ["tea", "honey"]);
      assert.equal(await get(revoked), null);
      assert.deepEqual((await get(saved)).cart, ["coffee"]);
      assert.equal((await get(leaving)).passport.user, 6);

      const again = await folder.run(...refresh);
      assert.equal(
        again.out,
        "Imported 0 of 6 sessions; left out 6: 4 imported before, 1 ended since their import, 1 changed here since their import.\n",
      );
    });

    test("import --refresh: the key was rotated and rows resealed → still as imported, and refreshed", async () => {
      write(kept, { cart: ["tea"] });
      assert.equal((await folder.json(...args)).imported, 1);
      const older = folder.env["STORED_SESSION_KEYS"]!;
      folder.env["STORED_SESSION_KEYS"] = `${generateKey()},${older}`;
      assert.equal((await folder.json("reseal", ...where())).resealed, 1);
      write(kept, { cart: ["honey"], passport: { user: 1 } });
      const { refreshed } = await folder.json(...args, "--refresh", "--user-path", "passport.user");
      assert.equal(refreshed, 1);
      assert.deepEqual(await usersFound(), [1]);
    });

    test("import --refresh: no --user-path, and sessions that were imported with users → refused, nothing changed", async () => {
      write(kept, { cart: ["tea"], passport: { user: 1 } });
      await folder.json(...args, "--user-path", "passport.user");
      const same = await folder.run(...args, "--refresh");
      write(kept, { cart: ["honey"], passport: { user: 1 } });
      const changing = await folder.run(...args, "--refresh");
      for (const { code, err } of [same, changing]) {
        assert.equal(code, 2);
        assert.match(err, /imported with a user, and this refresh would remove that user.*Pass --user-path/);
      }
      assert.deepEqual(await usersFound(), [1]);
    });

    test("import --refresh: used in the old application since → ends later; never earlier", async () => {
      write(kept, { cart: ["tea"] }, 1);
      write(changed, { cart: ["tea"] }, 10);
      await folder.json(...args);
      const ends = async () => {
        const rows = await created.store.read([kept, changed].map((sid) => rowIdOf(Buffer.from(sid))));
        return rows.map((row) => Math.round((row!.expiresAt - Date.now()) / 3_600_000));
      };
      assert.deepEqual(await ends(), [1, 10]);
      write(kept, { cart: ["tea"] }, 5);
      write(changed, { cart: ["tea"] }, 3);
      const { refreshed, skipped } = await folder.json(...args, "--refresh");
      assert.deepEqual([refreshed, skipped.importedBefore], [1, 1]);
      assert.deepEqual(await ends(), [5, 10]);
    });
  });
}

test("imported rows: an import's version → recognized; a version of another row or write → not", async () => {
  const id = rowIdOf(Buffer.from("a"));
  const other = rowIdOf(Buffer.from("b"));
  for (let i = 0; i < 1_000; i++) {
    const version = importedVersion(id);
    assert.ok(Number.isSafeInteger(version) && version >= 0);
    assert.ok(isAsImported({ id, version }) && !isAsImported({ id: other, version }));
    assert.notEqual(importedVersion(id, version), version);
  }
});

test("docs/cli.md: the output of a refresh → as the command prints it", () => {
  const page = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
  const tally = newTally(true);
  Object.assign(tally, { read: 117_287, refreshed: 98_204 });
  Object.assign(tally.skipped, { importedBefore: 18_120, endedSince: 703, changedSince: 260 });
  assert.ok(page.includes(lines(tally, null)[0]!), lines(tally, null)[0]);
});
