import { spawn, spawnSync, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Readable, Writable } from "node:stream";
import { build } from "esbuild";
import { beforeAll, expect, test } from "vitest";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Ledger } from "./ledger.ts";
import { temporaryFolder } from "./temporary.ts";

const { folder, file } = temporaryFolder();
/** Compiled scripts are kept, for a quick start; Node writes them down when a process ends by itself. */
const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, "cache") };
/** One file: the oldest Node strips the types of a hundred at each start, and 200 starts took longer than the test may. */
const SCRIPT = join(folder, "write.mjs");
const KILLS = 200;
/** Files that are written to, and killed, side by side. */
const FILES = 4;
/** Milliseconds after which a writer is killed at the latest. */
const LONGEST = 40;
/** One writer in so many is killed from its first statement on, the others from their first commit on. */
const EARLY = 8;

const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 1_000_000);

/** Numbers from 0 to 1 that a seed brings back (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

beforeAll(async () => {
  const entry = fileURLToPath(new URL("./children/write.ts", import.meta.url));
  const options = { bundle: true, platform: "node", format: "esm", packages: "external" } as const;
  await build({ ...options, entryPoints: [entry], outfile: SCRIPT });
});

class Writer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ready: Promise<void>;
  #output = "";

  constructor(path: string) {
    this.#child = spawn(process.execPath, ["--no-warnings", SCRIPT, path], {
      stdio: ["pipe", "pipe", "inherit"],
      env,
    });
    this.#child.stdout.setEncoding("utf8");
    this.#ready = new Promise((resolve) => {
      this.#child.stdout.on("data", (text: string) => {
        this.#output += text;
        resolve();
      });
    });
  }

  /** Lets it write for so long, kills it and answers the lines it had told. */
  async run(milliseconds: number, early: boolean): Promise<string[]> {
    await this.#ready;
    this.#child.stdin.write("go\n");
    if (!early) await once(this.#child.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    return await this.kill();
  }

  async kill(): Promise<string[]> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
    // What follows the last line end was cut off while it was told.
    return this.#output.split("\n").slice(1, -1);
  }
}

function missing(path: string, ledger: Ledger): string[] {
  const handle = new DatabaseSync(path);
  const versionOf = handle.prepare("SELECT version FROM stored_sessions WHERE id = ?");
  const wrong = ledger.wrong(
    (id) => versionOf.get(Buffer.from(id, "hex"))?.["version"] as number | undefined,
  );
  handle.close();
  return wrong;
}

async function crash(path: string, kills: number, random: () => number): Promise<number> {
  const all = new Ledger();
  // The next process starts up while the present one writes.
  let next = new Writer(path);
  for (let round = 0; round < kills; round++) {
    const writer = next;
    next = new Writer(path);
    const acknowledged = new Ledger();
    const lines = await writer.run(random() * LONGEST, round % EARLY === 0);
    acknowledged.note(lines);
    if (acknowledged.rows.size === 0) continue;
    expect(missing(path, acknowledged), `TEST_SEED=${seed}, kill ${round}`).toEqual([]);
    all.note(lines);
  }
  await next.kill();
  expect(missing(path, all), `TEST_SEED=${seed}, at the end`).toEqual([]);
  const handle = new DatabaseSync(path);
  expect(handle.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
  handle.close();
  const store = sqliteStore(path);
  expect(await store.count(0)).toBeGreaterThan(0);
  await store.close();
  return all.rows.size;
}

test(
  `promise 7: kill -9 at ${KILLS} random moments → nothing acknowledged is lost, no replacement is half done, and the file opens (R33, R40)`,
  { timeout: 180_000 },
  async () => {
    const random = randomFrom(seed);
    spawnSync(process.execPath, ["--no-warnings", SCRIPT, file()], { env, input: "" });
    const counts = await Promise.all(
      Array.from({ length: FILES }, () =>
        crash(file(), KILLS / FILES, randomFrom(Math.floor(random() * 2 ** 31))),
      ),
    );
    const commits = counts.reduce((sum, count) => sum + count, 0);
    console.log(`crash test: seed ${seed}, ${KILLS} kills, ${commits} acknowledged rows found again`);
    expect(commits).toBeGreaterThan(KILLS);
  },
);
