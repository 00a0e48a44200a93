import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { generateKey } from "stored-session";

/**
 * The key ring of this machine, made at the first start and readable by its owner only. A real application gets its
 * keys from wherever it keeps its secrets, most often an environment variable.
 */
export function keysIn(file: string): { keys: string; made: boolean } {
  try {
    return { keys: readFileSync(file, "utf8").trim(), made: false };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const keys = generateKey();
  writeFileSync(file, `${keys}\n`, { mode: 0o600, flag: "wx" });
  chmodSync(file, 0o600);
  return { keys, made: true };
}
