/**
 * What the pages of the dashboard cost with many sessions and events: time in the server, statements, memory.
 * Usage: npm run bench -- --dashboard [--database sqlite,postgres] [--filler 1000000]
 *
 * "cpu ms" is the processor time of this process in the median, which other work on the machine does not change much.
 *
 * Rows are copies of a real session and a real event, made by one statement each, with random ids and times over 30 days; then
 * as many events again within one hour. The clock goes on by ten seconds from view to view.
 */
import { randomBytes } from "node:crypto";
import { createSessionManager, generateKey, type SessionManager } from "../src/index.ts";
import { dashboard } from "../src/dashboard/index.ts";
import type { SqlStore } from "../src/sql/sql-store.ts";
import type { Statement } from "../src/sql/statement.ts";
import { migrate } from "../src/store/migrate.ts";
import { ownDatabase } from "../test/campaigns/own-database.ts";
import { median } from "./peers/statistics.ts";

const [databases = "sqlite,postgres", count = "1000000"] = process.argv.slice(2);
const ROWS = Number(count);
const VIEWS = 21;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Figures are kept for five seconds, and a page renews them every ten. */
const POLL = 10_000;
const base = "/admin/sessions";
const client = { address: "203.0.113.9", userAgent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0" };

/** Expressions of each database. `random` is an integer from 0 below `below`. */
const words = {
  sqlite: {
    bytes: (length: number) => `randomblob(${length})`,
    random: (below: number) => `(abs(random()) % ${below})`,
    position: (chain: string) => `unhex('${chain}' || printf('%016x', i))`,
    numbers: `(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS}) SELECT i FROM n)`,
    analyze: ["ANALYZE"],
  },
  postgres: {
    bytes: (length: number) =>
      `substr(decode(md5(random()::text || i) || md5(i || random()::text), 'hex'), 1, ${length})`,
    random: (below: number) => `floor(random() * ${below})::bigint`,
    position: (chain: string) => `decode('${chain}' || lpad(to_hex(i), 16, '0'), 'hex')`,
    numbers: `(SELECT i FROM generate_series(1, ${ROWS}) i)`,
    analyze: ["VACUUM ANALYZE stored_sessions", "VACUUM ANALYZE stored_sessions_audit"],
  },
} as const;

async function fill(name: keyof typeof words, store: SqlStore): Promise<void> {
  const { bytes, random, numbers, analyze } = words[name];
  const now = Date.now();
  const run = (text: string) => store.database.run({ text, values: [], writes: true, long: true });
  // SQLite writes random keys to a million-row index one page at a time, for most of an hour. Sorted, it takes seconds.
  const indexes =
    name === "sqlite"
      ? (
          await run(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name LIKE 'stored_sessions%'",
          )
        ).rows
      : [];
  for (const index of indexes) await run(`DROP INDEX ${String(index["name"])}`);
  // A tenth has ended and waits to be deleted.
  const end = `${now - DAY} + ${random(10 * DAY)}`;
  await run(`INSERT INTO stored_sessions (id, data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, expires_bucket, client)
    SELECT id, data, version, user_ref, created_at, created_at, created_at + ${60 * DAY}, expires_at, expires_at / 60000, client FROM
    (SELECT ${bytes(32)} AS id, s.data, s.version, ${bytes(32)} AS user_ref, ${now - 30 * DAY} + ${random(29 * DAY)} AS created_at, ${end} AS expires_at, s.client
     FROM ${numbers} AS numbers, (SELECT * FROM stored_sessions LIMIT 1) AS s) AS made ORDER BY id`);
  // 40% logins, 30% sessions created, the rest ends, failures and refusals.
  const kind = `(CASE WHEN d < 40 THEN 2 WHEN d < 70 THEN 1 WHEN d < 82 THEN 6 WHEN d < 92 THEN 9 WHEN d < 95 THEN 8 WHEN d < 99 THEN 3 ELSE 12 END)`;
  await run(`INSERT INTO stored_sessions_audit (id, created_at, event, outcome, device, amount, session_id, subject, hash, mac, body)
    SELECT id, created_at, ${kind}, 0, device, 1, session_id, NULL, hash, mac, body FROM
    (SELECT ${bytes(32)} AS id, ${now - 30 * DAY} + ${random(30 * DAY - 60_000)} AS created_at, ${random(100)} AS d, ${random(5)} AS device, ${bytes(32)} AS session_id, ${bytes(32)} AS hash, a.mac, a.body
     FROM ${numbers} AS numbers, (SELECT * FROM stored_sessions_audit WHERE event = 3 LIMIT 1) AS a) AS made ORDER BY id`);
  for (const index of indexes) await run(String(index["sql"]));
  for (const text of analyze) await run(text);
}

/** As many events as sessions, between these times, as one process would have written them. */
async function fillHour(
  name: keyof typeof words,
  store: SqlStore,
  since: number,
  until: number,
): Promise<void> {
  const { numbers, position } = words[name];
  const at = `${since} + CAST(i AS bigint) * ${until - since} / ${ROWS}`;
  await store.database.run({
    text: `INSERT INTO stored_sessions_audit (id, created_at, event, outcome, device, amount, session_id, subject, hash, mac, body)
    SELECT ${position(randomBytes(24).toString("hex"))}, ${at}, CASE WHEN i % 3 = 0 THEN 1 ELSE 2 END, 0, i % 5, 1, NULL, NULL, a.hash, a.mac, a.body
    FROM ${numbers} AS numbers, (SELECT * FROM stored_sessions_audit WHERE event = 3 LIMIT 1) AS a ORDER BY 1`,
    values: [],
    writes: true,
    long: true,
  });
}

async function login(sessions: SessionManager, user: string): Promise<string> {
  const session = await sessions.load(null, client);
  session.login(user, { method: "password", level: "aal1" });
  await sessions.commit(session);
  return session.handle;
}

async function measure(name: keyof typeof words): Promise<void> {
  let ahead = 0;
  const clock = (): number => Date.now() + ahead;
  await using place = await ownDatabase(name);
  const store = place.open();
  await migrate(store);
  const sessions = createSessionManager({
    store,
    keys: generateKey(),
    audit: true,
    storeTimeout: "60 s",
    clock,
  });
  await login(sessions, "first");
  await sessions.audit.record("login.failed", { identifier: "nobody", reason: "wrong password", client });
  // The copies are in chains that no key made: nothing is signed here.
  Object.assign(store.audit!, { heads: async () => [] });
  const began = performance.now();
  await fill(name, store);
  const filled = Math.round((performance.now() - began) / 1_000);
  let handle = "";
  for (let at = 0; at < 20; at++) handle = await login(sessions, "alice");
  for (let at = 0; at < 60; at++)
    await sessions.audit.record("login.failed", { user: "alice", reason: "wrong password", client });

  // What is later than the clock has not happened yet.
  const countAll = store.audit!.count.bind(store.audit);
  Object.assign(store.audit!, {
    count: (since: number, until: number) => countAll(since, Math.min(until, clock())),
  });
  const open = () =>
    dashboard({
      sessions,
      basePath: base,
      authorize: () => ({ actor: "operator", may: ["view", "audit", "revoke"] }),
    });
  let handler = open();
  let statements = 0;
  const { run } = store.database;
  Object.assign(store.database, {
    run(statement: Statement) {
      statements++;
      return run.call(store.database, statement);
    },
  });
  const view = async (row: string): Promise<{ text: string; took: number; cpu: number; sent: number }> => {
    const path = row.slice(row.indexOf("/"));
    statements = 0;
    const start = performance.now();
    const before = process.cpuUsage();
    const response = await handler(new Request(`http://localhost${base}${path}`));
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path}: ${response.status}\n${text}`);
    const { user, system } = process.cpuUsage(before);
    return { text, took: performance.now() - start, cpu: (user + system) / 1_000, sent: statements };
  };
  console.log(
    `\n${name}: ${ROWS.toLocaleString("en-US")} sessions and as many events, filled in ${filled} s\n` +
      `  ${"page".padEnd(62)} first ms  median ms  worst ms    cpu ms  statements`,
  );
  let peak = 0;
  let isOver = false;
  const rss = process.memoryUsage().rss;
  const sampling = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
  const busy = "in an hour of as many events: ";
  const periods = ["hour", "day", "month"].map((period) => `/live?period=${period}`);
  try {
    for (const path of [
      "/?period=hour",
      "/",
      "/?period=month",
      "/user?id=alice",
      `/session?handle=${handle}`,
      "/audit",
      "/audit?type=login.failed",
      "/audit?user=alice",
      "/keys",
      ...periods.map((live) => busy + live),
    ]) {
      if (path === busy + periods[0]) {
        await fillHour(name, store, clock() - HOUR + 90 * POLL, clock() + 90 * POLL);
        handler = open(); // the other one has counted this hour
      }
      const first = await view(path);
      while ((await view(path)).text.includes("still being counted"))
        await new Promise((resolve) => setTimeout(resolve, 100));
      const views = [];
      for (let at = 0; at < VIEWS; at++) {
        ahead += POLL;
        views.push(await view(path));
      }
      const times = views.map(({ took }) => took);
      const most = Math.max(...views.map(({ sent }) => sent));
      const middle = median(times);
      if (middle >= 100 || most > 10) isOver = true;
      const cells = [
        first.took.toFixed(0).padStart(8),
        middle.toFixed(1).padStart(9),
        Math.max(...times)
          .toFixed(0)
          .padStart(8),
        median(views.map(({ cpu }) => cpu))
          .toFixed(1)
          .padStart(8),
        String(most).padStart(10),
      ];
      console.log(`  ${path.slice(0, 60).padEnd(62)} ${cells.join("  ")}`);
    }
  } finally {
    clearInterval(sampling);
  }
  console.log(`  memory above what was used before: ${Math.max(0, (peak - rss) / 2 ** 20).toFixed(0)} MiB`);
  if (isOver) {
    console.log("  A page exceeds 100 ms in the median, or ten statements.");
    process.exitCode = 1;
  }
  await sessions.close();
}

for (const name of databases.split(",")) {
  if (!Object.hasOwn(words, name)) throw new Error(`--dashboard measures sqlite and postgres, not ${name}.`);
  await measure(name as keyof typeof words);
}
