import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canInstallPackages, installPackages } from "../../scripts/services/packages.ts";
import { answers, freePort } from "../../scripts/services/processes.ts";

const program = "/usr/bin/redis-server";

/** A Redis server of its own, installed when there is none and this is root on Debian. */
export async function startRedis(): Promise<{ port: number; stop(): Promise<void> }> {
  if (!existsSync(program)) {
    if (!canInstallPackages()) {
      throw new Error(
        "The job tests need Redis. Install it: apt-get install -y --no-install-recommends redis-server",
      );
    }
    await installPackages(["redis-server"]);
  }
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "stored-session-redis-"));
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder];
  const server = spawn(program, args, { stdio: "ignore" });
  const exited = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  while (!(await answers(port))) {
    if (server.exitCode !== null) throw new Error("redis-server did not start.");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    port,
    async stop() {
      server.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
