import { open } from "node:fs/promises";

/** Resolves once the names of files that were added to a folder are on the disk. Windows has no call for that. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
