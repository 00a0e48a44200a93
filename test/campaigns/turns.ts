/** A job at work and at rest by turns, so that whatever drifts on the machine hits both alike. */
import { setTimeout as pause } from "node:timers/promises";
import type { SessionStore } from "../../src/store/contract.ts";
import { Measured, type Visitors } from "./visitors.ts";

/** Holds a job up between two of its steps: before each it renews its lease, and that waits while the gate is shut. */
export class Gate {
  #passage: PromiseWithResolvers<void> | null = null;
  #arrived: PromiseWithResolvers<void> | null = null;
  #heldUp = 0;

  constructor(store: SessionStore) {
    const lease = store.lease.bind(store);
    store.lease = async (...args) => {
      if (this.#passage !== null) {
        const began = performance.now();
        this.#arrived?.resolve();
        await this.#passage.promise;
        this.#heldUp += performance.now() - began;
      }
      return lease(...args);
    };
  }

  /** Seconds for which jobs stood before it. */
  get heldUp(): number {
    return this.#heldUp / 1_000;
  }

  /** Resolves when the job stands before it. */
  shut(): Promise<void> {
    this.#passage = Promise.withResolvers();
    this.#arrived = Promise.withResolvers();
    return this.#arrived.promise;
  }

  open(): void {
    this.#passage?.resolve();
    this.#passage = null;
    this.#arrived = null;
  }
}

export interface Turns {
  readonly working: Measured;
  readonly resting: Measured;
  /** Bytes in use after collection, at each change of turns. */
  readonly memory: readonly number[];
}

/** Runs `job` for `seconds.work` and holds it up for `seconds.rest`, again and again until it is done. */
export async function inTurns(
  visitors: Visitors,
  gate: Gate,
  seconds: { work: number; rest: number },
  collect: () => number,
  job: () => Promise<unknown>,
): Promise<Turns> {
  const [working, resting, memory] = [new Measured(), new Measured(), [] as number[]];
  let finished = false;
  visitors.measure(working);
  const done = job().finally(() => (finished = true));
  for (;;) {
    await Promise.race([done, pause(seconds.work * 1_000)]);
    if (finished) break;
    await Promise.race([done, gate.shut()]);
    visitors.measure(null);
    if (finished) break;
    memory.push(collect());
    await pause(200); // what waited for the collection is not counted
    await visitors.measureFor(seconds.rest, resting);
    gate.open();
    visitors.measure(working);
  }
  visitors.measure(null);
  gate.open();
  await done;
  return { working, resting, memory };
}
