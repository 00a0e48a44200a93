/**
 * Expiry and resealing at size, while clients read and write: figures for docs/operations.md.
 *
 *   node test/campaigns/operations.ts <database url> [rows to delete or reseal = 1000000] [clients = 64]
 *
 * Fills a table of its own with twice as many rows, and drops it at the end.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { createSessionManager, generateKey, type SessionManager } from "../../src/index.ts";
import type { SessionRow } from "../../src/row.ts";
import { openStore } from "../../src/cli/store-url.ts";
import { recordsOf } from "../../src/session/manager.ts";

const [url = "", rowsText = "1000000", clientsText = "64"] = process.argv.slice(2);
const rows = Number(rowsText);
const clients = Number(clientsText);
const table = `campaign_${randomBytes(4).toString("hex")}`;
const [older, newest] = [generateKey(), generateKey()];
const day = 86_400_000;
const { store } = openStore(url, table, process.cwd());
const say = (text: string) => console.log(text);

/** EXPIRE_RATE, EXPIRE_BATCH, RESEAL_RATE, RESEAL_BATCH; the defaults of the package otherwise. */
function settings(name: string): { maxPerSecond?: number; batchSize?: number } {
  const { [`${name}_RATE`]: rate, [`${name}_BATCH`]: batch } = process.env;
  return { ...(rate && { maxPerSecond: Number(rate) }), ...(batch && { batchSize: Number(batch) }) };
}

interface Visit {
  cookie: string;
}

const sessions = createSessionManager<{ hits: number }>({ store, keys: older });

function deadRow(now: number, place: number): SessionRow {
  const createdAt = now - 60 * day + (place % 25) * day;
  return {
    id: randomBytes(32),
    data: randomBytes(300),
    version: place,
    userRef: place % 2 ? randomBytes(32) : null,
    createdAt,
    updatedAt: createdAt,
    absoluteExpiresAt: createdAt + 30 * day,
    expiresAt: createdAt + 30 * day,
    client: null,
  };
}

function liveRow(): SessionRow {
  const records = recordsOf(sessions as never);
  const token = records.settings.format.mint();
  const plaintext = records.settings.format.encode(
    { data: { text: "x".repeat(200) }, user: String(Math.floor(Math.random() * 1e6)), flash: {} },
    null,
  );
  return records.begin(token, plaintext, "somebody", { address: "192.0.2.1" });
}

async function fill(count: number, make: (now: number, place: number) => SessionRow): Promise<void> {
  const now = Date.now();
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const size = Math.min(100, count - next);
      const first = next;
      next += size;
      await store.insert(Array.from({ length: size }, (_, index) => make(now, first + index)));
    }
  };
  await Promise.all([1, 2, 3, 4].map(lane));
}

async function visitors(manager: SessionManager<{ hits: number }>): Promise<Visit[]> {
  return Promise.all(
    Array.from({ length: 1_000 }, async () => {
      const session = await manager.load(null);
      session.data = { hits: 0 };
      return { cookie: (await manager.commit(session))!.split(";")[0]! };
    }),
  );
}

/** `clients` at once, one request in ten writes. Answers the 99th percentile of reads in milliseconds. */
async function traffic(
  manager: SessionManager<{ hits: number }>,
  visits: Visit[],
  until: (requests: number) => boolean,
): Promise<{ p50: number; p99: number; requests: number; lost: number }> {
  const times: number[] = [];
  let requests = 0;
  let lost = 0;
  const client = async () => {
    while (!until(requests)) {
      requests++;
      const visit = visits[Math.floor(Math.random() * visits.length)]!;
      const began = performance.now();
      const session = await manager.load(visit.cookie);
      times.push(performance.now() - began);
      if (session.isNew) lost++;
      else if (requests % 10 === 0) {
        session.data.hits = (session.data.hits ?? 0) + 1;
        const cookie = await manager.commit(session);
        if (cookie !== null) visit.cookie = cookie.split(";")[0]!;
      }
      await pause(Math.random() * 20);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), requests, lost };
}

