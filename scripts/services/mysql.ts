import { existsSync, realpathSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Engine, Programs, Running, StartOptions } from "./engine.ts";
import { account, durable, initialStatements, mysqlAnswers, mysqlUrl } from "./mysql-common.ts";
import { folderOf, freePort, privateDirectory, run, spawnServer, waitUntil } from "./processes.ts";

export const mysql = (programs: Programs): Engine => ({
  name: "mysql",
  programs,
  find: () => folderOf(programs.folders(), "mysqld"),
  image: {
    name: "docker.io/library/mysql",
    tag: "9",
    port: 3306,
    environment: (password) => [`MYSQL_ROOT_PASSWORD=${password}`, "MYSQL_DATABASE=test"],
    url: (port, password) => `mysql://root:${password}@127.0.0.1:${port}/test`,
  },

  async start({ directory, port = 0 }: StartOptions): Promise<Running> {
    const folder = this.find();
    if (!folder) throw new Error("MySQL's mysqld was not found.");
    const runsAs = account();
    privateDirectory(directory, runsAs);
    const mysqld = join(folder, "mysqld");
    const base = dirname(realpathSync(folder));
    const data = join(directory, "data");
    const common = [
      "--no-defaults",
      `--basedir=${base}`,
      `--lc-messages-dir=${base}/share/mysql`,
      `--character-sets-dir=${base}/share/mysql/charsets`,
      `--plugin-dir=${base}/lib/mysql/plugin`,
      `--datadir=${data}`,
      "--secure-file-priv=NULL",
    ];
    if (!existsSync(join(data, "mysql"))) {
      rmSync(data, { recursive: true, force: true });
      await run(mysqld, [...common, "--initialize-insecure"], { account: runsAs, cwd: directory });
    }
    const { password, file } = initialStatements(directory, runsAs);
    const chosen = port || (await freePort());
    const log = join(directory, "server.log");
    const settings = [
      `--port=${chosen}`,
      "--mysqlx=OFF",
      `--socket=${directory}/server.sock`,
      `--pid-file=${directory}/server.pid`,
      `--init-file=${file}`,
    ];
    const pid = spawnServer(mysqld, [...common, ...settings, ...durable], {
      account: runsAs,
      cwd: directory,
      log,
    });
    const url = mysqlUrl(chosen, password);
    await waitUntil(() => mysqlAnswers(url), { pid, log, name: "MySQL" });
    return { url, pid, port: chosen, container: null };
  },
});
