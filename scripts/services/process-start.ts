import { readFileSync } from "node:fs";
import { isAlive } from "./processes.ts";

/**
 * When a process began, as the system counts it. Numbers of processes are given again, so only the two together name
 * one. Null for a process that is gone, and on systems without /proc.
 */
export function startOf(pid: number): string | null {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the name in brackets, may hold blanks and brackets of its own; the start is the 22nd.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${boot}/${ticks}`;
  } catch {
    return null;
  }
}

/** Whether the process that began then still runs. Where its start is not known, its number has to do. */
export function isStillRunning(pid: number, started: string | null): boolean {
  return isAlive(pid) && (started === null || startOf(pid) === started);
}
