import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";

// Each test starts many processes, and a busy machine takes its time over each.
vi.setConfig({ testTimeout: 120_000 });

export const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

export interface Answer {
  code: number | null;
  out: string;
  err: string;
}

/** A folder of its own in which the command runs as a real process, as a user would run it. */
export class Folder {
  readonly path: string = mkdtempSync(join(tmpdir(), "stored-session-cli-"));
  env: Record<string, string> = {
    PATH: process.env["PATH"] ?? "",
    // Reading all the sources takes most of a command's time otherwise.
    NODE_COMPILE_CACHE: join(tmpdir(), "stored-session-compile-cache"),
  };

  start(...args: string[]): ChildProcess {
    return spawn(process.execPath, [main, ...args], {
      cwd: this.path,
      env: this.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  run(...args: string[]): Promise<Answer> {
    return answerOf(this.start(...args));
  }

  async json(...args: string[]): Promise<any> {
    const { out, err, code } = await this.run(...args, "--json");
    if (code !== 0) throw new Error(`exit code ${code}: ${err}`);
    return JSON.parse(out);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export async function answerOf(child: ChildProcess): Promise<Answer> {
  let out = "";
  let err = "";
  child.stdout!.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr!.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, out, err };
}
