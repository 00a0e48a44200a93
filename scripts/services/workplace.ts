import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive, pause } from "./processes.ts";

/**
 * Where servers and their state live: `STORED_SESSION_SERVICES`, or a folder of this user's in the temporary
 * directory. Not in the repository: as root the servers run under other accounts, which must be able to enter it.
 */
export function workplace(): string {
  const user = process.getuid?.() ?? 0;
  const path = process.env["STORED_SESSION_SERVICES"] ?? join(tmpdir(), `stored-session-services-${user}`);
  mkdirSync(path, { recursive: true, mode: 0o755 });
  if (statSync(path).uid !== user)
    throw new Error(`${path} belongs to another user. Set STORED_SESSION_SERVICES to a folder of your own.`);
  return path;
}

/** Runs `work` while no other process on this machine does. A lock whose owner died is taken over. */
export async function alone<T>(work: () => Promise<T>): Promise<T> {
  const lock = join(workplace(), "lock");
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const owner = readNumber(lock);
      if (owner !== null && !isAlive(owner)) rmSync(lock, { force: true });
      else await pause(100);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function readNumber(path: string): number | null {
  try {
    return Number.parseInt(readFileSync(path, "utf8"), 10) || null;
  } catch {
    return null;
  }
}
