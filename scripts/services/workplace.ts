import { mkdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

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
