import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Engine, Programs, Running, StartOptions } from "./engine.ts";
import { account, durable, initialStatements, mysqlAnswers, mysqlUrl } from "./mysql-common.ts";
import { folderOf, freePort, privateDirectory, run, spawnServer, waitUntil } from "./processes.ts";

export const mariadb = (programs: Programs): Engine => ({
  name: "mariadb",
  programs,
  find: () =>
    program(programs, "mariadb-install-db") === null ? null : folderOf(programs.folders(), "mariadbd"),
  image: {
    name: "docker.io/library/mariadb",
    tag: "11.8",
    port: 3306,
    environment: (password) => [`MARIADB_ROOT_PASSWORD=${password}`, "MARIADB_DATABASE=test"],
    url: (port, password) => `mysql://root:${password}@127.0.0.1:${port}/test`,
  },

  async start({ directory, port = 0 }: StartOptions): Promise<Running> {
    const [server, install] = [program(programs, "mariadbd"), program(programs, "mariadb-install-db")];
    if (!server || !install) throw new Error("MariaDB's mariadbd and mariadb-install-db were not found.");
    const base = dirname(dirname(realpathSync(server)));
    const runsAs = account();
    privateDirectory(directory, runsAs);
    const data = join(directory, "data");
    if (!existsSync(join(data, "mysql"))) {
      const settings = [
        "--no-defaults",
        `--basedir=${base}`,
        `--user=${runsAs.name}`,
        `--datadir=${data}`,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
      ];
      await run(install, settings, { account: runsAs, cwd: directory });
    }
    const { password, file } = initialStatements(directory, runsAs);
    const chosen = port || (await freePort());
    const log = join(directory, "server.log");
    const settings = [
      "--no-defaults",
      `--basedir=${base}`,
      `--datadir=${data}`,
      `--socket=${directory}/server.sock`,
      `--pid-file=${directory}/server.pid`,
    ];
    const pid = spawnServer(server, [...settings, `--port=${chosen}`, `--init-file=${file}`, ...durable], {
      account: runsAs,
      cwd: directory,
      log,
    });
    const url = mysqlUrl(chosen, password);
    await waitUntil(() => mysqlAnswers(url), { pid, log, name: "MariaDB" });
    return { url, pid, port: chosen, container: null };
  },
});

function program({ folders }: Programs, name: string): string | null {
  const folder = folderOf(folders(), name);
  return folder === null ? null : join(folder, name);
}
