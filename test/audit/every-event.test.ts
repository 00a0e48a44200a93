/** Each type of event, made by the public API or the command line. One without an entry here does not compile. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "vitest";
import {
  createSessionManager,
  generateKey,
  type SessionManager,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { answerDevice } from "../../src/device-binding/endpoint.ts";
import { recordsOf } from "../../src/manager.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";
import { Folder } from "../cli/command.ts";
import type { AuditEvent, AuditEventType } from "../../src/audit/events.ts";
import type { AuditOptions } from "../../src/audit/options.ts";
import { stateOf, type Session } from "../../src/session/session.ts";

const keys = generateKey();
const device = new SoftwareDevice();
const { crv, kty, x, y } = device.jwk;
/** RFC 7638 */
const thumbprint = createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
const day = 86_400_000;
let folder: Folder;
let time: number;
beforeEach(() => {
  time = Date.now();
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = keys;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
});
afterEach(() => folder.remove());

function open(
  audit: AuditOptions = {},
  ring = keys,
  options: Pick<SessionManagerOptions, "maxSessions" | "deviceBinding" | "cookie"> = {},
): SessionManager {
  return createSessionManager({
    store: sqliteStore(folder.file("sessions.sqlite3")),
    keys: ring,
    audit,
    idleTimeout: "1 h",
    absoluteTimeout: "8 h",
    cookie: { secure: false },
    clock: () => time,
    ...options,
  });
}

async function run(...args: string[]): Promise<void> {
  const { code, err } = await folder.run(...args);
  assert.equal(code, 0, err);
}

async function began(sessions: SessionManager, user?: string): Promise<{ handle: string; cookie: string }> {
  const session = await sessions.load(null, { address: "203.0.113.9" });
  if (user === undefined) (session.data as Record<string, unknown>)["cart"] = 1;
  else session.login(user, { method: "password" });
  const cookie = (await sessions.commit(session))!.split(";")[0]!;
  return { handle: session.handle, cookie };
}

/** The next request of a session. */
async function next(
  sessions: SessionManager,
  { cookie }: { cookie: string },
  change: (session: Session<never>) => void,
): Promise<void> {
  const session = await sessions.load(cookie);
  change(session as Session<never>);
  await sessions.commit(session);
}

/** Sessions of another library, for an import. */
function anotherLibrary(): void {
  const database = new DatabaseSync(folder.file("old.sqlite3"));
  database.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess JSON NOT NULL, expire TEXT NOT NULL)");
  const add = database.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
  const end = new Date(Date.now() + 3_600_000).toISOString();
  for (const sid of ["one", "two"]) add.run(sid, JSON.stringify({ cookie: {}, user: sid }), end);
  database.close();
}

interface Maker {
  readonly audit?: AuditOptions;
  readonly options?: Pick<SessionManagerOptions, "maxSessions" | "deviceBinding" | "cookie">;
  readonly expected: Partial<AuditEvent>;
  make(sessions: SessionManager): Promise<void>;
}

/** Nothing makes it yet. */
type Reserved = "client.changed";

