/** Runs the operations on an object one after another. A failure affects only its own caller. */
export class SerialQueue {
  readonly #last: WeakMap<object, Promise<unknown>> = new WeakMap();

  isBusy(object: object): boolean {
    return this.#last.has(object);
  }

  async do<Answer>(object: object, task: () => Promise<Answer>): Promise<Answer> {
    const before = this.#last.get(object);
    const mine = before === undefined ? task() : before.then(task, task);
    this.#last.set(object, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(object) === mine) this.#last.delete(object);
    }
  }
}
