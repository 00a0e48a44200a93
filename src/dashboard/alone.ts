import type { Records } from "../session/records.ts";
import { html, type Html } from "./html.ts";
import { notice } from "./layout.ts";

const running = new WeakMap<Records, Set<string>>();

/** Whether such work, which reads a whole table, runs in this process. */
export function isRunning(records: Records, name: string): boolean {
  return running.get(records)?.has(name) ?? false;
}

/** Runs work, and until it has settled {@link isRunning} says so. */
export async function alone<Result>(
  records: Records,
  name: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const names = running.get(records) ?? new Set();
  running.set(records, names.add(name));
  try {
    return await work();
  } finally {
    names.delete(name);
  }
}

export function runsAlready(what: string): Html {
  return notice(
    "warn",
    html`<strong>${what} is running already</strong> in this process of the server, for you or another
      operator. It reads a whole table, so one runs at a time. Try again when it has ended.`,
  );
}
