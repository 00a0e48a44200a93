/** Where segments go before retention deletes them: `audit: { archive }`. */
import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "../shared/sync-folder.ts";

export type Archive = (segment: string, lines: AsyncIterable<string>) => Promise<void>;

/** Lines in one write. */
const TOGETHER = 500;

/**
 * Writes each segment to a file of its own, `audit-<segment>.ndjson`, which `stored-session audit verify --from` reads. The file
 * has its name once it is complete and on the disk. Creates the folder, readable by its owner only.
 */
export function fileArchive(folder: string): Archive {
  return async (segment, lines) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `audit-${segment}.ndjson`);
    const file = await open(`${path}.part`, "w", 0o600);
    try {
      let waiting: string[] = [];
      for await (const line of lines) {
        waiting.push(`${line}\n`);
        if (waiting.length < TOGETHER) continue;
        await file.appendFile(waiting.join(""));
        waiting = [];
      }
      await file.appendFile(waiting.join(""));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
    await syncFolder(folder);
  };
}
