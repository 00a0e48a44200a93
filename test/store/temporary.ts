import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { SqliteHandle } from "../../src/sql/sqlite/store.ts";

/** better-sqlite3 brings no types; this is what the tests use of it. */
export const Better = createRequire(import.meta.url)("better-sqlite3") as new (
  path: string,
  options?: { readonly readonly?: boolean },
) => SqliteHandle & { defaultSafeIntegers(enabled: boolean): void };

/** A folder that is removed after the tests of the file, and a function that names a new file in it. */
export function temporaryFolder(): { readonly folder: string; readonly file: () => string } {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-"));
  let files = 0;
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return { folder, file: () => join(folder, `${files++}.sqlite3`) };
}
