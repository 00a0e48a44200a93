import { randomBytes } from "node:crypto";
import { chownSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Engine, Running, StartOptions } from "./engine.ts";
import { accountFor, freePort, isRoot, privateDirectory, run, spawnServer, waitUntil } from "./processes.ts";

/** Debian keeps each version's programs apart; other systems have them on the path. */
export function postgresPrograms(): string | null {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, "bin")),
    ...(process.env["PATH"] ?? "").split(":"),
  ];
  return (
    folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres"))) ??
    null
  );
}

export const postgres: Engine = {
  name: "postgres",
  packages: ["postgresql"],
  isInstalled: () => postgresPrograms() !== null,
  image: {
    name: "docker.io/library/postgres:18",
    port: 5432,
    environment: (password) => [`POSTGRES_PASSWORD=${password}`, "POSTGRES_DB=test"],
    url: (port, password) => `postgres://postgres:${password}@127.0.0.1:${port}/test`,
  },

  async start({ directory, port = 0 }: StartOptions): Promise<Running> {
    const programs = postgresPrograms();
    if (!programs) throw new Error("PostgreSQL's initdb and postgres were not found.");
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
      await run(join(programs, "initdb"), settings, { account, cwd: directory });
    }
    const password = readFileSync(passwordFile, "utf8").trim();
    const chosen = port || (await freePort());
    const pid = spawnServer(
      join(programs, "postgres"),
      ["-D", data, "-p", String(chosen), "-k", directory, ...durable.flatMap((setting) => ["-c", setting])],
      { account, cwd: directory, log },
    );
    // pg_isready asks the server itself: recovery after a crash keeps the port open while answering nobody.
    const ready = (): Promise<boolean> =>
      run(join(programs, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(chosen)]).then(
        () => true,
        () => false,
      );
    await waitUntil(ready, { pid, log, name: "PostgreSQL" });
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${chosen}/postgres`,
      pid,
      port: chosen,
      container: null,
    };
  },
};

const durable = [
  "listen_addresses=127.0.0.1",
  "fsync=on",
  "synchronous_commit=on",
  "full_page_writes=on",
  "max_connections=300",
  "shared_buffers=128MB",
  "timezone=UTC",
];
