/** `import connect-redis`: sessions out of a real Redis, by the package redis or ioredis. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import * as module from "node:module";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { RedisStore } from "connect-redis";
import { createClient, type RedisClientType } from "redis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from "vitest";
import { freePort } from "../../scripts/services/processes.ts";
import { startRedis } from "../../scripts/services/redis.ts";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { generateKey } from "../../src/index.ts";
import { rowIdOf } from "../../src/session/token.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";
import { Folder, type Answer } from "./command.ts";
import { idIn, logIn, serve } from "./old-application.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
let client: RedisClientType;
beforeAll(async () => {
  redis = await startRedis();
  client = createClient({ url: `redis://127.0.0.1:${redis.port}` });
  await client.connect();
});
afterAll(async () => {
  client?.destroy();
  await redis?.stop();
});

let folder: Folder;
beforeEach(async () => {
  await client.flushAll();
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  folder.env["STORED_SESSION_IMPORT_URL"] = `redis://127.0.0.1:${redis.port}`;
  assert.equal((await folder.run("migrate")).code, 0);
});
afterEach(() => folder.remove());

const args = ["import", "connect-redis"];
const users = ["--user-path", "passport.user"];
const hour = 3_600_000;

/** A session as connect-redis stores it. */
const text = (more: object = {}) =>
  JSON.stringify({ cookie: { originalMaxAge: hour, path: "/", httpOnly: true }, cart: ["tea"], ...more });

const rowOf = async (sid: string) => {
  const store = sqliteStore(folder.file("ours.sqlite3"));
  try {
    return (await store.read([rowIdOf(Buffer.from(sid))]))[0] ?? null;
  } finally {
    await store.close();
  }
};

/** Whether this Node can hide a package from a process: 22.15 and later. */
const hides = "registerHooks" in module;

