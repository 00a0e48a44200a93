import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import express from "express";
import { afterEach, beforeEach, describe, test } from "vitest";
import { session } from "../../src/adapters/express.ts";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { afterRailsFormat } from "../../src/rails/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { running } from "../adapters/server.ts";
import { Gem, railsKeys } from "../rails/gem.ts";
import { createTable, databases, gemWrites, type RailsTable, type TestDatabase } from "../rails/tables.ts";
import { Folder } from "./command.ts";

/** Rows that Rails 8.1 wrote, with the cookies that it gave for them. */
const { rows } = (
  JSON.parse(readFileSync(new URL("../vectors/rails/rows.json", import.meta.url), "utf8")) as {
    sqlite: { rows: { public_id: string; sid: string; data: string | null }[] };
  }
).sqlite;
const docs = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
const key = { STORED_SESSION_RAILS_PRIMARY_KEY: railsKeys.primaryKey };
const salt = { STORED_SESSION_RAILS_KEY_DERIVATION_SALT: railsKeys.keyDerivationSalt };

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  assert.equal((await folder.run("migrate")).code, 0);
});
afterEach(() => folder.remove());

/** The gem's table with the rows of Rails as if written an hour ago, one too old, and one under another key. */
async function railsTable(database: TestDatabase): Promise<RailsTable & { from: string[] }> {
  const held = await createTable(database);
  const day = 86_400_000;
  for (const [place, { sid, data }] of rows.entries()) {
    const written = Date.now() - (place === 3 ? 100 * day : day / 24);
    await gemWrites(held, database.kind, sid, data === null ? null : Buffer.from(data, "hex"), written);
  }
  const broken = Buffer.from(rows[0]!.data!, "hex").fill(0, 10, 20);
  await gemWrites(held, database.kind, `2::${"ab".repeat(32)}`, broken, Date.now());
  // The addresses are written as Rails has them, with options of its pool.
  if (database.url !== null) {
    const scheme = { postgres: "postgresql", mysql: "mysql2", mariadb: "trilogy", sqlite: "" }[database.kind];
    const url = `${database.url.replace(/^\w+/, scheme)}?pool=5`;
    return { ...held, from: ["--from", url, "--from-table", held.table] };
  }
  const [file] = await held.ask("PRAGMA database_list");
  return { ...held, from: ["--from", `sqlite3:${String(file!["file"])}?pool=5&timeout=5000`] };
}

function serve(format: ReturnType<typeof afterRailsFormat>) {
  const sessions = createSessionManager<Record<string, unknown>>({
    store: sqliteStore(folder.file("ours.sqlite3")),
    format,
    cookie: { name: "_my_app_session" },
  });
  const app = express();
  app.use(session(sessions));
  app.get("/", (request, response) => {
    const { user, data } = request.session as unknown as { user?: string; data: object };
    response.json({ user: user ?? null, data });
  });
  return { sessions, server: app.listen(0, "127.0.0.1") };
}

const some = databases.filter(({ name }) => name !== "better-sqlite3");
describe.each(some.map((database) => [database.name, database] as const))("%s", (_name, database) => {
  test("import of a Rails table → its cookies stay logged in", async () => {
    const held = await railsTable(database);
    try {
      Object.assign(folder.env, key, salt);
      const before = await held.ask(`SELECT * FROM ${held.table} ORDER BY sid`);
      const args = ["import", "stored_session", ...held.from, "--user-key", "user_id"];
      const tried = await folder.run(...args, "--dry-run");
      assert.match(
        tried.out,
        /^Would import 2 of 5 sessions, 1 with a user; left out 3: 2 ended, 1 unreadable\.\n {2}[\w-]{43} unreadable: /,
      );
      assert.equal((await folder.json("count")).live, 0);

      assert.ok(
        docs.includes(`--dry-run\n${tried.out}`),
        `docs/cli.md has the output of before:\n${tried.out}`,
      );

      const first = await folder.json(...args, "--batch-size", "2");
      const { examples, ...counts } = first;
      const skipped = {
        ended: 2,
        unreadable: 1,
        notStorable: 0,
        importedBefore: 0,
        endedSince: 0,
        changedSince: 0,
        thereAlready: 0,
      };
      assert.deepEqual(counts, {
        dryRun: false,
        read: 5,
        imported: 2,
        withUser: 1,
        refreshed: 0,
        skipped,
        finished: true,
      });
      assert.equal(examples.length, 1);
      for (const secret of [railsKeys.primaryKey, railsKeys.keyDerivationSalt, "2::", "abab"])
        assert.ok(
          !(tried.out + tried.err + JSON.stringify(first)).includes(secret),
          "R2, R28 no id and no key is told",
        );
      const again = await folder.run(...args);
      assert.match(
        again.out,
        /^Imported 0 of 5 sessions; left out 5: 2 ended, 1 unreadable, 2 imported before\./,
      );
      assert.equal((await folder.json(...args, "--dry-run")).skipped.importedBefore, 2);
      assert.deepEqual(await held.ask(`SELECT * FROM ${held.table} ORDER BY sid`), before, "it is only read");
      const { sessions } = await folder.json("list", "--user", "42");
      assert.equal(sessions.length, 1);

      const served = serve(afterRailsFormat({ keys: folder.env["STORED_SESSION_KEYS"]! }));
      const app = await running(served.server);
      const visit = (cookie: string) => fetch(app.url, { headers: { cookie } });
      const answer = await visit(`_my_app_session=${rows[0]!.public_id}`);
      assert.deepEqual(await answer.json(), { user: "42", data: { user_id: 42 } });
      const cookie = answer.headers.getSetCookie()[0]!.split(";")[0]!;
      assert.match(cookie, /^_my_app_session=[\w-]{64}$/, "the native cookie takes its place");
      assert.equal(((await (await visit(cookie)).json()) as { user: string }).user, "42");
      const guest = (await (await visit(`_my_app_session=${rows[2]!.public_id}`)).json()) as { data: object };
      assert.deepEqual(Object.keys(guest.data), ["test"]);
      for (const { public_id } of [rows[1]!, rows[3]!]) {
        const other = await visit(`_my_app_session=${public_id}`);
        assert.deepEqual(await other.json(), { user: null, data: {} });
      }
      await app.close();
      await served.sessions.close();
    } finally {
      await held.drop();
    }
  });
});

