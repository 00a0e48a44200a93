import { randomBytes } from "node:crypto";
import { chownSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import type { Engine, Programs, Running, StartOptions } from "./engine.ts";
import {
  accountFor,
  folderOf,
  freePort,
  isRoot,
  privateDirectory,
  run,
  spawnServer,
  waitUntil,
} from "./processes.ts";

export const postgres = (programs: Programs): Engine => ({
  name: "postgres",
  programs,
  find: () => folderOf(programs.folders(), "initdb", "postgres"),
  image: {
    name: "docker.io/library/postgres",
    tag: "18",
    port: 5432,
    environment: (password) => [`POSTGRES_PASSWORD=${password}`, "POSTGRES_DB=test"],
    url: (port, password) => `postgres://postgres:${password}@127.0.0.1:${port}/test`,
  },

  async start({ directory, port = 0 }: StartOptions): Promise<Running> {
    const folder = this.find();
    if (!folder) throw new Error("PostgreSQL's initdb and postgres were not found.");
    const account = accountFor("postgres", "nobody");
    privateDirectory(directory, account);
    const data = join(directory, "data");
    const passwordFile = join(directory, "password");
    const log = join(directory, "server.log");
    if (!existsSync(passwordFile) || !existsSync(join(data, "PG_VERSION"))) {
      rmSync(data, { recursive: true, force: true });
      writeFileSync(passwordFile, randomBytes(16).toString("hex"), { mode: 0o600 });
      if (isRoot) chownSync(passwordFile, account.uid, account.gid);
      const settings = [
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        `--pwfile=${passwordFile}`,
        "-E",
        "UTF8",
        "--locale=C",
      ];
      await run(join(folder, "initdb"), settings, { account, cwd: directory });
    }
    const password = readFileSync(passwordFile, "utf8").trim();
    const chosen = port || (await freePort());
    const pid = spawnServer(
      join(folder, "postgres"),
      ["-D", data, "-p", String(chosen), "-k", directory, ...durable.flatMap((setting) => ["-c", setting])],
      { account, cwd: directory, log },
    );
    const url = `postgres://postgres:${password}@127.0.0.1:${chosen}/postgres`;
    await waitUntil(() => answersQueries(url), { pid, log, name: "PostgreSQL" });
    return { url, pid, port: chosen, container: null };
  },
});

/** Recovery after a crash keeps the port open while answering nobody. */
async function answersQueries(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("SELECT 1");
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

const durable = [
  "listen_addresses=127.0.0.1",
  "fsync=on",
  "synchronous_commit=on",
  "full_page_writes=on",
  "max_connections=300",
  "shared_buffers=128MB",
  "timezone=UTC",
];
