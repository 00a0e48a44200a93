import { type SpawnOptions, execFile, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

export const isRoot: boolean = process.getuid?.() === 0;

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Database servers refuse root, so as root they run under the first of these accounts that exists. */
export function accountFor(...names: readonly string[]): Account {
  if (!isRoot) {
    const { uid, gid } = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    return { name: execFileSync("id", ["-un"], { encoding: "utf8" }).trim(), uid, gid };
  }
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of names) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
    if (uid && gid) return { name, uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(`None of the accounts ${names.join(", ")} exists to run a database server under.`);
}

/** The first of the folders that has all these programs. */
export function folderOf(folders: readonly string[], ...names: readonly string[]): string | null {
  return folders.find((folder) => names.every((name) => existsSync(join(folder, name)))) ?? null;
}

/** Makes a directory that only `account` (and root) can enter. */
export function privateDirectory(path: string, account: Account): void {
  // What another account made cannot be used: MariaDB's package brings an account of its own, perhaps after a MySQL ran.
  if (isRoot && existsSync(path) && statSync(path).uid !== account.uid) rmSync(path, { recursive: true });
  mkdirSync(path, { recursive: true });
  if (isRoot) chownSync(path, account.uid, account.gid);
  chmodSync(path, 0o700);
}

/** Runs a program to its end and answers its output; rejects with the end of what it said. */
export async function run(
  program: string,
  args: readonly string[],
  options: { account?: Account; cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  try {
    const { stdout } = await execute(program, [...args], {
      ...identity(options.account),
      cwd: options.cwd ?? "/",
      env: { ...process.env, LC_ALL: "C", ...options.env },
      maxBuffer: 64 << 20,
    });
    return stdout;
  } catch (cause) {
    const said = cause as { stderr?: string; stdout?: string };
    const tail = `${said.stdout ?? ""}\n${said.stderr ?? ""}`.trim().split("\n").slice(-12).join("\n");
    throw new Error(`${program} ${args.slice(0, 3).join(" ")} failed:\n${tail}`, { cause });
  }
}

/** Starts a server that outlives this process. Its output goes to `log`. */
export function spawnServer(
  program: string,
  args: readonly string[],
  options: { account: Account; cwd: string; log: string; env?: Record<string, string> },
): number {
  const log = openSync(options.log, "a");
  const settings: SpawnOptions = {
    ...identity(options.account),
    cwd: options.cwd,
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C", ...options.env },
    detached: true,
    stdio: ["ignore", log, log],
  };
  const child = spawn(program, args, settings);
  child.on("error", () => {});
  child.unref();
  if (child.pid === undefined) throw new Error(`${program} could not be started.`);
  return child.pid;
}

function identity(account: Account | undefined): { uid?: number; gid?: number } {
  return isRoot && account ? { uid: account.uid, gid: account.gid } : {};
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  // A child that nobody waited for is still in the table, but it serves nobody.
  const stat = `/proc/${pid}/stat`;
  return !existsSync(stat) || !/\) Z /.test(readFileSync(stat, "utf8"));
}

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

export async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.end());
  });
}

/** Waits until `ready` says true; fails with the end of the log when the server dies or takes too long. */
export async function waitUntil(
  ready: () => Promise<boolean>,
  server: { pid: number | null; log?: string; name: string },
  milliseconds = 60_000,
): Promise<void> {
  const end = Date.now() + milliseconds;
  for (;;) {
    if (await ready()) return;
    const dead = server.pid !== null && !isAlive(server.pid);
    if (dead || Date.now() > end) {
      const tail =
        server.log && existsSync(server.log)
          ? readFileSync(server.log, "utf8").trim().split("\n").slice(-15).join("\n")
          : "";
      throw new Error(
        `${server.name} ${dead ? "stopped while starting" : "did not answer in time"}:\n${tail}`,
      );
    }
    await pause(50);
  }
}

/** Ends a server as its own documentation asks, and by force when it does not go. */
export async function stopProcess(pid: number, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  for (const [name, patience] of [
    [signal, 30_000],
    ["SIGKILL", 5_000],
  ] as const) {
    if (!isAlive(pid)) return;
    try {
      process.kill(pid, name);
    } catch {
      return;
    }
    for (const end = Date.now() + patience; isAlive(pid) && Date.now() < end;) await pause(25);
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Ends a server and all its children at once, as a power failure would. */
export async function killServer(pid: number): Promise<void> {
  const children = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && parentOf(name) === pid);
  for (const each of [pid, ...children.map(Number)]) {
    try {
      process.kill(each, "SIGKILL");
    } catch {
      // Gone already, which is what was wanted.
    }
  }
  while ([pid, ...children.map(Number)].some(isAlive)) await pause(10);
  // PostgreSQL refuses to start while its predecessor is in the table, also when it only waits there to be reaped.
  for (const end = Date.now() + 2_000; existsSync(`/proc/${pid}`) && Date.now() < end;) await pause(5);
}

function parentOf(pid: string): number | null {
  try {
    return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
  } catch {
    return null;
  }
}
