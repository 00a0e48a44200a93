/**
 * The servers that tests need. What runs already is used, what is missing is installed and started, and only what
 * was started here is ever stopped.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { alone } from "./alone.ts";
import { containerEngine, startContainer, stopContainer } from "./containers.ts";
import { type Engine, type Programs, type Running, type ServerName, serverNames } from "./engine.ts";
import { mariadb } from "./mariadb.ts";
import { mysql } from "./mysql.ts";
import { canInstallPackages, installPackages } from "./packages.ts";
import { removeLeftover } from "./policy.ts";
import { postgres } from "./postgres.ts";
import { isStillRunning, startOf } from "./process-start.ts";
import { answers, stopProcess } from "./processes.ts";
import { askedVersion, programsFor } from "./versions.ts";
import { workplace } from "./workplace.ts";

export type { ServerName } from "./engine.ts";

const makers: Readonly<Record<ServerName, (programs: Programs) => Engine>> = { postgres, mysql, mariadb };

/** The server in the version that is asked for now. */
const engine = (name: ServerName): Engine => makers[name](programsFor(name));

/** `TEST_POSTGRES_URL` and its like: a server of the caller's, which is neither started nor stopped here. */
export const variable = (name: ServerName): string => `TEST_${name.toUpperCase()}_URL`;

interface State extends Running {
  /** When its process began; null where that is not known. */
  readonly started: string | null;
  /** Started by hand: stays until it is stopped by hand. Otherwise it goes with its last user. */
  readonly kept: boolean;
}

/** URLs of running servers, started where they were not. `hold` keeps them until this process calls `release`. */
export async function provide(
  names: readonly ServerName[],
  options: { keep?: boolean; hold?: boolean } = {},
): Promise<Partial<Record<ServerName, string>>> {
  const urls: Partial<Record<ServerName, string>> = {};
  const wanted: ServerName[] = [];
  for (const name of names) {
    const given = process.env[variable(name)];
    if (given) urls[name] = given;
    else wanted.push(name);
  }
  if (wanted.length === 0) return urls;
  await alone(async () => {
    const missing: Engine[] = [];
    for (const name of wanted) {
      const state = await running(name);
      if (state) urls[name] = state.url;
      else missing.push(engine(name));
      if (state && options.keep && !state.kept) save(name, { ...state, kept: true });
    }
    const inContainers = await install(missing);
    const started = await Promise.allSettled(
      missing.map(async (one) => {
        const program = inContainers.get(one);
        const server = program
          ? await startContainer(program, one, askedVersion(one.name))
          : await one.start({ directory: placeOf(one.name) });
        const began = server.pid === null ? null : startOf(server.pid);
        save(one.name, { ...server, started: began, kept: options.keep ?? false });
        urls[one.name] = server.url;
      }),
    );
    const failed = started
      .filter((result) => result.status === "rejected")
      .map((result) => result.reason as Error);
    if (failed.length > 0) throw new Error(failed.map((error) => error.message).join("\n\n"));
    if (options.hold) {
      mkdirSync(join(workplace(), "users"), { recursive: true });
      writeFileSync(join(workplace(), "users", String(process.pid)), startOf(process.pid) ?? "");
    }
  });
  return urls;
}

/** Says that this process needs the servers no more; the last one stops those that nobody asked to keep. */
export async function release(): Promise<void> {
  await alone(async () => {
    const users = join(workplace(), "users");
    rmSync(join(users, String(process.pid)), { force: true });
    for (const user of existsSync(users) ? readdirSync(users) : []) {
      const started = readFileSync(join(users, user), "utf8") || null;
      if (isStillRunning(Number(user), started)) return;
      rmSync(join(users, user), { force: true });
    }
    await stopWhere((state) => !state.kept);
  });
}

/** Stops the servers that were started here. */
export async function stop(names: readonly ServerName[]): Promise<ServerName[]> {
  return alone(async () => {
    if (canInstallPackages()) removeLeftover();
    return stopWhere((_state, name) => names.includes(name));
  });
}

