/** `list` and `revoke` by address and time, and pages of a list. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "vitest";
import { addressRange } from "../../src/cli/filters.ts";
import { generateKey } from "../../src/index.ts";
import type { CreatedStore } from "../servers/databases.ts";
import { databases } from "../servers/databases.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";

const hour = 3_600_000;
let folder: Folder;
let created: CreatedStore;
let time: number;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  time = Date.parse("2099-01-01T00:00Z");
});
afterEach(async () => {
  await created?.drop();
  folder.remove();
});

for (const database of databases.filter(({ name }) => name !== "better-sqlite3")) {
  describe(database.name, () => {
    let where: string[];
    beforeEach(async () => {
      created = await database.createStore();
      await created.store.migrate();
      const url = database.url ?? `sqlite:${String((created.store as any).database.file)}`;
      where = ["-d", url, ...(database.url === null ? [] : ["--table", created.table])];
    });

    /** Sessions of 12 hours before now, one each hour, from these addresses in turn. */
    async function fill(
      addresses: string[],
      keys = folder.env["STORED_SESSION_KEYS"]!,
      app?: string,
    ): Promise<void> {
      time = Date.now() - 12 * hour;
      const sessions = manage(created.store, keys, { clock: () => time, ...(app !== undefined && { app }) });
      for (let i = 0; i < 12; i++, time += hour) {
        const session = await sessions.load(null, { address: addresses[i % addresses.length]! });
        session.data.items = ["tea".repeat(i + 1)];
        await sessions.commit(session);
      }
    }

    test("R44 list and revoke by address: a range → the sessions from there, and no others", async () => {
      await fill(["192.0.2.7", "192.0.2.9", "2001:db8::7", "198.51.100.1"]);
      const ofRange = await folder.json("list", "--address", "192.0.2.0/24", ...where);
      assert.equal(ofRange.sessions.length, 6);
      assert.equal((await folder.json("list", "--address", "192.0.2.7", ...where)).sessions.length, 3);
      const dry = ["revoke", "--address", "2001:db8::/32", "--dry-run", ...where];
      assert.deepEqual(await folder.json(...dry), { wouldRevoke: 3, finished: true });
      assert.equal((await folder.json("count", ...where)).live, 12);
      const unasked = await folder.run("revoke", "--address", "192.0.2.0/24", ...where);
      assert.equal(unasked.code, 2);
      assert.match(unasked.err, /every session that matches.*--yes/);
      const revoke = ["revoke", "--address", "192.0.2.0/24", "--yes", ...where];
      assert.deepEqual(await folder.json(...revoke), { revoked: 6, finished: true });
      const left = (await folder.json("list", ...where)).sessions;
      assert.deepEqual(
        new Set(left.map(({ client }: any) => client.address)),
        new Set(["2001:db8::7", "198.51.100.1"]),
      );
    });

    test("R44 revoke by address or time in a table of two applications → by address ours alone, by time those of both", async () => {
      await fill(["192.0.2.7"]);
      await fill(["192.0.2.7"], undefined, "shop");
      const ours = ["revoke", "--address", "192.0.2.7", "--yes", "--json", "--app", "shop", ...where];
      const { code, out, err } = await folder.run(...ours);
      assert.deepEqual([code, JSON.parse(out)], [1, { revoked: 12, finished: true }]);
      assert.match(err, /The address of 12 sessions could not be read/);
      assert.equal((await folder.json("count", ...where)).live, 12, "those of the other application");
      const since = new Date(Date.now() - 6.5 * hour).toISOString();
      const byTime = ["revoke", "--created-after", since, "--yes", "--app", "shop", ...where];
      assert.deepEqual(await folder.json(...byTime), { revoked: 6, finished: true });
    });

    test("R44 list and revoke by address: a key is missing → what is found is ended, and exit code 1 says that more may be there", async () => {
      await fill(["192.0.2.7"], generateKey());
      await fill(["192.0.2.7", "198.51.100.1"]);
      const { code, out, err } = await folder.run(
        "revoke",
        "--address",
        "192.0.2.7",
        "--yes",
        "--json",
        ...where,
      );
      assert.deepEqual(JSON.parse(out), { revoked: 6, finished: true });
      assert.equal(code, 1);
      assert.match(err, /address of 12 sessions could not be read, so they may be from there too/);
      assert.equal((await folder.run("list", "--address", "192.0.2.7", ...where)).code, 1);
    });

    test("R44 revoke by time: after and before → that range, without keys", async () => {
      await fill(["192.0.2.7"]);
      delete folder.env["STORED_SESSION_KEYS"];
      const at = (hours: number) => new Date(time - hours * hour).toISOString();
      const range = ["--created-after", at(8), "--created-before", at(5)];
      assert.deepEqual(await folder.json("revoke", ...range, "--yes", ...where), {
        revoked: 3,
        finished: true,
      });
      assert.equal((await folder.json("count", ...where)).live, 9);
      const before = ["revoke", "--created-before", at(8), "--yes", ...where];
      assert.deepEqual(await folder.json(...before), { revoked: 4, finished: true });
    });

    test.each([undefined, "created", "used", "ends", "size"])(
      "list --sort %s: pages of 5 → every session once, in order",
      async (sort) => {
        await fill(["192.0.2.7"]);
        const order = sort === undefined ? [] : ["--sort", sort];
        const all: any[] = [];
        let after: string[] = [];
        for (let page = 0; page < 3; page++) {
          const answer = await folder.json("list", "--limit", "5", ...order, ...after, ...where);
          assert.equal(answer.more, page < 2);
          assert.equal(answer.next === null, page === 2);
          all.push(...answer.sessions);
          after = ["--after", answer.next];
        }
        assert.equal(new Set(all.map(({ handle }) => handle)).size, 12);
        const whole = await folder.json("list", ...order, ...where);
        assert.deepEqual(all, whole.sessions);
        const value = { created: "createdAt", used: "updatedAt", ends: "expiresAt", size: "bytes" }[sort!];
        const values = all.map((session) => (value === undefined ? session.handle : session[value]));
        if (value !== undefined) {
          const ordered = values.toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0));
          assert.deepEqual(values, ordered);
        }
        const text = await folder.run("list", "--limit", "5", ...order, ...where);
        assert.match(text.out, /There are more\. Add --after \S+\n$/);
      },
    );
  });
}

