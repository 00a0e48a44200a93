import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach } from "vitest";

/** A program of `children/` in a process of its own. */
export class Program {
  readonly process: ChildProcess;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string | null>;
  #said = "";
  #listeners: (() => void)[] = [];

  constructor(name: string, ...args: readonly string[]) {
    const file = fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url));
    this.process = spawn(process.execPath, ["--no-warnings", file, ...args], { stdio: "pipe" });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#said += text;
        for (const listener of this.#listeners) listener();
      });
    }
    this.ended = new Promise((resolve) => {
      this.process.once("close", (code, signal) => resolve(code ?? signal));
    });
  }

  get pid(): number {
    return this.process.pid!;
  }

  get output(): string {
    return this.#said;
  }

  /** Waits until it has said what matches. */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#said);
      if (found) return found[0];
      const end = await Promise.race([
        this.ended.then((code) => ({ code })),
        new Promise<null>((resolve) => this.#listeners.push(() => resolve(null))),
      ]);
      if (end !== null && !pattern.test(this.#said))
        throw new Error(`It ended with ${end.code} and said: ${this.#said}`);
    }
  }
}

/** A workplace of the test's own, and programs that are ended with it. */
export function ownWorkplace(): { path(): string; start(name: string, ...args: string[]): Program } {
  let folder = "";
  let programs: Program[] = [];
  const before = process.env["STORED_SESSION_SERVICES"];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "stored-session-workplace-"));
    process.env["STORED_SESSION_SERVICES"] = folder;
  });
  afterEach(async () => {
    for (const { process: child } of programs) child.kill("SIGKILL");
    await Promise.all(programs.map(({ ended }) => ended));
    programs = [];
    if (before === undefined) delete process.env["STORED_SESSION_SERVICES"];
    else process.env["STORED_SESSION_SERVICES"] = before;
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    path: () => folder,
    start(name, ...args) {
      const program = new Program(name, ...args);
      programs.push(program);
      return program;
    },
  };
}
