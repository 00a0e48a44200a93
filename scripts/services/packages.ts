import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { isRoot, run } from "./processes.ts";

export const canInstallPackages = (): boolean => isRoot && existsSync("/usr/bin/apt-get");

/** Installs Debian packages, leaving no server of theirs running. */
export async function installPackages(names: readonly string[]): Promise<void> {
  // Debian's own way to keep a package from starting its service: a policy that says no.
  const policy = "/usr/sbin/policy-rc.d";
  const ours = !existsSync(policy);
  if (ours) {
    writeFileSync(policy, "#!/bin/sh\nexit 101\n");
    chmodSync(policy, 0o755);
  }
  try {
    const apt = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", [...apt, "-qq", "update"], { env });
    await run("apt-get", [...apt, "-y", "-qq", "--no-install-recommends", "install", ...names], { env });
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}
