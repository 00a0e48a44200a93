import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { answers, run } from "../../scripts/services/processes.ts";
import { programFolder } from "../../scripts/services/services.ts";
import { workplace } from "../../scripts/services/workplace.ts";

/** Several servers that the scripts beside `scripts/services/main.ts` start, for one test alone. */
export interface Cluster extends AsyncDisposable {
  /** The first port; the others follow. */
  readonly base: number;
  readonly urls: readonly string[];
  /** Runs the script once more: `kill 0`, `promote`, … */
  command(...words: string[]): Promise<string>;
}

/** A PostgreSQL primary, and a standby that each commit waits for. */
export function startReplicas(): Promise<Cluster> {
  const programs = programFolder("postgres");
  return start("pg-replica.sh", { SYNC: "1", ...(programs === null ? {} : { BIN: programs }) });
}

/**
 * Three nodes of Galera. Each statement waits for what the other nodes have acknowledged, and a node that is silent
 * for two seconds is taken for dead.
 */
export function startGalera(): Promise<Cluster> {
  return start("galera.sh", { SYNC_WAIT: "7", SUSPECT: "2" });
}

async function start(script: string, settings: Record<string, string>): Promise<Cluster> {
  const path = fileURLToPath(new URL(`../../scripts/services/${script}`, import.meta.url));
  const base = await freeBase();
  const directory = join(workplace(), `${script.replace(".sh", "")}-${base}`);
  const env = { ...settings, DIR: directory, BASE: String(base) };
  const command = (...words: string[]): Promise<string> => run("bash", [path, ...words], { env });
  const stop = async (): Promise<void> => {
    await command("stop");
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const said = await command("start");
    return { base, urls: said.match(/\w+:\/\/\S+/g) ?? [], command, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

/** The first of 40 ports that nobody listens on, below those that the system gives away. */
async function freeBase(): Promise<number> {
  for (;;) {
    const base = 20_000 + 40 * Math.floor(Math.random() * 300);
    const used = await Promise.all(Array.from({ length: 40 }, (_, nth) => answers(base + nth)));
    if (!used.includes(true)) return base;
  }
}
