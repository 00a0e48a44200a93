import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { alone } from "./alone.ts";
import { canInstallPackages, installPackages } from "./packages.ts";
import { freePort, pause } from "./processes.ts";

const program = "/usr/bin/redis-server";

/**
 * A Redis server of its own, installed when there is none and this is root on Debian.
 * @param settings further arguments of redis-server
 */
export async function startRedis(...settings: string[]): Promise<{ port: number; stop(): Promise<void> }> {
  if (!existsSync(program)) {
    if (!canInstallPackages()) {
      throw new Error(
        "The tests need Redis. Install it: apt-get install -y --no-install-recommends redis-server",
      );
    }
    await alone(() => installPackages(["redis-server"]));
  }
  const folder = mkdtempSync(join(tmpdir(), "stored-session-redis-"));
  // Another program may take the port first.
  for (let attempt = 0; attempt < 5; attempt++) {
    const port = await freePort();
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, ...settings];
    const server = spawn(program, args, { stdio: "ignore" });
    let runs = true;
    const exited = once(server, "exit").then(() => (runs = false));
    while (runs && !(await isRedis(port, server.pid!))) await pause(50);
    if (!runs) continue;
    return {
      port,
      async stop() {
        server.kill("SIGKILL");
        await exited;
        rmSync(folder, { recursive: true, force: true });
      },
    };
  }
  rmSync(folder, { recursive: true, force: true });
  throw new Error("redis-server did not start.");
}

/** Whether the Redis server that answers at this port is the process `pid`. */
async function isRedis(port: number, pid: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port }).setEncoding("utf8").setTimeout(1_000);
  socket.on("timeout", () => socket.destroy());
  socket.write("INFO server\r\nQUIT\r\n");
  let answer = "";
  try {
    for await (const text of socket) answer += text as string;
  } catch {
    // Nobody answers yet.
  }
  return answer.includes(`process_id:${pid}\r\n`);
}
