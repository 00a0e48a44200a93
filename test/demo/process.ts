import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface Demo {
  readonly url: string;
  /** The SQLite file of its sessions. */
  readonly file: string;
  /** Everything it has printed so far. */
  printed(): string;
  /** Signals all its processes, as a terminal does at Ctrl+C; answers the exit code. Does nothing when it has ended. */
  stop(signal: "SIGINT" | "SIGTERM"): Promise<number | null>;
}

/** Runs a command that starts the demo, and waits until it prints its address. */
export async function startDemo(command: string, words: readonly string[], port: number): Promise<Demo> {
  const child = spawn(command, words, {
    cwd: root,
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a process group, because the shell of npm passes no signal on
  });
  const exited = once(child, "close") as Promise<[number | null]>;
  let output = "";
  const ready = new Promise<string>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const address = /http:\/\/localhost:\d+/.exec(output);
        if (address !== null && output.includes("Ctrl+C")) resolve(address[0]);
      });
    }
  });
  const url = await Promise.race([
    ready,
    exited.then(([code]) => {
      throw new Error(`${command} ${words.join(" ")} ended with ${code} and had printed:\n${output}`);
    }),
  ]);
  const file = `${root}examples/express/sessions-${new URL(url).port}.sqlite3`;
  return {
    url,
    file,
    printed: () => output,
    async stop(signal) {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal);
      const [code] = await exited;
      for (const suffix of ["", "-wal", "-shm"]) rmSync(file + suffix, { force: true });
      return code;
    },
  };
}
