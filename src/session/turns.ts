/** Lets tasks of the same name run one after another, and those of different names side by side. */
export class Turns {
  readonly #last: Map<string, Promise<unknown>> = new Map();

  async take<Answer>(name: string, task: () => Promise<Answer>): Promise<Answer> {
    const before = this.#last.get(name);
    const mine = (async () => {
      // a neighbour's failure is its own caller's to handle
      if (before !== undefined) await before.catch(() => {});
      return task();
    })();
    this.#last.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}
