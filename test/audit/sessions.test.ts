import { describe, expect, test } from "vitest";
import { createSessionManager } from "../../src/manager.ts";
import { migrate } from "../../src/store/migrate.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { generateKey } from "../../src/sealing/keyring.ts";
import { databases } from "../servers/databases.ts";
import type { AuditEvent } from "../../src/audit/events.ts";
import type { AuditOptions } from "../../src/audit/options.ts";
import type { SessionManager } from "../../src/manager.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import type { SessionStore } from "../../src/store/contract.ts";

const stores: { name: string; open(): Promise<{ store: SessionStore } & AsyncDisposable> }[] = [
  {
    name: "memory",
    open: async () => ({ store: memoryStore(), async [Symbol.asyncDispose]() {} }),
  },
  ...databases.map((database) => ({
    name: database.name,
    open: async () => {
      const created = await database.createStore();
      await migrate(created.store);
      return created;
    },
  })),
];

const client = { address: "203.0.113.9", userAgent: "Mozilla/5.0 (iPhone; Mobile)" };

interface Opened {
  readonly sessions: SessionManager;
  readonly time: { now: number };
}

function open(
  store: SessionStore,
  audit: AuditOptions | true = true,
  options: Partial<SessionManagerOptions> = {},
): Opened {
  const time = { now: Date.UTC(2026, 10, 30, 12) };
  const sessions = createSessionManager({
    store,
    keys: generateKey(),
    audit,
    idleTimeout: "1 h",
    absoluteTimeout: "8 h",
    cookie: { secure: false },
    clock: () => time.now,
    ...options,
  });
  return { sessions, time };
}

async function visit(sessions: SessionManager, cookie?: string): Promise<ReturnType<typeof sessions.load>> {
  return sessions.load(cookie, client);
}

const cookieOf = (setCookie: string | null): string => setCookie!.split(";")[0]!;

async function all(sessions: SessionManager): Promise<AuditEvent[]> {
  const events = [];
  for await (const event of sessions.audit.list()) events.push(event);
  return events;
}

const short = ({ type, user, outcome }: AuditEvent): string =>
  `${type}${user === null ? "" : ` of ${user}`}${outcome === "success" ? "" : `: ${outcome}`}`;