export async function status(): Promise<Partial<Record<ServerName, string>>> {
  const urls: Partial<Record<ServerName, string>> = {};
  for (const name of serverNames) {
    const state = await running(name);
    if (state) urls[name] = state.url;
  }
  return urls;
}

/** A server for one test alone, which may be killed. It needs the programs, also where a running server needed none. */
export async function startPrivate(name: ServerName, directory: string, port?: number): Promise<Running> {
  const own = engine(name);
  if (own.find() === null) await alone(() => install([own]));
  return own.start({ directory, ...(port === undefined ? {} : { port }) });
}

/** The folder of the server's programs, or null when there is none: it is in a container, or the caller's. */
export function programFolder(name: ServerName): string | null {
  return engine(name).find();
}

async function install(missing: readonly Engine[]): Promise<Map<Engine, string>> {
  if (canInstallPackages()) removeLeftover();
  const absent = missing.filter((one) => one.find() === null);
  const inContainers = new Map<Engine, string>();
  if (absent.length === 0) return inContainers;
  const reasons: string[] = [];
  const packages = absent.flatMap((one) => one.programs.packages);
  if (packages.length > 0 && canInstallPackages())
    await installPackages(packages).catch((error: Error) => reasons.push(error.message));
  for (const one of absent) {
    if (one.find() === null && existsSync("/usr/bin/apt-get"))
      await one.programs.fetch?.().catch((error: Error) => reasons.push(error.message));
    if (one.find() !== null) continue;
    const program = await containerEngine();
    if (program) inContainers.set(one, program);
    else throw new Error([...reasons, helpFor(one)].join("\n"));
  }
  return inContainers;
}

function helpFor(one: Engine): string {
  const url = `${variable(one.name)}=${one.image.url(one.image.port, "password")}`;
  const how =
    one.programs.packages.length > 0
      ? `run "sudo apt-get install -y ${one.programs.packages.join(" ")}"`
      : `run the tests on Debian or Ubuntu with network, or "docker compose up -d --wait"`;
  const version = askedVersion(one.name);
  const what = version === null ? one.name : `${one.name} ${version}`;
  return `The tests need ${what} and could not find or install it: ${how}, or give a server with ${url}, or narrow the tests with TEST_DATABASES=sqlite.`;
}

async function running(name: ServerName): Promise<State | null> {
  return stateIn(`${placeOf(name)}.json`);
}

async function stateIn(path: string): Promise<State | null> {
  if (!existsSync(path)) return null;
  const state = JSON.parse(readFileSync(path, "utf8")) as State;
  const { pid, started = null } = state;
  const runs = pid === null || isStillRunning(pid, started);
  if (runs && (await answers(state.port))) return state;
  // A server that hangs. By its number alone it might be anybody's process.
  if (runs && pid !== null && started !== null) await stopProcess(pid);
  rmSync(path, { force: true });
  return null;
}

/** Servers of every version, whichever is asked for now. */
async function stopWhere(chosen: (state: State, name: ServerName) => boolean): Promise<ServerName[]> {
  const stopping: Promise<ServerName>[] = [];
  for (const file of readdirSync(workplace()).filter((each) => each.endsWith(".json"))) {
    const path = join(workplace(), file);
    const name = serverNames.find((each) => file.startsWith(each));
    const state = name && (await stateIn(path));
    if (!name || !state || !chosen(state, name)) continue;
    stopping.push(
      (async () => {
        // SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
        if (state.pid !== null) await stopProcess(state.pid, name === "postgres" ? "SIGINT" : "SIGTERM");
        if (state.container !== null) await stopContainer(state.container);
        rmSync(path, { force: true });
        return name;
      })(),
    );
  }
  return Promise.all(stopping);
}

/** Versions beside one another have data and state of their own. */
function placeOf(name: ServerName): string {
  const version = askedVersion(name);
  return join(workplace(), version === null ? name : `${name}-${version}`);
}

function save(name: ServerName, state: State): void {
  writeFileSync(`${placeOf(name)}.json`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
}
