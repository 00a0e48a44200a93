import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Programs } from "./engine.ts";
import { run } from "./processes.ts";
import { workplace } from "./workplace.ts";

export interface Suite {
  /** Names the folder that they are kept in. */
  readonly name: string;
  /** A release of Debian's: its name, or "sid". */
  readonly suite: string;
  readonly packages: readonly string[];
  /** The folders of the programs, as in "usr/sbin". */
  readonly folders: readonly string[];
}

/**
 * Programs of another release of Debian's than this machine's. A private apt state resolves and downloads them and
 * everything below them, C library included, and they run through that library's own loader, so nothing of the
 * machine changes and its C library does not matter.
 */
export function programsOfSuite(source: Suite): Programs {
  const prefix = (): string => join(workplace(), "programs", source.name);
  const root = (): string => join(prefix(), "root");
  return {
    packages: [],
    folders: () => source.folders.map((folder) => join(root(), folder)),
    async fetch() {
      const unpacked = join(prefix(), "unpacking");
      await unpack(source, prefix(), unpacked);
      for (const folder of source.folders) runThroughLoader(unpacked, folder, root());
      // Renamed last, so that a fetch that was cut off is never taken for an installed server.
      rmSync(root(), { recursive: true, force: true });
      renameSync(unpacked, root());
    },
  };
}

/** Packages that only maintainer scripts need. */
const leftOut =
  /^(perl|libperl|libjson-perl|mysql-client|debconf|postgresql-(client-)?common|systemd|ssl-cert)/;

async function unpack(source: Suite, prefix: string, unpacked: string): Promise<void> {
  const architecture = execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim();
  const targets = execFileSync("apt-get", ["indextargets", "--format", "$(REPO_URI)"], { encoding: "utf8" });
  const mirror = targets.split("\n").find((line) => line && !line.includes("security"));
  if (!mirror)
    throw new Error("apt-get names no mirror. Check /etc/apt/sources.list, and run apt-get update.");
  const apt = join(prefix, "apt");
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
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror} ${source.suite} main\n`,
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
  await run("apt-get", [...options, "-y", "-qq", "--download-only", "install", ...source.packages]);
  const archives = join(apt, "cache/archives");
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked, { recursive: true });
  const isAsked = (name: string): boolean => source.packages.includes(name.split("_")[0]!);
  for (const archive of readdirSync(archives).filter(
    (name) => name.endsWith(".deb") && (isAsked(name) || !leftOut.test(name)),
  )) {
    await run("dpkg-deb", ["-x", join(archives, archive), unpacked]);
  }
  rmSync(apt, { recursive: true, force: true });
  chmodSync(unpacked, 0o755);
}

/**
 * Puts a script in the place of every program of a folder, which runs it with the loader and the libraries it came
 * with. Programs that start their neighbours (initdb, mariadb-install-db) so find them as on any machine.
 *
 * @param root where the files will lie in the end
 */
function runThroughLoader(unpacked: string, folder: string, root: string): void {
  const { loader, libraries } = findLoader(unpacked);
  const final = (path: string): string => path.replace(unpacked, root);
  for (const name of readdirSync(join(unpacked, folder))) {
    const path = join(unpacked, folder, name);
    if (!isProgram(path)) continue;
    renameSync(path, `${path}.elf`);
    // PostgreSQL's programs look for their neighbours and their data beside the name they were called by.
    writeFileSync(
      path,
      `#!/bin/sh\nexec '${final(loader)}' --library-path '${libraries.map(final).join(":")}' --argv0 "$0" '${final(path)}.elf' "$@"\n`,
    );
    chmodSync(path, 0o755);
  }
}

/** True for a file, not a link, of the form that the system's loader runs. */
function isProgram(path: string): boolean {
  if (!lstatSync(path).isFile()) return false;
  const file = openSync(path, "r");
  const start = Buffer.alloc(4);
  readSync(file, start, 0, 4, 0);
  closeSync(file);
  return start.toString("latin1") === "\x7FELF";
}

function findLoader(root: string): { loader: string; libraries: string[] } {
  const library = join(root, "usr/lib");
  const triplet = readdirSync(library).find((name) => name.endsWith("-linux-gnu"));
  if (!triplet) throw new Error(`No C library below ${library}.`);
  const libraries = [join(library, triplet), join(root, "lib", triplet), join(library, triplet, "mysql")];
  const folders = [join(root, "usr/lib64"), ...libraries, library, join(root, "lib")];
  for (const folder of folders.filter((path) => existsSync(path))) {
    const loader = readdirSync(folder).find((name) => /^ld-linux.*\.so\.\d$/.test(name));
    if (loader) return { loader: join(folder, loader), libraries };
  }
  throw new Error(`No program loader below ${root}.`);
}