describe.each(stores)("audit trail of sessions on $name", ({ open: openStore }) => {
  test("R48, maxSessions: 64 logins of one user and 16 of others at once, in batches → exactly 3 are live, and each eviction names the login that caused it", async () => {
    await using created = await openStore();
    const maxSessions = { count: 3, onLimit: "endOldest" } as const;
    const { sessions } = open(created.store, true, { maxSessions });
    const login = async (user: string): Promise<string> => {
      const session = await visit(sessions);
      session.login(user, { method: "password" });
      await sessions.commit(session);
      return session.handle;
    };
    const users = Array.from({ length: 80 }, (_, nth) => (nth % 5 === 4 ? `other ${nth}` : "ann"));
    const handles = await Promise.all(users.map((user) => login(user)));
    const live = await sessions.forUser("ann").list();
    expect(live).toHaveLength(3);
    const events = await all(sessions);
    const evicted = events.filter(({ type }) => type === "session.evicted");
    expect(evicted).toHaveLength(61);
    expect(new Set(evicted.map(({ session }) => session)).size).toBe(61);
    const logins = events.filter(({ type, user }) => type === "login" && user === "ann");
    expect(logins.map(({ session }) => session).toSorted()).toEqual(
      handles.filter((_, nth) => users[nth] === "ann").toSorted(),
    );
    for (const event of evicted) {
      expect(event).toMatchObject({ ...client, user: "ann", outcome: "success", reason: "maxSessions" });
      expect(handles).toContain(event.details!["login"]);
      const cause = logins.findIndex(({ session }) => session === event.details!["login"]);
      const began = logins.findIndex(({ session }) => session === event.session);
      expect(cause, "ended by a later login").toBeGreaterThan(began);
    }
    expect(await sessions.audit.verify()).toMatchObject({ ok: true });
    await sessions.close();
  });

  test("R48, maxSessions: a login is refused → a denied login.failed, and no login", async () => {
    await using created = await openStore();
    const maxSessions = { count: 1, onLimit: "refuse" } as const;
    const { sessions } = open(created.store, true, { maxSessions });
    for (const isRefused of [false, true]) {
      const session = await visit(sessions);
      session.login("ann", { method: "password" });
      const outcome = sessions.commit(session);
      if (isRefused) await expect(outcome).rejects.toMatchObject({ status: 409 });
      else await outcome;
    }
    const events = await all(sessions);
    expect(events.map(short)).toEqual([
      "trail.started",
      "session.created of ann",
      "login of ann",
      "login.failed of ann: denied",
    ]);
    expect(events[3]).toMatchObject({ ...client, reason: "maxSessions", method: "password" });
    expect(await sessions.audit.verify()).toMatchObject({ ok: true });
    await sessions.close();
  });

  test("R48, maxSessions: mode lax → the same events, behind the logins", async () => {
    await using created = await openStore();
    const { sessions } = open(
      created.store,
      { mode: "lax" },
      { maxSessions: { count: 1, onLimit: "endOldest" } },
    );
    for (let nth = 0; nth < 2; nth++) {
      const session = await visit(sessions);
      session.login("ann");
      await sessions.commit(session);
    }
    await expect
      .poll(async () => (await all(sessions)).map(short).slice(1))
      .toEqual([
        "session.created of ann",
        "login of ann",
        "session.created of ann",
        "login of ann",
        "session.evicted of ann",
      ]);
    await sessions.close();
  });

  test("R48: the life of sessions → one event for each beginning, change of id and end, chained and signed", async () => {
    await using created = await openStore();
    const { sessions, time } = open(created.store);
    const session = await visit(sessions);
    session.data = { cart: 1 };
    let cookie = cookieOf(await sessions.commit(session));
    const before = await all(sessions);
    expect(before.map(short)).toEqual(["trail.started", "session.created"]);

    const reading = await visit(sessions, cookie);
    expect(reading.data).toEqual({ cart: 1 });
    await sessions.commit(reading);
    const saving = await visit(sessions, cookie);
    saving.data = { cart: 2 };
    await sessions.commit(saving);
    expect(await all(sessions), "reads and saves add nothing").toEqual(before);

    time.now += 1_000;
    const login = await visit(sessions, cookie);
    login.login("ann", { method: "passkey", level: "aal2", factors: ["passkey"] });
    cookie = cookieOf(await sessions.commit(login));
    const rotate = await visit(sessions, cookie);
    rotate.regenerate();
    cookie = cookieOf(await sessions.commit(rotate));
    await sessions.audit.record("login.failed", {
      identifier: "bob@example.org",
      reason: "no such user",
      client,
    });
    const other = await visit(sessions);
    other.login("ann");
    await sessions.commit(other);
    await sessions.forUser("ann").revoke(other.handle, { by: "admin 7", reason: "lost phone" });
    const out = await visit(sessions, cookie);
    out.destroy();
    await sessions.commit(out);
    const idle = await visit(sessions);
    idle.login("cid");
    await sessions.commit(idle);
    time.now += 3_600_000;
    expect(await sessions.expire()).toBe(1);

    const events = await all(sessions);
    expect(events.slice(2).map(short)).toEqual([
      "login of ann",
      "session.rotated of ann",
      "login.failed: failure",
      "session.created of ann",
      "login of ann",
      "session.revoked of ann",
      "logout of ann",
      "session.created of cid",
      "login of cid",
      "session.expired.idle of cid",
    ]);
    expect(events[2]).toMatchObject({ ...client, method: "passkey", level: "aal2", device: "mobile" });
    expect(events[4]).toMatchObject({ identifier: "bob@example.org", reason: "no such user" });
    expect(events[7]).toMatchObject({ actor: "admin 7", reason: "lost phone", session: other.handle });
    const history = await sessions.forUser("ann").history({ limit: 2 });
    expect(history.map(short)).toEqual(["logout of ann", "session.revoked of ann"]);
    const ofSession = [];
    for await (const event of sessions.audit.list({ session: other.handle })) ofSession.push(short(event));
    expect(ofSession).toEqual(["session.created of ann", "login of ann", "session.revoked of ann"]);

    expect(await sessions.audit.verify()).toMatchObject({
      ok: true,
      events: events.length,
      provenUntil: null,
    });
    await sessions.audit.checkpoint();
    expect(await sessions.audit.verify()).toMatchObject({
      ok: true,
      uncovered: 0,
      provenUntil: new Date(time.now),
    });
    await sessions.close();
  });

  test("erasure: a user's key is destroyed → their content is gone, and the chains are valid", async () => {
    await using created = await openStore();
    const { sessions } = open(created.store);
    for (const user of ["ann", "bob"]) {
      const session = await visit(sessions);
      session.login(user, { method: "password" });
      await sessions.commit(session);
    }
    expect(await sessions.audit.erase("ann", { by: "admin 7" })).toBe(1);
    const events = await all(sessions);
    const logins = events.filter(({ type }) => type === "login");
    expect(logins[0]).toMatchObject({ user: null, unreadable: "erased" });
    expect(logins[0]).not.toHaveProperty("address");
    expect(logins[1]).toMatchObject({ user: "bob", method: "password", unreadable: null });
    expect(events.at(-1)).toMatchObject({ type: "trail.erased", actor: "admin 7" });
    expect(await sessions.forUser("ann").history()).toEqual([]);
    expect(await sessions.audit.verify()).toMatchObject({ ok: true });
    await sessions.close();
  });

  test("retention: whole segments are archived and deleted → a signed record remains, counts survive, nothing is missing", async () => {
    await using created = await openStore();
    const { sessions, time } = open(created.store, { retention: "10 days" });
    const login = async (user: string): Promise<void> => {
      const session = await visit(sessions);
      session.login(user);
      await sessions.commit(session);
    };
    for (let day = 0; day < 5; day++) {
      await login("ann");
      await sessions.audit.checkpoint();
      time.now += 2 * 86_400_000;
    }
    const days = await sessions.audit.days();
    expect(days.filter(({ type }) => type === "login").map(({ count }) => count)).toEqual([1, 1, 1, 1, 1]);
    time.now += 5 * 86_400_000;
    const archived: string[] = [];
    const result = await sessions.audit.prune({
      archive: async (segment, lines) => {
        for await (const line of lines) archived.push(`${segment} ${line}`);
      },
    });
    expect(result).toMatchObject({ segments: 3, events: 9 });
    expect(result.checkpoints).toBeGreaterThan(0);
    expect(archived).toHaveLength(9);
    await login("bob");
    await sessions.audit.checkpoint();
    expect(await sessions.audit.verify()).toMatchObject({ ok: true, problems: [] });
    const left = await all(sessions);
    expect(left.filter(({ type }) => type === "login")).toHaveLength(3);
    expect(left.map(({ type }) => type)).toContain("trail.pruned");
    const after = await sessions.audit.days();
    expect(after.filter(({ type }) => type === "login").map(({ count }) => count)).toEqual([
      1, 1, 1, 1, 1, 1,
    ]);
    expect(await sessions.audit.prune(), "nothing more is due").toMatchObject({ segments: 0 });
    await sessions.close();
  });

  test('"lax": events are written behind the changes → those that do not fit are counted', async () => {
    await using created = await openStore();
    const { sessions } = open(created.store, { mode: "lax", maxQueue: 2 });
    for (let at = 0; at < 6; at++) await sessions.audit.record("login.failed");
    const counted = async (): Promise<number[]> => {
      const events = await all(sessions);
      const of = (type: string): number =>
        events.filter((event) => event.type === type).reduce((sum, { count }) => sum + count, 0);
      return [of("login.failed"), of("trail.lost")];
    };
    await expect.poll(counted).toEqual([2, 4]);
    const session = await visit(sessions);
    session.login("ann");
    await sessions.commit(session);
    await expect.poll(async () => (await all(sessions)).map(short)).toContain("login of ann");
    expect(await sessions.audit.verify()).toMatchObject({ ok: true });
    await sessions.close();
  });
});

