import { existsSync } from "node:fs";
import { withoutServices } from "./policy.ts";
import { isRoot, run } from "./processes.ts";

export const canInstallPackages = (): boolean => isRoot && existsSync("/usr/bin/apt-get");

/** Installs Debian packages, leaving no server of theirs running. */
export async function installPackages(names: readonly string[]): Promise<void> {
  await withoutServices(async () => {
    const apt = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", [...apt, "-qq", "update"], { env });
    await run("apt-get", [...apt, "-y", "-qq", "--no-install-recommends", "install", ...names], { env });
  });
}