test("list --after of another order, and filters beside a handle → refused", async () => {
  created = await databases[0]!.createStore();
  const store = created.store;
  await store.migrate();
  await visit(manage(store, folder.env["STORED_SESSION_KEYS"]!));
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  await folder.run("migrate");
  const handle = "a".repeat(43);
  for (const [args, message] of [
    [["list", "--after", handle, "--sort", "size"], /belongs to a list in another order/],
    [["list", "--after", "page 2"], /the value that "list" printed at the end of the previous page/],
    [["revoke", handle, "--address", "192.0.2.7"], /Choose what to revoke/],
    [["revoke", "--all", "--created-before", "2026-11-23"], /Choose what to revoke/],
    [["revoke", "--user", "42", "--dry-run"], /--dry-run requires/],
    [["list", "--address", "192.0.2.0/99"], /prefix length from 0 to 32/],
    [["list", "--address", ""], /Use an address or a range/],
    [["list", "--created-after", "yesterday"], /which counts as its start in UTC/],
  ] as const) {
    const { code, err } = await folder.run(...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, message);
  }
});

test("addresses: ranges of both families → matched; other text → refused", () => {
  for (const [range, address, expected] of [
    ["192.0.2.0/24", "192.0.2.255", true],
    ["192.0.2.0/24", "192.0.3.0", false],
    ["192.0.2.0/24", "2001:db8::1", false],
    ["2001:db8::/32", "2001:db8:1::1", true],
    ["2001:db8::1", "2001:0db8:0::1", true],
    ["192.0.2.1", "unknown", false],
    ["unknown", "unknown", true],
  ] as const)
    assert.equal(addressRange(range).matches(address), expected, `${range} ${address}`);
});