test("off: without `audit` → no event, and its methods say how to turn it on", async () => {
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey() });
  expect(sessions.audit.isOn).toBe(false);
  await expect(sessions.audit.record("login.failed")).rejects.toThrow(/Set `audit: true`/);
});

test("a store without a trail → `audit` is refused at start-up", () => {
  const { audit: _, ...rest } = Object.fromEntries(
    ["lanes", "read", "insert", "update", "replace", "touch", "delete", "audit"].map((name) => [
      name,
      () => {},
    ]),
  );
  expect(() => createSessionManager({ store: rest as never, keys: generateKey(), audit: true })).toThrow(
    /`audit` requires a store with an audit trail/,
  );
  expect(() =>
    createSessionManager({ store: memoryStore(), keys: generateKey(), audit: { mode: "loose" as never } }),
  ).toThrow(/`audit`: `mode` is "loose": use "strict" or "lax"/);
});

test("promise 9: key rotation and reseal → events stay readable and verifiable as far as keys allow, and the change is recorded", async () => {
  const store = memoryStore();
  const [older, newer] = [generateKey(), generateKey()];
  const manage = (keys: string): SessionManager => createSessionManager({ store, keys, audit: true });
  const login = async (sessions: SessionManager, user: string): Promise<void> => {
    const session = await visit(sessions);
    session.login(user, { method: "password" });
    await sessions.commit(session);
  };
  const first = manage(older);
  await login(first, "ann");
  await first.audit.checkpoint();
  const second = manage(`${newer},${older}`);
  await login(second, "ann");
  expect((await all(second)).map(short)).toContain("key.added");
  await second.reseal();
  await second.audit.checkpoint();
  const third = manage(newer);
  await login(third, "ann");
  const events = await all(third);
  expect(events.map(short)).toContain("key.retired");
  expect(events.filter(({ type }) => type === "login").map(({ user, method }) => [user, method])).toEqual([
    ["ann", "password"],
    ["ann", "password"],
    ["ann", "password"],
  ]);
  expect(await third.forUser("ann").history()).toHaveLength(6);
  const { problems } = await third.audit.verify();
  expect(
    problems.map(({ kind }) => kind),
    "its public key has to be kept",
  ).toEqual(["checkpoint unknown key"]);
});

test("refusals: a flood of forged cookies → one event for each reason and checkpoint, with its count", async () => {
  const { sessions } = open(memoryStore());
  for (let at = 0; at < 1_000; at++) await visit(sessions, `session=AQ${"A".repeat(62)}`);
  await visit(sessions, "session=short");
  expect(await all(sessions)).toEqual([]);
  await sessions.audit.checkpoint();
  const events = (await all(sessions)).filter(({ type }) => type === "refusal");
  expect(events.map(({ reason, count, outcome }) => [reason, count, outcome])).toEqual([
    ["cookie unknown_key", 1_000, "denied"],
    ["cookie malformed", 1, "denied"],
  ]);
  await sessions.close();
});