const makers: Readonly<Record<Exclude<AuditEventType, Reserved>, Maker>> = {
  "session.created": {
    expected: { user: null, address: "203.0.113.9" },
    make: async (sessions) => void (await began(sessions)),
  },
  login: {
    expected: { user: "ann", method: "password" },
    make: async (sessions) => void (await began(sessions, "ann")),
  },
  "login.failed": {
    expected: { outcome: "failure", identifier: "ann@example.org", reason: "wrong password" },
    make: (sessions) =>
      sessions.audit.record("login.failed", { identifier: "ann@example.org", reason: "wrong password" }),
  },
  elevation: {
    expected: { user: "ann", level: "aal2", method: "passkey" },
    make: async (sessions) =>
      next(sessions, await began(sessions, "ann"), (session) =>
        session.elevate({ level: "aal2", method: "passkey" }),
      ),
  },
  "session.rotated": {
    expected: { user: "ann" },
    make: async (sessions) => next(sessions, await began(sessions, "ann"), (session) => session.regenerate()),
  },
  logout: {
    expected: { user: "ann" },
    make: async (sessions) => next(sessions, await began(sessions, "ann"), (session) => session.destroy()),
  },
  "session.destroyed": {
    expected: { user: null },
    make: async (sessions) => next(sessions, await began(sessions), (session) => session.destroy()),
  },
  "session.revoked": {
    expected: { user: "ann", actor: "admin 7", reason: "lost phone" },
    make: async (sessions) => {
      const { handle } = await began(sessions, "ann");
      await sessions.forUser("ann").revoke(handle, { by: "admin 7", reason: "lost phone" });
    },
  },
  "session.expired.idle": {
    expected: { user: "ann" },
    make: async (sessions) => {
      await began(sessions, "ann");
      time += 2 * 3_600_000;
      await sessions.expire();
    },
  },
  "session.expired.absolute": {
    expected: { user: "ann" },
    make: async (sessions) => {
      const visit = await began(sessions, "ann");
      for (let hour = 0; hour < 15; hour++) {
        time += 30 * 60_000;
        await next(
          sessions,
          visit,
          (session) => ((session as unknown as Session<any>).data["visits"] = hour),
        );
      }
      time += 60 * 60_000;
      await sessions.expire();
    },
  },
  "session.bound": {
    options: { deviceBinding: { mode: "offer" }, cookie: {} },
    expected: { user: "ann", userAgent: "Chrome", details: { thumbprint } },
    async make(sessions) {
      const session = await sessions.load(null);
      session.login("ann");
      const cookie = (await sessions.commit(session))!.split(";")[0]!;
      const [[, offer] = []] = stateOf(session as Session<never>).device.headers;
      const headers: Record<string, string> = {
        cookie,
        "user-agent": "Chrome",
        "secure-session-response": device.registration(challengeIn(offer)),
      };
      const { status } = await answerDevice(recordsOf(sessions as never), {
        method: "POST",
        header: (name) => headers[name],
      });
      assert.equal(status, 200);
    },
  },
  "session.evicted": {
    options: { maxSessions: { count: 1, onLimit: "endOldest" } },
    expected: { user: "ann", reason: "maxSessions" },
    make: async (sessions) => {
      await began(sessions, "ann");
      await began(sessions, "ann");
    },
  },
  refusal: {
    expected: { outcome: "denied", reason: "cookie malformed", count: 2 },
    make: async (sessions) => {
      for (let at = 0; at < 2; at++) await sessions.load("session=short");
      await sessions.audit.checkpoint();
    },
  },
  "data.revealed": {
    expected: {},
    make: async (sessions) => run("show", (await began(sessions, "ann")).handle, "--reveal"),
  },
  "data.exported": {
    expected: {},
    make: async (sessions) => {
      await began(sessions, "ann");
      await run("export", "--user", "ann");
    },
  },
  "data.erased": {
    expected: {},
    make: async (sessions) => {
      await began(sessions, "ann");
      await run("erase", "--user", "ann", "--yes");
    },
  },
  "key.added": {
    expected: {},
    make: async (sessions) => {
      await began(sessions);
      await during(open({}, `${generateKey()},${keys}`), (again) => began(again));
    },
  },
  "key.retired": {
    expected: {},
    make: async (sessions) => {
      await during(open({}, `${keys},${generateKey()}`), (before) => began(before));
      await began(sessions);
    },
  },
  "sessions.imported": {
    expected: { outcome: "success", count: 2, reason: "finished" },
    make: async (sessions) => {
      await began(sessions);
      anotherLibrary();
      await run("import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3");
    },
  },
  "trail.started": { expected: { reason: "start" }, make: async (sessions) => void (await began(sessions)) },
  "trail.stopped": {
    expected: {},
    make: () => during(open(), (sessions) => began(sessions)),
  },
  "trail.read": {
    expected: { reason: "list" },
    make: async (sessions) => {
      await began(sessions);
      await run("audit", "list");
    },
  },
  "trail.pruned": {
    audit: { retention: "30 days" },
    expected: { count: 1 },
    make: async (sessions) => {
      time -= 100 * day;
      await during(open(), (before) => began(before));
      time += 100 * day;
      await sessions.audit.prune();
    },
  },
  "trail.lost": {
    audit: { mode: "lax", maxQueue: 1 },
    expected: { outcome: "failure", count: 2 },
    make: async (sessions) => {
      for (let at = 0; at < 3; at++) await sessions.audit.record("login.failed");
    },
  },
  "trail.erased": {
    expected: { actor: "admin 7" },
    make: async (sessions) => {
      await began(sessions, "ann");
      await sessions.audit.erase("ann", { by: "admin 7" });
    },
  },
};

async function during(sessions: SessionManager, work: (sessions: SessionManager) => Promise<unknown>) {
  await work(sessions);
  await sessions.close();
}

test.each(Object.entries(makers))(
  "R48: what makes %s → that event",
  async (type, { audit, options, expected, make }) => {
    await run("migrate");
    await during(open(audit, keys, options), make);
    const found: AuditEvent[] = [];
    await during(open(), async (sessions) => {
      for await (const event of sessions.audit.list({ types: [type as AuditEventType] })) found.push(event);
      assert.deepEqual(
        (await sessions.audit.verify()).problems.filter(({ kind }) => !kind.endsWith("key")),
        [],
      );
    });
    assert.notEqual(found.length, 0, `no ${type}`);
    assert.partialDeepStrictEqual(found.at(-1), {
      type: type as AuditEventType,
      outcome: "success",
      ...expected,
    });
  },
);

test("import: a run → two events, with the library and counts, and none for a dry run or for each session", async () => {
  await run("migrate");
  anotherLibrary();
  await during(open(), (sessions) => began(sessions));
  const args = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];
  await run(...args, "--dry-run");
  await run(...args);
  await during(open(), async (sessions) => {
    const found = [];
    for await (const { outcome, reason, count, details } of sessions.audit.list({
      types: ["sessions.imported"],
    }))
      found.push([outcome, reason, count, details!["from"], details!["imported"]]);
    assert.deepEqual(found, [
      ["unknown", "started", 0, "better-sqlite3-session-store", undefined],
      ["success", "finished", 2, "better-sqlite3-session-store", "2"],
    ]);
  });
});
