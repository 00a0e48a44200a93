import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { publicKeysOfRing, readPublicKeys } from "../audit/checkpoint.ts";
import { readLine } from "../audit/raw.ts";
import type { VerifyReport } from "../audit/report.ts";
import { Verifier, type VerifySource } from "../audit/verify.ts";
import { KeyRing } from "../sealing/keyring.ts";
import { sqliteStore } from "../sql/sqlite/store.ts";
import type { AuditRow } from "../store/audit.ts";
import { exitCodes, Failure } from "./failure.ts";

/** Events added to the temporary file by one transaction. */
const TOGETHER = 500;

/**
 * Verifies an export with public keys alone, or with the keys. It goes into a temporary SQLite file first, so that memory
 * stays bounded and the order of lines does not matter.
 */
export async function verifyFile(
  path: string,
  publicKeys: readonly string[] | undefined,
  env: NodeJS.ProcessEnv,
  settings: Pick<VerifySource, "anchors" | "signal" | "onProgress">,
): Promise<VerifyReport> {
  const ring = env["STORED_SESSION_KEYS"]?.trim();
  if (publicKeys === undefined && !ring) {
    throw new Failure(
      "Pass --public-key with a key that `audit verify` prints, or set STORED_SESSION_KEYS.",
      exitCodes.usage,
    );
  }
  const keys = publicKeys === undefined ? KeyRing.from(ring) : undefined;
  const folder = mkdtempSync(join(tmpdir(), "stored-session-audit-"));
  const store = sqliteStore(join(folder, "audit.sqlite3"));
  try {
    const audit = store.audit!;
    let waiting: AuditRow[] = [];
    const flush = async (): Promise<void> => {
      const rows = waiting;
      waiting = [];
      if (rows.length > 0) await audit.commit([], () => rows);
    };
    for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
      const read = readLine(line);
      if (read === null) continue;
      if ("checkpoint" in read) await audit.addCheckpoint(read.checkpoint);
      else if (waiting.push(read.event) === TOGETHER) await flush();
    }
    await flush();
    return await new Verifier({
      store: audit,
      publicKeys: keys === undefined ? readPublicKeys(publicKeys!) : publicKeysOfRing(keys),
      keys,
      ...settings,
    }).run();
  } finally {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
