/** Lets tasks of the same name run one after another, and those of different names side by side. */
export class SerialQueue {
  readonly #last: Map<string, Promise<unknown>> = new Map();
  readonly #limit: number;

  /** @param limit milliseconds that a task waits for its turn at most; then it runs beside those before it */
  constructor(limit: number = Infinity) {
    this.#limit = limit;
  }

  async take<Answer>(name: string, task: () => Promise<Answer>): Promise<Answer> {
    const before = this.#last.get(name);
    const mine = (async () => {
      if (before !== undefined) await settled(before, this.#limit);
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

/** A neighbour's failure is its own caller's to handle, so it ends the wait like an answer does. */
function settled(before: Promise<unknown>, limit: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = limit === Infinity ? undefined : setTimeout(resolve, limit);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    before.then(end, end);
  });
}
