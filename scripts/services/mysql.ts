import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Engine, Running, StartOptions } from "./engine.ts";
import { account, durable, initialStatements, mysqlAnswers, mysqlUrl } from "./mysql-common.ts";
import { freePort, privateDirectory, run, spawnServer, waitUntil } from "./processes.ts";
import { workplace } from "./workplace.ts";

// Debian's stable releases have no MySQL. Its unstable release has mysql-server-core: a private apt state resolves
// and downloads that and everything below it, C library included, and the server runs through that library's own
// loader, so nothing of the machine changes and its C library does not matter.
const prefix = (): string => join(workplace(), "mysql-programs");
const installed = (): string => join(prefix(), "root");

export const mysql: Engine = {
  name: "mysql",
  packages: [],
  isInstalled: () => existsSync(join(installed(), "usr/sbin/mysqld")),
  fetch,
  image: {
    name: "docker.io/library/mysql:9",
    port: 3306,
    environment: (password) => [`MYSQL_ROOT_PASSWORD=${password}`, "MYSQL_DATABASE=test"],
    url: (port, password) => `mysql://root:${password}@127.0.0.1:${port}/test`,
  },

  async start({ directory, port = 0 }: StartOptions): Promise<Running> {
    const runsAs = account();
    privateDirectory(directory, runsAs);
    const root = installed();
    const { loader, libraries } = findLoader(root);
    const mysqld = ["--library-path", libraries.join(":"), join(root, "usr/sbin/mysqld")];
    const data = join(directory, "data");
    const common = [
      "--no-defaults",
      `--basedir=${root}/usr`,
      `--lc-messages-dir=${root}/usr/share/mysql`,
      `--character-sets-dir=${root}/usr/share/mysql/charsets`,
      `--plugin-dir=${root}/usr/lib/mysql/plugin`,
      `--datadir=${data}`,
      "--secure-file-priv=NULL",
    ];
    if (!existsSync(join(data, "mysql"))) {
      rmSync(data, { recursive: true, force: true });
      await run(loader, [...mysqld, ...common, "--initialize-insecure"], { account: runsAs, cwd: directory });
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
    const pid = spawnServer(loader, [...mysqld, ...common, ...settings, ...durable], {
      account: runsAs,
      cwd: directory,
      log,
    });
    const url = mysqlUrl(chosen, password);
    await waitUntil(() => mysqlAnswers(url), { pid, log, name: "MySQL" });
    return { url, pid, port: chosen, container: null };
  },
};

/** Programs that only maintainer scripts need. */
const leftOut = /^(perl|libperl|mysql-client|debconf)/;

async function fetch(): Promise<void> {
  const architecture = execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim();
  const targets = execFileSync("apt-get", ["indextargets", "--format", "$(REPO_URI)"], { encoding: "utf8" });
  const mirror =
    targets.split("\n").find((line) => line && !line.includes("security")) ?? "http://deb.debian.org/debian/";
  const apt = join(prefix(), "apt");
  for (const folder of [
    "state/lists/partial",
    "cache/archives/partial",
    "etc/apt.conf.d",
    "etc/preferences.d",
  ])
    mkdirSync(join(apt, folder), { recursive: true });
  writeFileSync(join(apt, "status"), "");
  writeFileSync(
    join(apt, "sources.list"),
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror} sid main\n`,
  );
  const options = Object.entries({
    "Dir::State": join(apt, "state"),
    "Dir::State::status": join(apt, "status"),
    "Dir::Cache": join(apt, "cache"),
    "Dir::Etc::sourcelist": join(apt, "sources.list"),
    "Dir::Etc::sourceparts": "-",
    "Dir::Etc::preferencesparts": join(apt, "etc/preferences.d"),
    "Dir::Etc::preferences": "-",
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
    "APT::Install-Recommends": "false",
    "Debug::NoLocking": "1",
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await run("apt-get", [...options, "-qq", "update"]);
  await run("apt-get", [...options, "-y", "-qq", "--download-only", "install", "mysql-server-core"]);
  const archives = join(apt, "cache/archives");
  const unpacked = join(prefix(), "unpacking");
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked, { recursive: true });
  for (const archive of readdirSync(archives).filter(
    (name) => name.endsWith(".deb") && !leftOut.test(name),
  )) {
    await run("dpkg-deb", ["-x", join(archives, archive), unpacked]);
  }
  rmSync(apt, { recursive: true, force: true });
  chmodSync(unpacked, 0o755);
  // Renamed last, so that a fetch that was cut off is never taken for an installed server.
  rmSync(installed(), { recursive: true, force: true });
  renameSync(unpacked, installed());
}

function findLoader(root: string): { loader: string; libraries: string[] } {
  const library = join(root, "usr/lib");
  const triplet = readdirSync(library).find((name) => name.endsWith("-linux-gnu"));
  if (!triplet) throw new Error(`No C library below ${library}. Remove ${prefix()} and start again.`);
  const libraries = [join(library, triplet), join(root, "lib", triplet), join(library, triplet, "mysql")];
  const folders = [join(root, "usr/lib64"), ...libraries, library, join(root, "lib")];
  for (const folder of folders.filter((path) => existsSync(path))) {
    const loader = readdirSync(folder).find((name) => /^ld-linux.*\.so\.\d$/.test(name));
    if (loader) return { loader: join(folder, loader), libraries };
  }
  throw new Error(`No program loader below ${root}. Remove ${prefix()} and start again.`);
}
