import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bring } from "./bring.ts";
import {
  accountFor,
  answers,
  freePort,
  isRoot,
  privateDirectory,
  spawnServer,
  stopProcess,
  waitUntil,
} from "./processes.ts";
import { programsFor } from "./versions.ts";

export interface Pooler extends AsyncDisposable {
  /** The database of the given URL, through the pooler. */
  readonly url: string;
}

/** pgbouncer in transaction mode before the PostgreSQL server of `url`, with `connections` to it at most. */
export async function startPgbouncer(url: string, directory: string, connections: number): Promise<Pooler> {
  const program = join(await findOrInstall(), "pgbouncer");
  const account = accountFor("postgres", "nobody");
  privateDirectory(directory, account);
  const port = await freePort();
  const server = new URL(url);
  const [user, password] = [server.username, server.password].map(decodeURIComponent);
  const settings = join(directory, "pgbouncer.ini");
  const users = join(directory, "users.txt");
  const log = join(directory, "pgbouncer.log");
  writeFileSync(users, `"${user}" "${password}"\n`, { mode: 0o600 });
  const lines = [
    "[databases]",
    `* = host=${server.hostname} port=${server.port || 5432}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = scram-sha-256",
    `auth_file = ${users}`,
    `stats_users = ${user}`,
    "pool_mode = transaction",
    `default_pool_size = ${connections}`,
    "max_client_conn = 500",
    "log_connections = 0",
    "log_disconnections = 0",
  ];
  writeFileSync(settings, `${lines.join("\n")}\n`, { mode: 0o600 });
  if (isRoot) for (const file of [users, settings]) chownSync(file, account.uid, account.gid);
  const pid = spawnServer(program, [settings], { account, cwd: directory, log });
  await waitUntil(() => answers(port), { pid, log, name: "pgbouncer" });
  server.hostname = "127.0.0.1";
  server.port = String(port);
  // SIGTERM is its immediate shutdown in every version; a newer one's SIGINT waits for clients.
  return { url: server.href, [Symbol.asyncDispose]: () => stopProcess(pid) };
}

async function findOrInstall(): Promise<string> {
  return bring(programsFor("pgbouncer"), ["pgbouncer"], "postgres");
}
