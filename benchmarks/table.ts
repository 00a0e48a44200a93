import { Bench, type Task } from "tinybench";

/** Measures tasks one after another and prints a line for each as it is done. */
export class Table {
  readonly #time: number;
  readonly #filter: string;

  /**
   * @param time milliseconds a task
   * @param filter only tasks with this in their names; "" for all
   */
  constructor(time: number, filter: string) {
    this.#time = time;
    this.#filter = filter;
  }

  wants(name: string): boolean {
    return name.toLowerCase().includes(this.#filter.toLowerCase());
  }

  heading(text: string): void {
    console.log(
      `\n${text.padEnd(44)}${["ops/s", "median us", "± us", "p99 us"].map((name) => name.padStart(12)).join("")}`,
    );
  }

  sync(name: string, work: () => unknown): void {
    const bench = this.#bench(name);
    if (bench === null) return;
    bench.add(name, work, { async: false });
    this.#print(name, 1, bench.runSync()[0]!);
  }

  /** @param batch operations that one call of `work` does together */
  async async(name: string, batch: number, work: () => Promise<unknown>): Promise<void> {
    const bench = this.#bench(name);
    if (bench === null) return;
    bench.add(name, work, { async: true });
    this.#print(name, batch, (await bench.run())[0]!);
  }

  #bench(name: string): Bench | null {
    if (!this.wants(name)) return null;
    return new Bench({ time: this.#time, warmupTime: this.#time / 4, iterations: 16, throws: true });
  }

  #print(name: string, batch: number, { result }: Task): void {
    if (result.state !== "completed") throw new Error(`${name} was not completed: ${result.state}.`);
    const { p50, mad, p99 } = result.latency;
    const micros = (milliseconds: number) => (milliseconds * 1000) / batch;
    const columns = [
      Math.round((1000 * batch) / p50).toLocaleString("en"),
      micros(p50).toFixed(2),
      micros(mad).toFixed(2),
      micros(p99).toFixed(2),
    ];
    console.log(`  ${name.padEnd(42)}${columns.map((column) => column.padStart(12)).join("")}`);
  }
}
