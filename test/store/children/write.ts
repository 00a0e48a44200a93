/**
 * Writes until it is killed, and tells every acknowledged commit on its standard output, a line each:
 * `kept <id> <version>`, `gone <id>`, `moved <old id> <new id>`. write.ts <path>
 */
import { randomBytes } from "node:crypto";
import { writeSync } from "node:fs";
import { BatchingStore } from "../../../src/batching/batching-store.ts";
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";
import { randomRow } from "../rows.ts";

function tell(line: string): void {
  try {
    writeSync(1, `${line}\n`);
  } catch {
    process.exit(1); // nobody listens any more
  }
}
const hex = (id: Uint8Array): string => Buffer.from(id).toString("hex");

async function keep(store: BatchingStore): Promise<void> {
  let row = randomRow();
  if (await store.insert(row)) tell(`kept ${hex(row.id)} ${row.version}`);
  for (let times = 0; times < 3; times++) {
    const next = { ...row, version: row.version + 1, data: new Uint8Array(randomBytes(900)) };
    if (await store.update(row, next)) tell(`kept ${hex(row.id)} ${next.version}`);
    row = next;
  }
}

async function end(store: BatchingStore): Promise<void> {
  const row = randomRow();
  await store.insert(row);
  if (await store.delete(row.id)) tell(`gone ${hex(row.id)}`);
}

async function move(store: BatchingStore): Promise<void> {
  const [old, next] = [randomRow(), randomRow()];
  await store.insert(old);
  if (await store.replace(old, next)) tell(`moved ${hex(old.id)} ${hex(next.id)}`);
}

async function work(store: BatchingStore, caller: number): Promise<void> {
  const tasks = [keep, end, move] as const;
  for (let round = caller; ; round++) await tasks[round % 3]?.(store);
}

tell("ready");
process.stdin.once("data", () => {
  const store = new BatchingStore(sqliteStore(process.argv[2] as string));
  for (let caller = 0; caller < 12; caller++) void work(store, caller);
});
process.stdin.once("end", () => process.exit(1));
