import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { primaryCode } from "../../src/sql/sqlite/errors.ts";
import { pause } from "./processes.ts";
import { workplace } from "./workplace.ts";

/** Longer than bringing and starting every server takes. */
const quarterOfAnHour = 15 * 60_000;

/**
 * Runs `work` while no other process on this machine does. The lock is SQLite's, so it is the system's own: it ends
 * with the process that holds it, however that ends, and nobody ever has to judge whether a lock is a dead one's.
 *
 * @param patience milliseconds to wait for another process
 */
export async function alone<T>(work: () => Promise<T>, patience = quarterOfAnHour): Promise<T> {
  const lock = new DatabaseSync(join(workplace(), "lock.sqlite3"), { timeout: 0 });
  try {
    await take(lock, patience);
    writeFileSync(holderFile(), String(process.pid));
    try {
      return await work();
    } finally {
      rmSync(holderFile(), { force: true });
    }
  } finally {
    lock.close();
  }
}

async function take(lock: DatabaseSync, patience: number): Promise<void> {
  const begun = performance.now();
  for (let told = false; !tryToTake(lock);) {
    const waited = performance.now() - begun;
    if (waited >= patience) {
      throw new Error(
        `Waited ${Math.round(waited / 1000)} s for ${holder()}, which brings, starts or stops servers in ${workplace()}: end it, or set STORED_SESSION_SERVICES to a folder of your own.`,
      );
    }
    if (!told && waited > 10_000) {
      console.error(`Waiting for ${holder()}, which brings, starts or stops servers in ${workplace()}.`);
      told = true;
    }
    await pause(100);
  }
}

function tryToTake(lock: DatabaseSync): boolean {
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    const busy = 5; // SQLITE_BUSY
    if (primaryCode(error) !== busy) throw error;
    return false;
  }
}

/** For messages only: it may be missing, or be that of the holder before. */
const holderFile = (): string => join(workplace(), "lock-holder");

function holder(): string {
  try {
    return `process ${readFileSync(holderFile(), "utf8")}`;
  } catch {
    return "another process";
  }
}