const sqlite = databases.find(({ name }) => name === "sqlite");
describe.runIf(sqlite !== undefined)("keys and options", () => {
  let held: RailsTable & { from: string[] };
  beforeEach(async () => {
    held = await railsTable(sqlite!);
  });
  afterEach(() => held.drop());

  test("keys as several flags, and Devise's user → read", async () => {
    const gem = new Gem(held, "sqlite", Date.now);
    await gem.write("cd".repeat(16), { "warden.user.user.key": [[7], "$2a$12$…"] });
    const flags = ["--rails-primary-key", railsKeys.primaryKey, "--rails-primary-key", "a newer one"];
    const user = ["--user-key", "warden.user.user.key"];
    const digest = ["--rails-key-derivation-salt", "test salt", "--rails-hash-digest-class", "SHA256"];
    const tally = await folder.json("import", "stored_session", ...held.from, ...flags, ...digest, ...user);
    assert.equal(tally.imported, 3);
    assert.equal((await folder.json("list", "--user", "7")).sessions.length, 1);
  });

  test("several keys in the environment → a JSON array", async () => {
    const several = JSON.stringify([railsKeys.primaryKey, "a newer one"]);
    Object.assign(folder.env, salt, { STORED_SESSION_RAILS_PRIMARY_KEY: several });
    // So is the address, which may hold a password.
    folder.env["STORED_SESSION_IMPORT_URL"] = held.from[1]!;
    assert.equal((await folder.json("import", "stored_session")).imported, 2);
  });

  test("the configuration file's `rails` → the table and its keys", async () => {
    const source = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);
    const [file] = held.from[1]!.split("?");
    writeFileSync(
      folder.file("stored-session.config.mjs"),
      `import { railsFormat, railsStore } from ${source("rails/index.ts")};
import { sqliteStore } from ${source("sql/sqlite/store.ts")};
export default { store: sqliteStore("ours.sqlite3"), keys: process.env.STORED_SESSION_KEYS, absoluteTimeout: "365 days", idleTimeout: "365 days" };
export const rails = {
  store: railsStore(${JSON.stringify(file)}),
  format: railsFormat({ ...${JSON.stringify(railsKeys)}, userOf: ({ user_id }) => user_id && String(user_id) }),
};`,
    );
    delete folder.env["STORED_SESSION_DATABASE_URL"];
    const tally = await folder.json("import", "stored_session");
    assert.equal(tally.imported, 3, "the limits are those of the configuration");
    assert.equal((await folder.json("list", "--user", "42")).sessions.length, 1);
    const twice = await folder.run("import", "stored_session", "--user-key", "id");
    assert.deepEqual([twice.code, /has its own `userOf`/.test(twice.err)], [2, true]);
  });

  test("an impossible import → one sentence, nothing changed, and no key printed", async () => {
    const refused = async (args: string[], code: number, sentence: RegExp) => {
      const answer = await folder.run("import", ...args);
      assert.match(answer.err, sentence);
      assert.equal(answer.code, code, answer.err);
      for (const secret of ["a key of someone else", railsKeys.primaryKey, railsKeys.keyDerivationSalt])
        assert.ok(!(answer.out + answer.err).includes(secret));
    };
    const rails = ["stored_session", ...held.from];
    await refused(
      rails,
      2,
      /The keys of Rails are not set\. Set STORED_SESSION_RAILS_PRIMARY_KEY and STORED/,
    );
    Object.assign(folder.env, salt, key);
    await refused(
      [...rails, "--rails-primary-key", "a key of someone else"],
      2,
      /These keys open none of the first 4 sessions/,
    );
    await refused([...rails, "--rails-hash-digest-class", "MD5"], 2, /must be SHA256 .* or SHA1/);
    await refused(
      [...rails, "--rails-hash-digest-class", "SHA1"],
      2,
      /These keys open none of the first 4 sessions/,
    );
    await refused([...rails, "--user-path", "a.b"], 2, /Use --user-key instead/);
    await refused([...rails, "--fields", "user.name"], 2, /--fields is not an option for stored_session/);
    await refused([...rails, "--lifetime", "1 h"], 2, /--lifetime cannot be used with/);
    await refused([...rails, "--from-table", "a; DROP"], 2, /is not a valid table name/);
    await refused(
      [...rails, "--from-table", "users"],
      1,
      /could not be read: The table .* does not exist.*--from-table/,
    );
    await refused(["stored_session"], 2, /Pass --from, set STORED_SESSION_IMPORT_URL/);
    await refused(["stored_session", "--from", "sqlite:missing.sqlite3"], 1, /There is no file/);
    await refused(
      ["stored_session", "--from", "sqlite:ours.sqlite3"],
      1,
      /is not the table of the stored_session gem/,
    );
    await refused(
      ["connect-session-knex", "--from", "sqlite:x", "--user-key", "id"],
      2,
      /--user-key is an option for/,
    );
    assert.equal((await folder.json("count")).live, 0);
  });
});
