import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { isMainThread } from "node:worker_threads";
import { vi } from "vitest";
import { runCommand } from "../../src/cli/program.ts";

// Some tests start many processes, and a busy machine takes its time over each.
vi.setConfig({ testTimeout: 120_000 });

export const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

export interface Answer {
  code: number | null;
  out: string;
  err: string;
}

/** A folder of its own in which the command runs: in this process, or in one of its own as a user would run it. */
export class Folder {
  readonly path: string = mkdtempSync(join(tmpdir(), "stored-session-cli-"));
  env: Record<string, string> = {
    PATH: process.env["PATH"] ?? "",
    // The oldest Node reads TypeScript only if told to.
    ...(process.env["NODE_OPTIONS"] !== undefined && { NODE_OPTIONS: process.env["NODE_OPTIONS"] }),
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

  /** Runs the command in a process of its own: for what belongs to the process, such as signals, pipes and exit codes. */
  spawn(...args: string[]): Promise<Answer> {
    return answerOf(this.start(...args));
  }

  /**
   * Runs the command in this process, with the folder's environment, one command at a time. With a configuration file
   * in a process of its own: a process loads a module once, and a module may do anything to its process.
   */
  run(...args: string[]): Promise<Answer> {
    // A thread cannot change its folder.
    if (!isMainThread || this.#hasConfiguration(args)) return this.spawn(...args);
    const answer = turn.then(() => this.#run(args));
    turn = answer.catch(() => {});
    return answer;
  }

  #hasConfiguration(args: readonly string[]): boolean {
    const isConfiguration = (name: string) => name.startsWith("stored-session.config.");
    return args.includes("--config") || args.includes("-c") || readdirSync(this.path).some(isConfiguration);
  }

  async #run(args: readonly string[]): Promise<Answer> {
    const [cwd, environment] = [process.cwd(), { ...process.env }];
    const out = new Captured();
    const err = new Captured();
    const warn = (warning: Error & { code?: string }) =>
      err.write(`(node) ${warning.code ? `[${warning.code}] ` : ""}${warning.name}: ${warning.message}\n`);
    replaceEnvironment(this.env);
    process.chdir(this.path);
    process.on("warning", warn);
    try {
      const terminal = { out, err, in: Readable.from([]), env: process.env, cwd: this.path };
      const code = await runCommand(args, terminal);
      await new Promise((done) => setImmediate(done)); // warnings come a turn later
      return { code, out: out.text, err: err.text };
    } finally {
      process.off("warning", warn);
      process.chdir(cwd);
      replaceEnvironment(environment);
    }
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

/** The commands of this process run one after another: they share its folder and environment. */
let turn: Promise<unknown> = Promise.resolve();

class Captured extends Writable {
  text = "";

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

function replaceEnvironment(values: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const [name, value] of Object.entries(values)) if (value !== undefined) process.env[name] = value;
}

export async function answerOf(child: ChildProcess): Promise<Answer> {
  let out = "";
  let err = "";
  child.stdout!.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr!.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, out, err };
}
