import { alone } from "./alone.ts";
import { type Programs, type ServerName, serverNames } from "./engine.ts";
import { canInstallPackages, installPackages } from "./packages.ts";
import { folderOf } from "./processes.ts";

/**
 * The folder that has all these programs, which are installed if they are missing.
 *
 * @param database the one that needs them, whose tests can be left out; null: none
 */
export async function bring(
  { packages, folders, fetch }: Programs,
  names: readonly string[],
  database: ServerName | "sqlite" | null,
): Promise<string> {
  const find = (): string | null => folderOf(folders(), ...names);
  return await alone(async () => {
    let reason = "";
    const install = fetch ?? (canInstallPackages() ? () => installPackages(packages) : null);
    if (find() === null) await install?.().catch((error: Error) => (reason = `${error.message}\n`));
    const found = find();
    if (found !== null) return found;
    const others = ["sqlite", ...serverNames].filter((name) => name !== database);
    const how =
      packages.length > 0
        ? `run "sudo apt-get install -y ${packages.join(" ")}"`
        : "run the tests on Debian or Ubuntu with network";
    throw new Error(
      `${reason}The tests need ${names.join(" and ")} and could not find or install it: ${how}${database === null ? "" : `, or narrow the tests with TEST_DATABASES=${others.join(",")}`}.`,
    );
  });
}