/** Runs the command where the package redis is not installed. */
function withoutPackages(...names: string[]): Promise<Answer> {
  writeFileSync(
    folder.file("missing.mjs"),
    `import { registerHooks } from "node:module";
     registerHooks({ resolve(name, context, next) {
       if (!${JSON.stringify(names)}.includes(name)) return next(name, context);
       throw Object.assign(new Error("Cannot find package '" + name + "' imported from here"), { code: "ERR_MODULE_NOT_FOUND" });
     } });`,
  );
  folder.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --import=${folder.file("missing.mjs")}`;
  return folder.spawn(...args, ...users, "--json");
}

for (const database of databases.filter(({ name }) => name !== "better-sqlite3")) {
  describe(database.name, () => {
    let created: CreatedStore;
    afterEach(() => created?.drop());

    test("promise 3: an application with connect-redis, imported → the same cookies stay logged in through the drop-in; what ends afterwards stays ended", async () => {
      created = await database.createStore();
      await created.store.migrate();
      const url = database.url ?? `sqlite:${String((created.store as any).database.file)}`;
      const into = ["-d", url, ...(database.url === null ? [] : ["--table", created.table])];
      const cookies = await logIn(new RedisStore({ client }), ["anna", "bert"]);
      const before = [...(await client.keys("*"))].toSorted();

      const tried = await folder.json(...args, ...users, ...into, "--dry-run");
      assert.deepEqual([tried.dryRun, tried.read, tried.imported, tried.withUser], [true, 2, 2, 2]);
      assert.equal((await folder.json("count", ...into)).live, 0);
      const first = await folder.json(...args, ...users, ...into, "--batch-size", "1");
      assert.deepEqual([first.read, first.imported, first.withUser, first.finished], [2, 2, 2, true]);
      assert.deepEqual((await folder.json(...args, ...users, ...into)).skipped.importedBefore, 2);
      assert.deepEqual([...(await client.keys("*"))].toSorted(), before, "Redis is only read");

      const store = new StoredSessionStore({
        store: created.store,
        keys: folder.env["STORED_SESSION_KEYS"]!,
        userOf: (data) => (data["passport"] as { user?: string } | undefined)?.user,
      });
      const app = await serve(store);
      const userOf = async (cookie: string) =>
        ((await (await fetch(app.url, { headers: { cookie } })).json()) as { user: unknown }).user;
      assert.deepEqual(await Promise.all(cookies.map(userOf)), ["anna", "bert"]);
      assert.equal((await store.sessions.forUser("anna").list()).length, 1);
      await store.sessions.forUser("anna").revokeAll();
      assert.equal((await folder.json(...args, ...users, ...into)).imported, 0);
      assert.deepEqual(await Promise.all(cookies.map(userOf)), [null, "bert"]);
      await app.close();

      // Promise 6: nothing of a session can be read in the row.
      const [row] = await created.store.read([rowIdOf(Buffer.from(idIn(cookies[1]!)))]);
      assert.ok(!Buffer.from(row!.data).includes("bert") && !Buffer.from(row!.data).includes("Tee"));
    });
  });
}

test("import connect-redis: keys with and without TTL → they end when Redis, else the cookie, else --lifetime says", async () => {
  const ends = Date.now() + 7_777_000;
  await client.set("sess:with-ttl", text(), { expiration: { type: "PXAT", value: ends } });
  const cookieEnd = new Date(Date.now() + 2 * hour).toISOString();
  await client.set("sess:cookie-ends", text({ cookie: { expires: cookieEnd } }));
  await client.set("sess:cookie-ended", text({ cookie: { expires: new Date(1).toISOString() } }));
  await client.set("sess:no-end", text({ cookie: { originalMaxAge: null, expires: null } }));
  const { read, imported, skipped } = await folder.json(...args, "--lifetime", "3 h");
  assert.deepEqual([read, imported, skipped.ended], [4, 3, 1]);
  assert.equal((await rowOf("with-ttl"))!.expiresAt, ends);
  assert.equal((await rowOf("cookie-ends"))!.expiresAt, Date.parse(cookieEnd));
  const left = (await rowOf("no-end"))!.expiresAt - Date.now();
  assert.ok(left > 2.9 * hour && left <= 3 * hour);

  // Used since, in the old application.
  await client.expire("sess:with-ttl", 9_999);
  const again = await folder.json(...args, "--refresh", "--lifetime", "3 h");
  assert.ok((await rowOf("with-ttl"))!.expiresAt > ends);
  assert.equal(again.skipped.endedSince, 0);
});

test("import connect-redis: Redis before 7, which has no PEXPIRETIME → the end is computed from PTTL", async () => {
  const old = await startRedis("--rename-command", "PEXPIRETIME", "");
  const other = createClient({ url: `redis://127.0.0.1:${old.port}` });
  try {
    await other.connect();
    for (let i = 0; i < 20; i++)
      await other.set(`sess:${i}`, text(), { expiration: { type: "EX", value: 7_200 } });
    await other.set("sess:no-end", text());
    folder.env["STORED_SESSION_IMPORT_URL"] = `redis://127.0.0.1:${old.port}`;
    assert.equal((await folder.json(...args)).imported, 21);
    const left = (await rowOf("7"))!.expiresAt - Date.now();
    assert.ok(left > 7_000_000 && left <= 7_200_000);
  } finally {
    other.destroy();
    await old.stop();
  }
});

