/** `audit: { retention, archive }`: the expiry job prunes the trail. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fileArchive } from "../../src/audit/index.ts";
import { createSessionManager, expireSessionsJob, generateKey, memoryStore } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { migrate } from "../../src/store/migrate.ts";
import { Folder } from "../cli/command.ts";
import { databases } from "../servers/databases.ts";
import type { AuditOptions } from "../../src/audit/options.ts";
import type { SessionManager } from "../../src/manager.ts";
import { chainOf, numberOf, positionOf, type AuditRow, type AuditStore } from "../../src/store/audit.ts";
import type { SessionStore } from "../../src/store/contract.ts";

const day = 86_400_000;
const keys = generateKey();
let scratch: string;
let now: number;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "stored-session-retention-"));
  now = Date.UTC(2026, 10, 30, 12);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(scratch, { recursive: true, force: true });
});

function manage(store: SessionStore, audit: AuditOptions): SessionManager {
  return createSessionManager({ store, keys, audit, clock: () => now });
}

async function login(sessions: SessionManager, user: string): Promise<void> {
  const session = await sessions.load(null);
  session.login(user);
  await sessions.commit(session);
}

async function usersOf(sessions: SessionManager): Promise<(string | null)[]> {
  const users = [];
  for await (const { user } of sessions.audit.list({ types: ["login"] })) users.push(user);
  return users;
}

describe.each([
  {
    name: "memory",
    createStore: async () => {
      const store = memoryStore();
      return { store, another: () => store, async [Symbol.asyncDispose]() {} };
    },
  },
  ...databases,
])("retention of the audit trail on $name", (database) => {
  test("expiry job: segments past their retention → archived, then deleted, with a signed record, beside a process that signs", async () => {
    await using created = await database.createStore();
    await migrate(created.store);
    const signer = manage(created.another(), {});
    await login(signer, "ann");
    now += 2 * day;
    await login(signer, "bob");
    now += 27 * day;
    await login(signer, "cid");
    assert.notEqual(await signer.audit.checkpoint(), null, "holds the lease of those that sign");

    const sessions = manage(created.store, {
      retention: "30 days",
      archive: fileArchive(join(scratch, "archive")),
    });
    await expireSessionsJob(sessions);
    expect(await usersOf(sessions), "29 days: nothing is due").toEqual(["ann", "bob", "cid"]);
    now += 2 * day + 1;
    await expireSessionsJob(sessions);
    expect(await usersOf(sessions)).toEqual(["bob", "cid"]);
    const files = readdirSync(join(scratch, "archive"));
    expect(files).toEqual([expect.stringMatching(/^audit-[\w-]{32}\.ndjson$/)]);
    const path = join(scratch, "archive", files[0]!);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const lines = readFileSync(path, "utf8").trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).number)).toEqual([1, 2, 3]);

    now += 2 * day;
    await sessions.expire();
    expect(await usersOf(sessions)).toEqual(["cid"]);
    await login(signer, "dan");
    await signer.audit.checkpoint();
    expect(await sessions.audit.verify()).toMatchObject({ ok: true, problems: [] });
    expect(await signer.audit.verify()).toMatchObject({ ok: true, problems: [] });
    const pruned = [];
    for await (const { count } of sessions.audit.list({ types: ["trail.pruned"] })) pruned.push(count);
    expect(pruned).toEqual([1, 1]);
    await signer.close();
  });

  test("two processes prune at once → each segment is archived and counted once", async () => {
    await using created = await database.createStore();
    await migrate(created.store);
    const first = manage(created.store, { retention: "30 days" });
    await login(first, "ann");
    await first.audit.checkpoint();
    now += 40 * day;
    let archived = 0;
    const archive = async (_: string, lines: AsyncIterable<string>) => {
      for await (const line of lines) void line;
      archived++;
    };
    const second = manage(created.another(), { retention: "30 days" });
    const results = await Promise.allSettled([
      first.audit.prune({ archive }),
      second.audit.prune({ archive }),
    ]);
    const done = results.flatMap((result) => (result.status === "fulfilled" ? result.value.segments : []));
    expect(done.reduce((sum, segments) => sum + segments, 0)).toBe(1);
    expect(archived).toBe(1);
    const days = await first.audit.days();
    expect(days.filter(({ type }) => type === "login").map(({ count }) => count)).toEqual([1]);
    expect(await first.audit.verify()).toMatchObject({ ok: true });
  });
});

test("retention: the archive fails → nothing is deleted, a warning says why, expiry is done, and the next run retries", async () => {
  const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  let isFull = true;
  const archive = async () => {
    if (isFull) throw new Error("ENOSPC: no space left");
  };
  const sessions = manage(memoryStore(), { retention: "30 days", archive });
  await login(sessions, "ann");
  now += 40 * day;
  expect(await sessions.expire()).toBe(1);
  expect(await usersOf(sessions)).toEqual(["ann"]);
  expect(warn.mock.calls.map(([message, options]) => [message, options])).toContainEqual([
    expect.stringMatching(/not pruned; a later run of the expiry job retries\. Cause: ENOSPC/),
    { code: "STORED_SESSION_AUDIT_NOT_PRUNED" },
  ]);
  isFull = false;
  await sessions.expire();
  expect(await usersOf(sessions), "at most once an hour").toEqual(["ann"]);
  now += 3_600_000;
  await sessions.expire();
  expect(await usersOf(sessions)).toEqual([]);
  expect(await sessions.audit.verify()).toMatchObject({ ok: true });
});

test("R49, retention: an event was changed after it was signed → its segment stays as evidence, the others go", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const store = memoryStore();
  const archived: string[] = [];
  const sessions = manage(store, {
    retention: "30 days",
    archive: async (segment, lines) => {
      for await (const _ of lines);
      archived.push(segment);
    },
  });
  for (const user of ["ann", "bob", "cid"]) {
    await login(sessions, user);
    await sessions.audit.checkpoint();
    now += 2 * day;
  }
  const audit = store.audit!;
  const [, signed] = await audit.find({ events: [2], limit: 10 });
  await edit(audit, signed!);
  now += 40 * day;
  await login(sessions, "dan");
  expect(await sessions.audit.prune()).toMatchObject({ segments: 2 });
  expect(archived).toHaveLength(2);
  const { problems } = await sessions.audit.verify();
  expect(problems.map(({ kind }) => kind)).toEqual(["edited"]);
  expect(warned.mock.calls.map(([, options]) => options)).toContainEqual({
    code: "STORED_SESSION_AUDIT_DAMAGED",
  });

  /** Edits an event, by putting its chain back with another outcome. */
  async function edit(trail: AuditStore, event: AuditRow): Promise<void> {
    const chain = chainOf(event.position);
    const rows = await trail.events(positionOf(chain, 0), positionOf(chain, 100), 100);
    const [key] = await trail.subjects([chain.slice(0, 16)]);
    await trail.deleteChain(chain, 100);
    await trail.addSubjects([key!]);
    const edited = rows.map((row) =>
      numberOf(row.position) === numberOf(event.position) ? { ...row, outcome: 1 } : row,
    );
    await trail.commit([], () => edited);
  }
});

