import mysql from "mysql2";
import mysqlPromise from "mysql2/promise";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { inspect } from "node:util";
import { OptionsError } from "../errors.ts";
import { railsStore } from "../rails/open-store.ts";
import { mysqlStore } from "./mysql/store.ts";
import { postgresStore } from "./postgres/store.ts";

const stores = [
  ["postgresStore", "postgres", postgresStore],
  ["mysqlStore", "mysql", mysqlStore],
] as const;

/** Everything that a log line of this error could show. */
function shown(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(OptionsError);
    return inspect(error, { depth: 10, showHidden: true }) + JSON.stringify(error);
  }
  throw new Error("Nothing was refused.");
}

describe.each(stores)("%s", (name, scheme, open) => {
  test.each([
    [`${scheme}://app:hun/ter2@db.example/app`],
    [`${scheme}://app:12/hunter2@db.example/app`],
    [`${scheme}://app:12#hunter2@db.example/app`],
    [`${scheme}://app:12?hunter2@db.example/app`],
    [`${scheme}://app:hunter2@db.example:notaport/app`],
    [`${scheme}://app:hunter2@db.example:99999/app`],
  ])("a URL that cannot be read (case %#) → an OptionsError at start-up without the password", (url) => {
    const text = shown(() => open(url));
    expect(text).toContain(`the URL given to ${name}`);
    expect(text).toContain("%2F");
    for (const secret of ["hunter2", "hun/", "ter2", "db.example"]) expect(text).not.toContain(secret);
  });

  test("another scheme → an OptionsError that names the one to use", () => {
    expect(shown(() => open("redis://app:hunter2@db/app"))).toMatch(
      new RegExp(`must start with "${scheme}://"`),
    );
    expect(shown(() => open("redis://app:hunter2@db/app"))).not.toContain("hunter2");
  });

  test.each([
    [`${scheme}://localhost/app`],
    [`${scheme}://app:p%2Fw%40%23@db.example:5432/app?connect_timeout=5`],
    [`${scheme}://app@[::1]:5432/app`],
    [`${scheme}://app:pass%20word@10.0.0.1/app_db`],
  ])("a URL that can be read (%s) → a store", async (url) => {
    await open(url).close();
  });
});

test("mysqlStore: a percent sign that begins no code → an OptionsError at start-up without the password", () => {
  const text = shown(() => mysqlStore("mysql://app:hunter2%@db.example/app"));
  expect(text).toMatch(/%25/);
  expect(text).not.toContain("hunter2");
});

test("mysqlStore: parameters that mysql2 refuses → an OptionsError without cause or password, no outage", async () => {
  const store = mysqlStore("mysql://app:hunter2@127.0.0.1:9/app?ssl=hunter2");
  const error: unknown = await store.count(0).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(OptionsError);
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("hunter2");
  expect((error as Error).message).toMatch(/Unknown SSL profile/);
  await store.close();
});

test.each([
  "postgres:///app?host=/var/run/postgresql",
  "postgres://app:pw@/app?host=/tmp",
  "postgres://app:pw@%2Fvar%2Frun%2Fpostgresql/app",
  "postgres://db.example/app?user=me@server",
  "postgresql://app:50%off@db.example/app",
])("postgresStore: a URL that node-postgres reads (%s) → a store", async (url) => {
  await postgresStore(url).close();
});

describe("what is no pool", () => {
  const config = { host: "127.0.0.1", port: 9, user: "app", password: "hunter2" };
  const client = new pg.Client(config);
  const connection = mysql.createConnection({ ...config, connectTimeout: 100 });
  connection.on("error", () => {});
  afterAll(() => connection.destroy());

  test.each([
    [
      "a pg.Client",
      () => postgresStore(client as never),
      /postgresStore was given a pg\.Client.*new pg\.Pool/,
    ],
    [
      "a mysql2 connection",
      () => mysqlStore(connection as never),
      /mysqlStore was given a single connection/,
    ],
    [
      "its promise face",
      () => mysqlStore(connection.promise() as never),
      /mysqlStore was given a single connection/,
    ],
    [
      "an old mysql pool",
      () => mysqlStore({ getConnection(_answer: unknown) {} } as never),
      /with a callback API/,
    ],
    ["a pg.Client for Rails", () => railsStore(client as never), /postgresStore was given a pg\.Client/],
    [
      "a connection for Rails",
      () => railsStore(connection as never),
      /mysqlStore was given a single connection/,
    ],
    ["nothing", () => postgresStore(undefined as never), /requires a URL or a pg pool/],
    ["nothing", () => mysqlStore(null as never), /requires a URL or a mysql2 pool/],
  ])("%s passed in its place → an OptionsError of its own", (_, open, message) => {
    const text = shown(open);
    expect(text).toMatch(message);
    expect(text).not.toContain("hunter2");
  });

  test("pools of pg and of both faces of mysql2 → a store", async () => {
    const pools = [mysql.createPool(config), mysqlPromise.createPool(config)];
    for (const pool of pools) await mysqlStore(pool as never).close();
    await postgresStore(new pg.Pool(config)).close();
    for (const pool of pools) void pool.end();
  });
});
