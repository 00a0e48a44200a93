/**
 * Writes until its process or its database is killed, and tells each acknowledged change, a line each: `kept <id> <version>`,
 * `gone <id>`, `moved <old id> <new id>`. Before a replacement it tells `moving <old id> <new id>`.
 */
import { randomBytes } from "node:crypto";
import { StoreError } from "../../../src/errors.ts";
import { randomRow } from "../rows.ts";
import type { SessionRow } from "../../../src/store/row.ts";

/** What it writes to: a `BatchingStore`, or something that leads to one. */
export interface Target {
  insert(row: SessionRow): Promise<boolean>;
  update(loaded: SessionRow, next: SessionRow): Promise<boolean>;
  delete(id: Uint8Array): Promise<boolean>;
  replace(loaded: SessionRow, next: SessionRow): Promise<boolean>;
}

type Tell = (line: string) => void;

const hex = (id: Uint8Array): string => Buffer.from(id).toString("hex");

async function keep(store: Target, tell: Tell): Promise<void> {
  let row = randomRow();
  if (await store.insert(row)) tell(`kept ${hex(row.id)} ${row.version}`);
  for (let times = 0; times < 3; times++) {
    const next = { ...row, version: row.version + 1, data: new Uint8Array(randomBytes(900)) };
    if (await store.update(row, next)) tell(`kept ${hex(row.id)} ${next.version}`);
    row = next;
  }
}

async function end(store: Target, tell: Tell): Promise<void> {
  const row = randomRow();
  await store.insert(row);
  if (await store.delete(row.id)) tell(`gone ${hex(row.id)}`);
}

async function move(store: Target, tell: Tell): Promise<void> {
  const [old, next] = [randomRow(), randomRow()];
  await store.insert(old);
  tell(`moving ${hex(old.id)} ${hex(next.id)}`);
  if (await store.replace(old, next)) tell(`moved ${hex(old.id)} ${hex(next.id)}`);
}

async function work(store: Target, tell: Tell, caller: number): Promise<void> {
  const tasks = [keep, end, move] as const;
  for (let round = caller; ; round++) await tasks[round % 3]?.(store, tell);
}

/** Resolves when the database fails every caller. */
export async function writeUntilKilled(store: Target, tell: Tell, callers = 12): Promise<void> {
  await Promise.all(
    Array.from({ length: callers }, (_, caller) =>
      work(store, tell, caller).catch((error: unknown) => {
        if (!(error instanceof StoreError)) throw error;
      }),
    ),
  );
}