test("import connect-redis: keys that are no sessions → skipped, counted and listed with what finds them", async () => {
  await client.set("sess:good", text());
  await client.set("other:good", text());
  await client.set("sess:not-json", "encrypted by a serializer");
  await client.set("sess:number", "42");
  await client.set("sess:configuration", JSON.stringify({ colour: "green" }));
  await client.set("sess:", text());
  await client.set(Buffer.concat([Buffer.from("sess:"), Buffer.from([0xff, 0xfe])]), text());
  await client.hSet("sess:hash-of-something", { a: "b" });
  await client.lPush("sess:list-of-jobs", "a");
  const { read, imported, skipped, examples } = await folder.json(...args, "--left-out", "left.jsonl");
  assert.deepEqual([read, imported, skipped.unreadable], [8, 1, 7]);
  assert.deepEqual(
    examples.map(({ detail }: { detail: string }) => detail).toSorted(),
    [
      "its key holds no session id",
      "its key holds no session id",
      "its value is not a string",
      "its value is not a string",
      "it has no cookie, so it is no session of express-session",
      "not JSON",
      "not an object",
    ].toSorted(),
  );
  const finds = readFileSync(folder.file("left.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { find: string | null }).find);
  const shown = finds.filter((find) => find !== null).toSorted();
  assert.equal(shown.length, 5);
  for (const find of shown) {
    const command = find.replace("redis-cli", `redis-cli -p ${redis.port}`);
    assert.equal(
      execFileSync("sh", ["-c", command], { encoding: "utf8" }).trim().split("\n").length,
      1,
      find,
    );
  }
  assert.equal(await rowOf("hash-of-something"), null);
});

test("import connect-redis --prefix: another prefix, with characters of a pattern → only its keys are read", async () => {
  await client.set("shop[1]*?\\^-x:anna", text());
  await client.set("shop1:bert", text());
  await client.set("sess:cleo", text());
  assert.deepEqual((await folder.json(...args, "--prefix", "shop[1]*?\\^-x:")).read, 1);
  assert.ok((await rowOf("anna")) !== null);
  const all = await folder.json(...args, "--prefix", "", "--dry-run");
  assert.deepEqual([all.read, all.imported], [3, 3]);
});

test("import connect-redis: many keys, a small --batch-size → every session once, and bounded pages", async () => {
  const many = client.multi();
  for (let i = 0; i < 3_000; i++) many.set(`sess:id-${i}`, text({ passport: { user: i } }));
  for (let i = 0; i < 3_000; i++) many.set(`cache:${i}`, "x");
  await many.exec();
  const { imported, withUser, skipped } = await folder.json(...args, ...users, "--batch-size", "50");
  assert.equal(imported, 3_000);
  assert.equal(withUser, 3_000);
  assert.equal(skipped.unreadable, 0);
  assert.equal((await folder.json("count")).live, 3_000);
});

test("import connect-redis: the connection breaks in the middle → says that it can go on, and the next run does", async () => {
  const many = client.multi();
  for (let i = 0; i < 1_000; i++) many.set(`sess:id-${i}`, text());
  await many.exec();
  // A proxy that hangs up after so many bytes from Redis.
  const sockets: Socket[] = [];
  const proxy = createServer((socket) => {
    let passed = 0;
    const server = connect(redis.port, "127.0.0.1");
    sockets.push(socket, server);
    server.on("data", (chunk: Buffer) => {
      passed += chunk.length;
      if (passed > 40_000) socket.destroy();
      else socket.write(chunk);
    });
    socket.on("data", (chunk: Buffer) => void server.write(chunk));
    for (const one of [socket, server]) one.on("error", () => {}).on("close", () => server.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const through = `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const broken = await folder.run(...args, "--from", through, "--batch-size", "20", "--json");
  proxy.close();
  for (const socket of sockets) socket.destroy();
  assert.equal(broken.code, 1);
  assert.match(broken.err, /Redis could not be read: .*run the import again to continue/);
  const sofar = JSON.parse(broken.out);
  assert.ok(!sofar.finished && sofar.imported > 0 && sofar.imported < 1_000);
  assert.equal((await folder.json("count")).live, sofar.imported);
  const rest = await folder.json(...args);
  assert.deepEqual([rest.imported + sofar.imported, rest.skipped.importedBefore], [1_000, sofar.imported]);
});

test("import connect-redis: a user with only the documented rights, password and database number in the URL → imported", async () => {
  await client.sendCommand("ACL SETUSER importer on >p%/@x ~sess:* +scan +get +pexpiretime +pttl".split(" "));
  const other = client.duplicate({ database: 3 });
  await other.connect();
  await other.set("sess:anna", text({ passport: { user: "anna" } }));
  other.destroy();
  await client.sendCommand("ACL SETUSER importer +select".split(" "));
  const url = (password: string, number = "/3") =>
    `redis://importer:${encodeURIComponent(password)}@127.0.0.1:${redis.port}${number}`;
  folder.env["STORED_SESSION_IMPORT_URL"] = url("p%/@x");
  const { imported, withUser } = await folder.json(...args, ...users);
  assert.deepEqual([imported, withUser], [1, 1]);

  folder.env["STORED_SESSION_IMPORT_URL"] = url("wrong-password");
  const wrong = await folder.run(...args);
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /Redis could not be reached: .*WRONGPASS.*Nothing was changed/);
  assert.ok(!wrong.err.includes("wrong-password"));

  await client.sendCommand("ACL SETUSER importer -get".split(" "));
  folder.env["STORED_SESSION_IMPORT_URL"] = url("p%/@x");
  const refused = await folder.run(...args);
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /NOPERM.*needs the commands SCAN, GET, PEXPIRETIME and PTTL on the keys "sess:\*"/,
  );
});

test.runIf(hides)(
  "import connect-redis: rediss:// with a certificate of one's own authority → imported; without trust → a clear error",
  async () => {
    const file = (name: string) => folder.file(name);
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const subject = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const files = ["-keyout", file("key.pem"), "-out", file("cert.pem")];
    execFileSync("openssl", [...request, ...subject, ...files], { stdio: "ignore" });
    const port = await freePort();
    const server = await startRedis(
      "--tls-port",
      String(port),
      "--tls-auth-clients",
      "no",
      "--tls-cert-file",
      file("cert.pem"),
      "--tls-key-file",
      file("key.pem"),
    );
    const plain = createClient({ url: `redis://127.0.0.1:${server.port}` });
    try {
      await plain.connect();
      await plain.set("sess:anna", text({ passport: { user: "anna" } }));
      folder.env["STORED_SESSION_IMPORT_URL"] = `rediss://localhost:${port}`;
      const distrusted = await folder.spawn(...args);
      assert.equal(distrusted.code, 1);
      assert.match(distrusted.err, /Redis could not be reached: self-signed certificate/);
      folder.env["NODE_EXTRA_CA_CERTS"] = file("cert.pem");
      for (const missing of [[], ["redis"]]) {
        const { code, out, err } = await withoutPackages(...missing);
        assert.equal(code, 0, err);
        assert.equal(JSON.parse(out).read, 1);
      }
    } finally {
      plain.destroy();
      await server.stop();
    }
  },
);

test.runIf(hides)(
  "import connect-redis: only ioredis is installed → the same result; neither → says what to install",
  async () => {
    await client.set("sess:anna", text({ passport: { user: "anna" } }));
    await client.hSet("sess:hash-of-something", { a: "b" });
    const through = await withoutPackages("redis");
    assert.equal(through.code, 0, through.err);
    const { imported, withUser, skipped } = JSON.parse(through.out);
    assert.deepEqual([imported, withUser, skipped.unreadable], [1, 1, 1]);

    await client.sendCommand("ACL SETUSER importer on >right ~* +@all".split(" "));
    folder.env["STORED_SESSION_IMPORT_URL"] = `redis://importer:wrong@127.0.0.1:${redis.port}`;
    const wrong = await withoutPackages("redis");
    assert.equal(wrong.code, 1);
    assert.match(wrong.err, /Redis could not be reached: .*WRONGPASS/);

    const neither = await withoutPackages("redis", "ioredis");
    assert.equal(neither.code, 2);
    assert.match(neither.err, /needs the package "redis"\. Run "npm install redis", or install ioredis/);
  },
);

test("import connect-redis: no server, a wrong URL or an option of another library → one sentence, nothing changed", async () => {
  const nobody = await folder.run(...args, "--from", "redis://127.0.0.1:1");
  assert.equal(nobody.code, 1);
  assert.match(nobody.err, /Redis could not be reached: .*ECONNREFUSED.*Nothing was changed\.$/m);
  for (const url of ["postgres://app:secret@db/app", "redis://app:sec/ret@db", "127.0.0.1:6379"]) {
    const { code, err } = await folder.run(...args, "--from", url);
    assert.equal(code, 2);
    assert.match(err, /must be a URL such as redis:\/\/user:password@host:6379\/0/);
    assert.ok(!err.includes("sec"));
  }
  const table = await folder.run(...args, "--from-table", "x");
  assert.deepEqual([table.code, table.err], [2, "Error: --from-table is not an option for connect-redis.\n"]);
  const prefix = await folder.run("import", "connect-pg-simple", "--prefix", "x");
  assert.deepEqual(
    [prefix.code, prefix.err],
    [2, "Error: --prefix is not an option for connect-pg-simple.\n"],
  );
  delete folder.env["STORED_SESSION_IMPORT_URL"];
  const unset = await folder.run(...args);
  assert.match(
    unset.err,
    /The Redis server of connect-redis is not set\. Pass --from or set STORED_SESSION_IMPORT_URL/,
  );

  await client.set("sess:anna", text());
  folder.env["STORED_SESSION_IMPORT_URL"] = `redis://127.0.0.1:${redis.port}`;
  const nobodyFound = await folder.run(...args, "--user-path", "passport.usr");
  assert.equal(nobodyFound.code, 2);
  assert.match(nobodyFound.err, /finds no user in any of the 1 sessions/);
  assert.equal((await folder.json("count")).live, 0);
});