const memory = { most: 0 };
const watch = setInterval(() => (memory.most = Math.max(memory.most, process.memoryUsage().rss)), 100);
const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const shown = ({ p50, p99, requests, lost }: Awaited<ReturnType<typeof traffic>>) =>
  `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${requests} requests, ${lost} logged out`;

await store.migrate();
try {
  let began = performance.now();
  await fill(rows, deadRow);
  await fill(rows, liveRow);
  say(`filled 2 x ${rows} rows in ${((performance.now() - began) / 1_000).toFixed(0)} s`);
  const visits = await visitors(sessions);

  await traffic(sessions, visits, (requests) => requests >= 5_000); // warm
  const quiet = await traffic(sessions, visits, (requests) => requests >= 30_000);
  say(`reads alone: ${shown(quiet)}`);

  memory.most = 0;
  const startMemory = process.memoryUsage().rss;
  began = performance.now();
  let finished = false;
  const marks: number[] = [];
  const expiring = sessions
    .expire({
      ...settings("EXPIRE"),
      onProgress({ deleted }) {
        while (deleted >= ((marks.length + 1) * rows) / 10) marks.push(performance.now() - began);
      },
    })
    .finally(() => (finished = true));
  const busy = await traffic(sessions, visits, () => finished);
  const deleted = await expiring;
  const seconds = (performance.now() - began) / 1_000;
  say(
    `expired ${deleted} in ${seconds.toFixed(1)} s (${(deleted / seconds).toFixed(0)}/s), memory ${mib(startMemory)} -> at most ${mib(memory.most)}`,
  );
  say(`reads meanwhile: ${shown(busy)}; p99 is ${(busy.p99 / quiet.p99).toFixed(2)} times that without`);
  say(
    `tenths took ${marks.map((mark, index) => ((mark - (marks[index - 1] ?? 0)) / 1_000).toFixed(1)).join(" ")} s`,
  );

  const between = await traffic(sessions, visits, (requests) => requests >= 30_000);
  say(`reads alone again: ${shown(between)}`);

  const both = createSessionManager<{ hits: number }>({ store, keys: [newest, older] });
  memory.most = 0;
  began = performance.now();
  finished = false;
  let resealed = 0;
  let interruptions = 0;
  const resealing = (async () => {
    let after: string | undefined;
    for (;;) {
      const stop = new AbortController();
      const limit = interruptions < 10 ? (rows / 11) * (interruptions + 1) : Infinity;
      const result = await both.reseal({
        ...settings("RESEAL"),
        signal: stop.signal,
        ...(after !== undefined && { after }),
        onProgress: (progress) => {
          if (resealed + progress.resealed >= limit) stop.abort();
        },
      });
      resealed += result.resealed;
      if (result.finished) break;
      interruptions++;
      after = result.cursor ?? undefined;
    }
  })().finally(() => (finished = true));
  const during = await traffic(both, visits, () => finished);
  await resealing;
  const took = (performance.now() - began) / 1_000;
  say(
    `resealed ${resealed} in ${took.toFixed(1)} s (${(resealed / took).toFixed(0)}/s) with ${interruptions} interruptions, memory at most ${mib(memory.most)}`,
  );
  say(`reads meanwhile: ${shown(during)}; p99 is ${(during.p99 / quiet.p99).toFixed(2)} times that without`);
  say(`reads alone at the end: ${shown(await traffic(both, visits, (requests) => requests >= 30_000))}`);
  const stats = await both.stats();
  say(`rows ${stats.total}, under the older key ${stats.keys[1]!.live + stats.keys[1]!.ended}`);
} finally {
  clearInterval(watch);
  const { names } = store.database.dialect;
  for (const one of [names.sessions, names.leases, names.migrations]) {
    await store.database.run({ text: `DROP TABLE ${one}`, values: [], writes: true });
  }
  await store.close();
}
