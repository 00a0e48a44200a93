/**
 * What the audit trail costs: a login with and without it, a request that only reads, bytes of an event, and the verification of
 * many. Usage: npm run bench -- --audit [--events 100000]
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager, type SessionManager } from "../src/index.ts";
import { generateKey } from "../src/sealing/keyring.ts";
import { sqliteStore } from "../src/sql/sqlite/store.ts";
import { migrate } from "../src/store/migrate.ts";
import { median } from "./peers/statistics.ts";
import { print, rounded } from "./print.ts";

const EVENTS = Number(process.argv[2] ?? 100_000);
const ROUNDS = 7;
const LOGINS = 500;
const READS = 20_000;
const AT_ONCE = 32;
const client = {
  address: "203.0.113.9",
  userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
};

const folder = mkdtempSync(join(tmpdir(), "stored-session-benchmark-"));
const keys = generateKey();

async function open(name: string, audit: boolean): Promise<{ sessions: SessionManager; path: string }> {
  const path = join(folder, `${name}.sqlite3`);
  const store = sqliteStore(path);
  await migrate(store);
  return { sessions: createSessionManager({ store, keys, audit }), path };
}

async function each(count: number, work: (number: number) => Promise<void>): Promise<number> {
  const began = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < count) await work(next++);
    }),
  );
  return ((performance.now() - began) * 1_000) / count;
}

async function login(sessions: SessionManager, user: string): Promise<string> {
  const session = await sessions.load(null, client);
  session.login(user, { method: "password" });
  return (await sessions.commit(session))!.split(";")[0]!;
}

try {
  const sides = await Promise.all(
    [false, true].map(async (audit) => {
      const { sessions } = await open(`login-${audit}`, audit);
      const side = { audit, sessions, cookie: await login(sessions, "reader"), logins: [], reads: [] };
      return side as typeof side & { logins: number[]; reads: number[] };
    }),
  );
  const user = (number: number): string => `user ${number % 200}`;
  // In turns, so that whatever else the machine does meanwhile is shared; the first round only warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { sessions, logins } of round % 2 === 0 ? sides : sides.toReversed()) {
      const took = await each(LOGINS, async (number) => void (await login(sessions, user(number))));
      if (round > 0) logins.push(took);
    }
  }
  // After all logins, whose writes would still go on beside them.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { sessions, cookie, reads } of round % 2 === 0 ? sides : sides.toReversed()) {
      const before = process.cpuUsage();
      await each(READS, async () => {
        const session = await sessions.load(cookie, client);
        void session.data;
        await sessions.commit(session);
      });
      const { user: own, system } = process.cpuUsage(before);
      if (round > 0) reads.push((own + system) / READS);
    }
  }
  const [without, traced] = sides as [(typeof sides)[0], (typeof sides)[0]];
  const ratio = (a: readonly number[], b: readonly number[]): string =>
    `${(median(a) / median(b)).toFixed(2)}x`;
  print(`login without the trail, us of one of ${AT_ONCE} at once`, rounded(median(without.logins)));
  print(
    "login with the trail",
    `${rounded(median(traced.logins))} (${ratio(traced.logins, without.logins)})`,
  );
  print("request that reads, without, us of processor time", rounded(median(without.reads)));
  print(
    "request that reads, with the trail",
    `${rounded(median(traced.reads))} (${ratio(traced.reads, without.reads)})`,
  );
  for (const { sessions } of sides) await sessions.close();
  const { sessions, path } = await open("events", true);
  const before = statSync(path).size;
  const began = performance.now();
  await each(EVENTS, (number) =>
    sessions.audit.record("login.failed", {
      user: `user ${number % 1_000}`,
      reason: "wrong password",
      client,
    }),
  );
  print("event alone, us", rounded(((performance.now() - began) * 1_000) / EVENTS));
  await sessions.audit.checkpoint();
  await sessions.close();
  print("bytes of an event in SQLite, with its indexes", rounded((statSync(path).size - before) / EVENTS));
  // In a process of its own, whose memory holds nothing of what came before.
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, "audit-verify.ts"), path], {
    env: { ...process.env, STORED_SESSION_KEYS: keys },
    stdio: "inherit",
  });
  if (status !== 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
