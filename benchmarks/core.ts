/**
 * What the core costs on this machine: `npm run bench -- --core`, or `node benchmarks/core.ts sqlite` for the tasks with that
 * in their names. Figures of different runs differ with what else the machine does; compare within one run.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { arch, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { Codec } from "../src/codec/codec.ts";
import { createSessionManager, generateKey, KeyRing, memoryStore } from "../src/index.ts";
import type { Session, SessionManager, SessionStore } from "../src/index.ts";
import { randomBytes } from "../src/sealing/random.ts";
import { Sealer } from "../src/sealing/sealer.ts";
import { sqliteStore } from "../src/sql/sqlite/store.ts";
import { contentOf } from "./sample.ts";
import { Table } from "./table.ts";

interface Data {
  visits: number;
}

const sizes = [300, 4096];
const callers = [1, 64];
const rows = 10_000;
const maxBytes = 1_048_576;
const client = {
  address: "203.0.113.7",
  userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
};

const keys = generateKey();
const codec = new Codec({ maxBytes });
const known = contentOf(300, codec, "user-4711");
const anonymous = contentOf(300, codec, undefined);
const table = new Table(1_500, process.argv[2] ?? "");
// Beside the sources, because a folder for temporary files is often kept in memory.
const folder = mkdtempSync(fileURLToPath(new URL("run-", import.meta.url)));

try {
  console.log(
    `Node ${process.version}, ${arch()}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}`,
  );
  console.log(
    "± is the median absolute deviation; ops/s follow from the median; many callers act in rounds, and a line tells a round's time divided by their number.",
  );
  codecAndSealer();
  await storeTasks("memory", memoryStore());
  await storeTasks("node:sqlite (FULL)", sqliteStore(`${folder}/tasks.sqlite3`));
  await rowSizes();
} finally {
  rmSync(folder, { recursive: true });
}

function codecAndSealer(): void {
  table.heading("Codec and sealer, one session");
  const context = {
    id: randomBytes(32),
    version: 2 ** 52 + 1,
    createdAt: 1_767_225_600_000,
    absoluteExpiresAt: 1_769_817_600_000,
    userRef: randomBytes(32),
  };
  const sid = randomBytes(32);
  // Uncompressed at 4 KB too, so that the two sizes tell what a byte costs; a line of its own for the default.
  const sealer = new Sealer({
    keys: KeyRing.from(keys),
    app: "",
    sealTo: "keys",
    compressAbove: false,
    maxBytes,
  });
  const deflating = new Sealer({
    keys: KeyRing.from(keys),
    app: "",
    sealTo: "keys",
    compressAbove: 1024,
    maxBytes,
  });
  for (const size of sizes) {
    const content = contentOf(size, codec, "user-4711");
    const plaintext = codec.encode(content);
    const envelope = sealer.seal(plaintext, context, sid);
    table.sync(`encode ${size} B`, () => codec.encode(content));
    table.sync(`decode ${size} B`, () => codec.decode(plaintext));
    table.sync(`seal ${size} B`, () => sealer.seal(plaintext, context, sid));
    table.sync(`open ${size} B`, () => sealer.open(envelope, context, sid));
    table.sync(`seal and open ${size} B`, () =>
      sealer.open(sealer.seal(plaintext, context, sid), context, sid),
    );
    if (size <= 1024) continue;
    const deflated = deflating.seal(plaintext, context, sid);
    table.sync(`seal ${size} B, deflated to ${deflated.length} B`, () =>
      deflating.seal(plaintext, context, sid),
    );
    table.sync(`open ${size} B, deflated`, () => deflating.open(deflated, context, sid));
  }
}

async function storeTasks(name: string, store: SessionStore): Promise<void> {
  table.heading(`Sessions of 300 B in ${name}`);
  const sessions = createSessionManager<Data>({ store, keys });
  for (const count of callers) {
    const cookies: string[] = [];
    const loaded: Session<Data>[] = [];
    for (let caller = 0; caller < count; caller++) {
      const cookie = await begin(sessions, { loggedIn: true });
      cookies.push(cookie);
      loaded.push(await sessions.load(cookie, client));
    }
    const label = `${name}, ${count} ${count === 1 ? "caller" : "callers"}`;
    await table.async(`load and look, ${label}`, count, () =>
      Promise.all(cookies.map(async (cookie) => void (await sessions.load(cookie, client)).data)),
    );
    await table.async(`commit a change, ${label}`, count, () =>
      Promise.all(
        loaded.map((session) => {
          session.data.visits = 1000 + ((session.data.visits ?? 0) % 9000) + 1;
          return sessions.commit(session);
        }),
      ),
    );
  }
  await sessions.close();
}

/** Saves a new session of 300 bytes; answers the header that brings it back. */
async function begin(sessions: SessionManager<Data>, { loggedIn }: { loggedIn: boolean }): Promise<string> {
  const session = await sessions.load(null, loggedIn ? client : undefined);
  session.data = structuredClone(loggedIn ? known.data : anonymous.data) as unknown as Data;
  if (loggedIn) session.login(known.user!);
  const cookie = await sessions.commit(session);
  return cookie!.slice(0, cookie!.indexOf(";"));
}

/** Growth of the file, indexes and free space in its pages included, after the log was written back into it. */
async function rowSizes(): Promise<void> {
  if (!table.wants("bytes a row")) return;
  console.log(
    `\nBytes a row of SQLite, for a session of 300 B, from the file's growth by ${rows.toLocaleString("en")} rows`,
  );
  for (const loggedIn of [false, true]) {
    const file = `${folder}/rows-${loggedIn}.sqlite3`;
    const sessions = createSessionManager<Data>({ store: sqliteStore(file), keys });
    await sessions.count();
    await sessions.close();
    const empty = statSync(file).size;
    const filling = createSessionManager<Data>({ store: sqliteStore(file), keys });
    for (let made = 0; made < rows; made += 100) {
      await Promise.all(Array.from({ length: 100 }, () => begin(filling, { loggedIn })));
    }
    await filling.close();
    const what = loggedIn ? "logged in, with address and user agent" : "anonymous, without client";
    console.log(`  ${what.padEnd(42)}${((statSync(file).size - empty) / rows).toFixed(1).padStart(12)}`);
  }
}
