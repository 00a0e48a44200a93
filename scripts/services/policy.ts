import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isStillRunning, startOf } from "./process-start.ts";

/** Debian's own way to keep a package from starting its service: a program that says no. */
const place = "/usr/sbin/policy-rc.d";

/** It says which process it is of, and no longer says no without that process, should it ever be left behind. */
const policyOf = (pid: number): string => `#!/bin/sh
# Stored Session's scripts/services: process ${pid} (${startOf(pid)}) installs packages and wants no server started.
# Delete it when that process is gone.
[ -d /proc/${pid} ] || exit 0
exit 101
`;

const mark = /^# Stored Session's scripts\/services: process (\d+) \((\S+)\)/m;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `work`, which installs packages, so that they start no servers. A signal to end counts when `work` is done:
 * apt-get goes on without this process, and would start them. A second one counts at once.
 */
export async function withoutServices<T>(work: () => Promise<T>, policy = place): Promise<T> {
  removeLeftover(policy);
  if (existsSync(policy)) return work(); // the machine's own
  let asked: NodeJS.Signals | null = null;
  const remove = (): void => rmSync(policy, { force: true });
  const onSignal = (signal: NodeJS.Signals): void => {
    if (asked !== null) return finish(signal);
    asked = signal;
    console.error("Ends when the packages are installed; a second signal ends it at once.");
  };
  const finish = (signal: NodeJS.Signals | null): void => {
    remove();
    process.off("exit", remove);
    for (const each of signals) process.off(each, onSignal);
    // Who else listens, as a test runner does, was told already and ends as it likes.
    if (signal !== null && process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  writeFileSync(policy, policyOf(process.pid), { flag: "wx" });
  process.on("exit", remove);
  for (const each of signals) process.on(each, onSignal);
  try {
    chmodSync(policy, 0o755);
    return await work();
  } finally {
    finish(asked);
  }
}

/** Removes what a process of ours left behind that was ended by force. */
export function removeLeftover(policy = place): void {
  const [, pid, started] = (existsSync(policy) && mark.exec(readFileSync(policy, "utf8"))) || [];
  if (pid && started && !isStillRunning(Number(pid), started)) rmSync(policy, { force: true });
}
