import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const root: string = join(import.meta.dirname, "../..");

/** An example that runs. */
export interface RunningExample {
  readonly url: string;
  /** The SQLite file of its sessions. */
  readonly database: string;
  printed(): string;
  /** Ends it, and removes its sessions. */
  stop(): Promise<void>;
}

/** Starts an example as its package.json does, on any free port. */
export async function startExample(
  folder: string,
  command: readonly string[],
  environment: Record<string, string> = {},
): Promise<RunningExample> {
  const sessions = mkdtempSync(join(tmpdir(), "stored-session-example-"));
  const database = join(sessions, "sessions.sqlite3");
  const child = spawn(process.execPath, command, {
    cwd: join(root, "examples", folder),
    env: { ...process.env, PORT: "0", DATABASE: database, ...environment },
    stdio: "pipe",
  });
  const exited = once(child, "close");
  let printed = "";
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        printed += text;
        const address = /(?:Open|Local:|[Ll]istening on) +(http:\/\/\S+)/.exec(printed);
        if (address !== null) resolve(address[1]!.replace(/\/$/, ""));
      });
    }
    void exited.then(([code]) => reject(new Error(`It ended with ${code} and had printed:\n${printed}`)));
  });
  return {
    url,
    database,
    printed: () => printed,
    async stop() {
      child.kill("SIGTERM");
      await exited;
      rmSync(sessions, { recursive: true });
    },
  };
}