test("retention: shorter than a segment can last → refused at start-up", () => {
  expect(() => manage(memoryStore(), { retention: "2 days" })).toThrow(/`audit`: `retention`/);
});

test("stored-session expire: a configuration with `retention` → prunes the trail as well", async () => {
  const folder = new Folder();
  try {
    const index = new URL("../../src/index.ts", import.meta.url).pathname;
    const sqlite = new URL("../../src/sql/sqlite/store.ts", import.meta.url).pathname;
    folder.env["STORED_SESSION_KEYS"] = keys;
    const store = sqliteStore(folder.file("sessions.sqlite3"));
    await migrate(store);
    now = Date.now() - 40 * day;
    const sessions = manage(store, {});
    await login(sessions, "ann");
    await sessions.close();
    writeFileSync(
      folder.file("stored-session.config.ts"),
      `import { createSessionManager } from ${JSON.stringify(index)};
import { sqliteStore } from ${JSON.stringify(sqlite)};
export default createSessionManager({ store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS!, audit: { retention: "30 days" } });
`,
    );
    const { code, err, out } = await folder.run("expire");
    expect([code, out], err).toEqual([0, "Deleted 1 session.\n"]);
    now = Date.now();
    const after = manage(sqliteStore(folder.file("sessions.sqlite3")), {});
    expect(await usersOf(after)).toEqual([]);
    expect(await after.audit.verify()).toMatchObject({ ok: true });
    await after.close();
  } finally {
    folder.remove();
  }
});
